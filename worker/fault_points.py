"""Named places at which a test kills the worker, to prove that nothing is lost there.

For tests only, and therefore no setting: without `AGENTCORE_FAULT_POINT` in the environment of a
worker, `reach` does nothing. Whoever can set it could as well kill the process.
"""

import os
import signal

POINTS = (
    "before_claim",
    "after_claim",
    "before_create",
    "after_create",
    "after_start",
    "before_release",  # the sandbox stands, nothing is recorded
    "release_recorded",  # user code counts as started from here on, but has not seen its job
    "after_release",
    "before_outcome",
    "inside_outcome",  # where the outcome takes several statements: before their commit
    "after_outcome",
)

_CHOSEN = os.environ.get("AGENTCORE_FAULT_POINT")
# While this file exists nothing happens: it is made by the kill, so that there is one only.
_MARKER = os.environ.get("AGENTCORE_FAULT_MARKER")


def reach(name: str) -> None:
    """Kill this process, as SIGKILL does, if a test has chosen this point."""
    if name != _CHOSEN:
        return
    if _MARKER is not None:
        try:
            os.close(os.open(_MARKER, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return
    os.kill(os.getpid(), signal.SIGKILL)
