"""What can go wrong on our side; a program's own failure is an outcome, never one of these.

SandboxError
├── EngineUnavailableError   the container engine does not answer
├── ImageUnavailableError    the engine does not have the image
├── SandboxStartError        the sandbox did not come up as asked; no user code ran
│   ├── AppArmorNotLoadedError   the engine does not know the AppArmor profile
│   └── WeakerIsolationError     what is in force is weaker than what was asked
├── IsolationRefusedError    a layer that the settings require is not in force
├── SandboxVanishedError     the sandbox ended while the program ran, and nothing says why
├── SandboxCancelledError    a cancel came before user code ran
├── AbandonedError           the lease was lost; nothing of this run counts
└── ProtocolError            what came out of the sandbox is not what the supervisor says
"""

from collections.abc import Iterable
from typing import Any

from models.sandbox import Outcome


class SandboxError(Exception):
    """Base of the sandbox's errors; `so_far` is what a program that had started left by then."""

    def __init__(self, message: str = "", so_far: Outcome | None = None) -> None:
        super().__init__(message)
        self.so_far = so_far


class EngineUnavailableError(SandboxError):
    """The container engine does not answer; the execution may be tried again."""


class ImageUnavailableError(SandboxError):
    """The engine does not have the image of the catalogue."""


class SandboxStartError(SandboxError):
    """The sandbox did not come up as asked; no user code ran."""


class AppArmorNotLoadedError(SandboxStartError):
    """The engine has AppArmor, and the kernel does not have the profile."""


class WeakerIsolationError(SandboxStartError):
    """The engine has not done what it was asked; no user code ran."""

    def __init__(self, weaker: Iterable[str], isolation: dict[str, Any]) -> None:
        super().__init__(f"isolation is weaker than asked: {'; '.join(weaker)}")
        self.isolation = isolation


class IsolationRefusedError(SandboxError):
    """A layer that the settings require is not in force on this host; no user code ran."""

    def __init__(self, missing: Iterable[str], isolation: dict[str, Any]) -> None:
        super().__init__(
            f"required, but not in force: {'; '.join(missing)}; "
            "python -m worker security-audit says what to do"
        )
        self.isolation = isolation


class SandboxVanishedError(SandboxError):
    """The sandbox ended while the program ran, by nobody's report; `so_far` is its outcome.

    Somebody removed or killed the container, as an engine does when it is stopped.
    """

    def __init__(self, so_far: Outcome) -> None:
        super().__init__(so_far.message or "", so_far)
        self.outcome = so_far


class SandboxCancelledError(SandboxError):
    """A cancel came before user code ran."""


class AbandonedError(SandboxError):
    """The sandbox was ended because its lease was lost; nothing of this run counts."""


class ProtocolError(SandboxError):
    """The supervisor's frames cannot be read; the sandbox is not to be trusted further."""
