"""What can go wrong, for callers to catch.

AgentCoreClientError
├── ConfigError                url, key or configuration file is missing, wrong or unsafe
├── InvalidArgumentError       an argument breaks a rule; nothing was sent
├── ConnectionFailedError      the server cannot be reached, also after retries
├── UnexpectedAnswerError      what answered is not this API
├── ApiError                   the server refused (status, title, detail, errors, request_id)
│   ├── UnauthorizedError      401: the key is missing, wrong, expired or revoked
│   ├── PermissionDeniedError  403: the key is known and may not do this
│   ├── NotFoundError          404: no such thing, or another tenant's
│   ├── ConflictError          409: already ended, or the idempotency key was used otherwise
│   ├── RequestInvalidError    400, 413, 422: the request breaks a rule; `errors` names fields
│   ├── TooManyRequestsError   429, also after retries
│   └── ServerUnavailableError 502, 503, 504, also after retries
├── WaitTimeoutError           the execution had not ended in the time given
└── ArtifactRefusedError       an artifact's name or content is not safe to save

No message ever contains the API key.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agentcore_client.responses import Execution


class AgentCoreClientError(Exception):
    """Base of all errors of this package."""


class ConfigError(AgentCoreClientError):
    """Url, key or configuration file is missing, wrong or unsafe; the message says which."""


class InvalidArgumentError(AgentCoreClientError, ValueError):
    """An argument breaks a rule of the API; nothing was sent."""


class ConnectionFailedError(AgentCoreClientError):
    """The server cannot be reached. Whether it got the request is not known."""


class UnexpectedAnswerError(AgentCoreClientError):
    """Something answered that is not this API, perhaps a proxy or another service."""


@dataclass(frozen=True, kw_only=True)
class FieldProblem:
    """One field that the server refused; `field` is its dotted path."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class ApiError(AgentCoreClientError):
    """The server refused a request. `problem` is the whole problem document (RFC 9457)."""

    def __init__(
        self,
        *,
        status: int,
        title: str,
        detail: str = "",
        errors: tuple[FieldProblem, ...] = (),
        request_id: str | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.errors = errors
        self.request_id = request_id
        self.problem = dict(problem or {})
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        told = ": ".join(part for part in (self.title, self.detail) if part)
        fields = "; ".join(str(error) for error in self.errors)
        number = f" (request {self.request_id})" if self.request_id else ""
        return f"{self.status} {told}{f' [{fields}]' if fields else ''}{number}"


class UnauthorizedError(ApiError):
    """The API key is missing, wrong, expired or revoked."""


class PermissionDeniedError(ApiError):
    """The key may not do this; `detail` names what is missing and what the key has.

    `errors` names the field when it is a profile, an image or a network that is not granted.
    """


class NotFoundError(ApiError):
    """There is no such thing, or it belongs to another tenant."""


class ConflictError(ApiError):
    """It has ended already, or the idempotency key was used for a different request."""


class RequestInvalidError(ApiError):
    """The request breaks a rule or a ceiling; `errors` names the fields."""


class TooManyRequestsError(ApiError):
    """The tenant still had too many executions queued after the retries."""


class ServerUnavailableError(ApiError):
    """The server was still not able to serve after the retries."""


class WaitTimeoutError(AgentCoreClientError):
    """The execution had not ended in time; it goes on. `execution` is its last known state."""

    def __init__(self, execution: "Execution", seconds: float) -> None:
        super().__init__(f"execution {execution.id} is {execution.status} after {seconds:g} s")
        self.execution = execution
        self.seconds = seconds


class ArtifactRefusedError(AgentCoreClientError):
    """An artifact's name or content is not safe to save, or would overwrite a file."""
