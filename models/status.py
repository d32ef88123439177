"""The status machine of an execution and the closed vocabulary of reasons.

The database enforces both (see the first migration); a test holds the two against each other.
"""

from enum import StrEnum


class Status(StrEnum):
    """Where an execution stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    LOST = "lost"

    @property
    def is_terminal(self) -> bool:
        """Whether the status is an outcome that never changes again."""
        return not TRANSITIONS[self]


_ENDS = frozenset(Status) - {Status.QUEUED, Status.RUNNING}

# A queued execution can end without ever running: cancelled, refused or given up.
# A running one goes back to queued when its worker could not start it or was lost.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED, Status.REJECTED, Status.LOST}),
    Status.RUNNING: _ENDS | {Status.QUEUED},
    **dict.fromkeys(_ENDS, frozenset()),
}
TERMINAL = _ENDS


class Reason(StrEnum):
    """Why an execution ended as it did; absent for a plain success."""

    EXIT_NONZERO = "exit_nonzero"  # the program exited with a code other than 0
    SIGNAL = "signal"  # the program was ended by a signal
    OOM_KILLED = "oom_killed"  # the kernel ended the program: over its memory limit
    OUTPUT_LIMIT = "output_limit"  # the program wrote more than the hard output cap
    RESULT_INVALID = "result_invalid"  # output/result.json is not acceptable JSON
    COMMAND_NOT_FOUND = "command_not_found"  # the first word of the command is no program
    TIME_LIMIT = "time_limit"  # wall-clock limit reached
    CANCEL_REQUESTED = "cancel_requested"  # somebody asked for it
    POLICY_VIOLATION = "policy_violation"  # this worker's settings, or RestrictedPython, refuse it
    NETWORK_DENIED = "network_denied"  # the network asked for is not available
    IMAGE_UNAVAILABLE = "image_unavailable"  # the worker does not have the image
    SANDBOX_ERROR = "sandbox_error"  # we failed to run the sandbox as asked
    SANDBOX_UNAVAILABLE = "sandbox_unavailable"  # no container engine, too often
    WORKER_LOST = "worker_lost"  # the worker died while the program ran
