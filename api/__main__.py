"""`python -m api`: serve the API, and make, list and revoke keys."""

import os
import sys

from models.errors import AgentCoreError, SettingsError
from models.settings import load_settings

# For `--help`, which needs neither.
STAND_INS = {"AGENTCORE_DATABASE_URL": "postgresql://", "AGENTCORE_BROKER_URL": "redis://"}


def main() -> None:
    """Run the command line; errors of ours are one line, not a traceback."""
    if "--help" in sys.argv[1:]:
        for name, value in STAND_INS.items():
            if f"{name}_FILE" not in os.environ:
                os.environ.setdefault(name, value)
    try:
        load_settings()  # before anything is imported that needs them
        from api.command import cli

        cli()
    except SettingsError as error:
        sys.exit(_told(error, 2))
    except AgentCoreError as error:
        sys.exit(_told(error, 1))


def _told(error: AgentCoreError, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
