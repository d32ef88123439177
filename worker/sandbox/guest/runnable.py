"""What every way to run a program has in common; nothing here is loaded in a sandbox."""

from typing import Protocol


class Runnable(Protocol):
    """One run of a program: its pipes, and how its end is known."""

    stdout: int
    stderr: int

    @property
    def exec_error(self) -> str | None:
        """Why the command could not be executed."""

    @property
    def word(self) -> int | None:
        """A descriptor that is readable when there is something to hear, if there is one."""

    def hear(self) -> None:
        """Take in what it says to the supervisor."""

    def exit_code(self) -> int | None:
        """Return the code, or the number of the signal below zero; None while it runs."""

    def end_rest(self) -> None:
        """End what it has left running; afterwards nothing writes to its pipes."""

    def setup_error(self) -> str | None:
        """Return what kept the program from being started, once the run is over."""

    def policy_violation(self) -> str | None:
        """Return what RestrictedPython refused, once the run is over."""
