"""`python -m deploy.healthcheck WHAT`: exit code 0 when WHAT is well, 1 when it is not.

WHAT is a URL, which must answer 200; `worker`, the worker of this host; or `sweep`, what beat sends
and the control process does. Those two are known by the rows that they keep in the database.
"""

import os
import socket
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT = 3  # seconds
# Seconds between two reports where nothing else is set, and how many of them may be missing.
PERIODS = {"worker": ("HEARTBEAT_SECONDS", 3), "sweep": ("SWEEP_SECONDS", 5)}
MISSED = 4
SILENCE = 30  # seconds that are never too long
ASK = """
SELECT engine_error FROM worker_heartbeats
WHERE heartbeat_at > now() - make_interval(secs => %(silence)s)
AND CASE WHEN %(host)s::text IS NULL THEN worker_id = 'sweep'
    ELSE worker_id <> 'sweep' AND host = %(host)s END
ORDER BY heartbeat_at DESC LIMIT 1
"""


def main(words: list[str] | None = None) -> int:
    """Look once; what is wrong is said on standard error."""
    asked = sys.argv[1:] if words is None else words
    if len(asked) != 1 or not (asked[0] in ("worker", "sweep") or asked[0].startswith("http")):
        print("usage: python -m deploy.healthcheck URL|worker|sweep", file=sys.stderr)
        return 2
    what = asked[0]
    problem = url_problem(what) if what.startswith("http") else database_problem(what)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


def url_problem(url: str) -> str | None:
    """Return what is wrong with an URL's answer."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310
            return None if answer.status == 200 else f"status {answer.status}"
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        return str(error)


def database_problem(what: str) -> str | None:
    """Return what the database knows to be wrong with `worker` or `sweep`."""
    import psycopg  # not for whoever asks a URL only

    host = socket.gethostname() if what == "worker" else None
    variable, period = PERIODS[what]
    try:
        silence = max(SILENCE, MISSED * float(_setting(variable) or period))
        url = _setting("DATABASE_URL").replace("postgresql+psycopg://", "postgresql://", 1)
        with psycopg.connect(url, connect_timeout=TIMEOUT) as connection:
            row = connection.execute(ASK, {"silence": silence, "host": host}).fetchone()
    except psycopg.OperationalError as error:
        return f"the database: {error}"
    except (psycopg.Error, OSError, ValueError) as error:
        # Not its words: of an address that cannot be read they hold the password.
        return f"the database: it cannot be asked ({type(error).__name__})"
    if row is None:
        return f"no sign of the {what} for {silence:g} s"
    return None if row[0] is None else f"no sandbox can be started: {row[0]}"


def _setting(name: str) -> str:
    """Return a setting as the processes read it: the variable, or the file that another names."""
    variable = f"AGENTCORE_{name}"
    file = os.environ.get(f"{variable}_FILE")
    return os.environ.get(variable) or (Path(file).read_text().strip() if file else "")


if __name__ == "__main__":
    sys.exit(main())
