"""Starts the supervisor when this folder itself is run inside a sandbox image."""

import importlib
import sys

# Run as a folder there is no parent package; make this folder importable as `guest`.
sys.path[0] = __file__.rsplit("/", 2)[0]
importlib.import_module("guest.supervisor").main()
