"""What can go wrong in words that callers may show.

AgentCoreError
├── SettingsError            a setting is missing or wrong; the process stops
├── RequestRefusedError      the request breaks a rule or a ceiling (names the field)
├── PermissionDeniedError    the caller's key does not grant this
├── NotFoundError            no such row for this tenant
├── ConflictError            the idempotency key was used for another request
│   └── NoBatchError         only a batch has what was asked for
└── StoreUnavailableError    PostgreSQL does not answer
    └── TenantBusyError      another request of the tenant hangs in its turn; others are served
"""

from collections.abc import Iterable


class AgentCoreError(Exception):
    """Base of all errors of this project."""


class SettingsError(AgentCoreError):
    """A setting is missing or wrong; the message names the environment variable."""


class RequestRefusedError(AgentCoreError):
    """A request breaks a rule or a ceiling. `field` is its dotted path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class PermissionDeniedError(AgentCoreError):
    """The caller's key does not grant this.

    `kind` is permission, profile, image or network, as the options of `keys create` are called,
    or `looser option`, a security option; `name` is the one that is missing.
    """

    def __init__(self, kind: str, name: str, granted: Iterable[str]) -> None:
        # Options that loosen a profile are not granted one by one: there is nothing to list.
        has = f"; it has: {', '.join(sorted(granted)) or 'none'}"
        has = "" if kind == "looser option" else has
        super().__init__(f"{kind} '{name}' is not granted to this key{has}")
        self.kind = kind
        self.name = name


class NotFoundError(AgentCoreError):
    """Nothing of that name belongs to this tenant."""


class ConflictError(AgentCoreError):
    """The idempotency key was already used for a different request."""


class NoBatchError(ConflictError):
    """The execution was submitted without `inputs`."""

    def __init__(self) -> None:
        super().__init__("this execution is no batch: it was submitted without inputs")


class StoreUnavailableError(AgentCoreError):
    """The database does not answer; the caller may try again."""


class TenantBusyError(StoreUnavailableError):
    """Another request of this tenant hangs in its turn; the caller may try again."""
