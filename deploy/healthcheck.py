"""`python -m deploy.healthcheck URL`: exit code 0 when the URL answers 200."""

import sys
import urllib.error
import urllib.request

TIMEOUT = 3  # seconds


def main() -> int:
    """Ask once."""
    if len(sys.argv) != 2 or not sys.argv[1].startswith("http"):
        print("usage: python -m deploy.healthcheck URL", file=sys.stderr)
        return 2
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=TIMEOUT) as answer:  # noqa: S310
            return 0 if answer.status == 200 else 1
    except (urllib.error.URLError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
