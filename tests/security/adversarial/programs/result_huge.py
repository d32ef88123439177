"""Leaves a result of 4 MB, with a number of a million digits in it."""

from pathlib import Path

Path("output/result.json").write_text(f'{{"n": {"9" * 1_000_000}, "s": "{"x" * 3_000_000}"}}')
