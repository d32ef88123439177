"""Starts the supervisor when this folder itself is run inside a sandbox image."""

import importlib
import sys
from pathlib import Path

# Run as a folder there is no parent package; make this folder importable as `guest`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)
importlib.import_module("guest.supervisor").main()
