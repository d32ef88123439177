"""Exit codes: the program's own where there is one, else what shells and timeout(1) use."""

from agentcore_client.responses import Execution, Status

BROKEN = 1  # the audit chain does not hold
FAILED = 1  # the program failed in a way that has no exit code of its own
USAGE = 2  # the command line is wrong
TIMED_OUT = 124
OWN_FAILURE = 125  # ours and not the program's: rejected, lost, refused, unreachable
COMMAND_NOT_FOUND = 127
CANCELLED = 130
SIGNALLED = 128  # plus the number of the signal
KILLED = SIGNALLED + 9


def exit_code(execution: Execution) -> int:
    """Return what `agentcore run` exits with for an ended execution."""
    match execution.status:
        case Status.SUCCEEDED:
            return execution.exit_code or 0
        case Status.FAILED:
            return _failed(execution)
        case Status.TIMED_OUT:
            return TIMED_OUT
        case Status.CANCELLED:
            return CANCELLED
        case _:
            return OWN_FAILURE


def _failed(execution: Execution) -> int:
    if execution.signal is not None:
        return SIGNALLED + execution.signal
    if execution.exit_code:
        return execution.exit_code
    # It exited with 0 and yet failed (an invalid result, say), or never had a code.
    return {"oom_killed": KILLED, "command_not_found": COMMAND_NOT_FOUND}.get(
        execution.reason or "", FAILED
    )
