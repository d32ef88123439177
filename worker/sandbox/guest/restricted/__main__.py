"""Starts the runner when this folder itself is run inside a sandbox image."""

import importlib
import sys

# The guest's folder is in the image; RestrictedPython lies beside it and off everyone's path.
_here = __file__.rsplit("/", 3)[0]
sys.path[0] = _here
sys.path.insert(1, f"{_here}/vendor")
_runner = importlib.import_module("guest.restricted.runner")
del sys.path[:2]
_runner.main()
