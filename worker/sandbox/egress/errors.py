"""What can go wrong between a client and what it asked for; the policy has its own DeniedError.

EgressError
├── BadRequestError          what the client sends is not what the protocols allow
├── RefusedError             it may not have what it asks for
├── FailedError              allowed, but it did not work out, or was cut
├── ClientGoneError          the client left
├── SocketPathError          the gate's place cannot be used
└── EgressUnavailableError   worker side: the proxy process does not answer
    └── PlaceGoneError       and never will: the worker's directory was removed
"""


class EgressError(Exception):
    """Base of the proxy's errors."""


class BadRequestError(EgressError):
    """What the client sends is not what the protocols allow; the message says what."""


class RefusedError(EgressError):
    """The client may not have what it asks for; `reason` is a word of `reasons` or `policy`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class FailedError(EgressError):
    """Allowed, but it did not work out; `reason` is a word of `reasons`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ClientGoneError(EgressError):
    """The client left; nobody is there to be answered."""


class SocketPathError(EgressError):
    """A gate's place cannot be used: too long for a socket, or open to others."""


class EgressUnavailableError(EgressError):
    """The proxy process does not answer, or cannot open a gate."""


class PlaceGoneError(EgressUnavailableError):
    """The worker's directory was removed by somebody: no gate can be opened in it any more."""
