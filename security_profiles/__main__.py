"""Entry point of `python -m security_profiles`."""

import sys

from security_profiles.cli import main

if __name__ == "__main__":
    sys.exit(main())
