"""What a failed installation means, in one line."""

from __future__ import annotations

from pathlib import Path

from deploy.system import last_line

# Looked for in this order: a full disk also makes downloads fail.
CAUSES = (
    (
        ("No space left on device", "Disk quota exceeded"),
        "the disk is full; free about 1 GB and run it again",
    ),
    (
        ("DO NOT MATCH THE HASHES", "THESE PACKAGES DO NOT MATCH"),
        "a downloaded package differs from its hash in the lock file; do not install it, "
        "check the package index in use",
    ),
    (
        (
            "NewConnectionError",
            "NameResolutionError",
            "Temporary failure in name resolution",
            "Network is unreachable",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "Connection refused",
            "ProxyError",
            "Connection reset",
        ),
        "the package index cannot be reached; check the network (or pip's index settings) "
        "and run it again",
    ),
)


def explain(output: str, log: Path) -> str:
    """Return one line about why `output`, which is kept in `log`, ended in a failure."""
    for marks, meaning in CAUSES:
        if any(mark in output for mark in marks):
            return f"{meaning} (log: {log})"
    return f"{last_line(output) or 'installation failed'} (log: {log})"
