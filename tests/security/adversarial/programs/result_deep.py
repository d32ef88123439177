"""Leaves a result that nests 100,000 deep."""

from pathlib import Path

Path("output/result.json").write_text("[" * 100_000 + "]" * 100_000)
