"""The words everyone shares: contracts, rows, the status machine, the audit vocabulary."""
