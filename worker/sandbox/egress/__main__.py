"""`python -m worker.sandbox.egress`: a worker's proxy, or with options a proxy by itself."""

import json
import logging
import os
import stat
import sys
from datetime import UTC, datetime


class _JsonLines(logging.Formatter):
    """Log lines of the form that the worker's own have."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "event": record.getMessage(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def main() -> int:
    """Serve a worker on standard input and output, or run as the options say."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # A worker always gives a pipe; whoever calls this by hand is told what options there are.
    if sys.argv[1:] or not stat.S_ISFIFO(os.fstat(0).st_mode):
        from worker.sandbox.egress import sidecar

        return sidecar.main(None, "python -m worker.sandbox.egress")
    from worker.sandbox.egress import control

    control.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
