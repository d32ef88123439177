"""Starts the supervisor when this file is run inside a sandbox image.

The file, not its folder: to run a folder Python loads much that nothing else here needs.
"""

import sys

# Run as a file there is no parent package; make this folder importable as `guest`.
sys.path.insert(0, __file__.rsplit("/", 2)[0])

from guest.supervisor import main  # type: ignore[import-not-found]

main()
