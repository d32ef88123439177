"""Fills the memory with files, which stay when their writer is ended."""

from pathlib import Path

with Path("/workspace/fill").open("wb", buffering=0) as file:
    while True:
        file.write(bytes(2**20))
