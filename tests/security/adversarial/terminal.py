"""Runs a command on a pseudo-terminal and returns what a screen would have been sent."""

import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("agentcore")
TIMEOUT = 60  # seconds


def shown_on_a_terminal(environment: Mapping[str, str], *words: str) -> bytes:
    """What `agentcore` with these words writes to a terminal, both streams together."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [PROGRAM, *words],
            env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        os.close(theirs)
        shown = b"".join(iter(lambda: _read(ours), b""))
        process.wait(TIMEOUT)
    finally:
        os.close(ours)
    return shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""
