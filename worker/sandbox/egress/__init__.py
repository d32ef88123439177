"""The only way out of a sandbox with a restricted network: a proxy that judges each request."""
