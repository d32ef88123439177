"""From an exception to one clear line that says what to do next."""

import os
import traceback
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from agentcore_client.cli import exits
from agentcore_client.cli.output import tell
from agentcore_client.errors import (
    AgentCoreClientError,
    ConflictError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    RequestInvalidError,
    ServerUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
    UnexpectedAnswerError,
)

DEBUG_VARIABLE = "AGENTCORE_CLIENT_DEBUG"
HINTS: dict[type[AgentCoreClientError], str] = {
    UnauthorizedError: "set AGENTCORE_API_KEY or give --key-file; "
    "`agentcore config` shows which key is in force",
    PermissionDeniedError: "use a key that may; `agentcore config` shows which one is in force",
    NotFoundError: "check the id or name; what belongs to another tenant is not found either",
    ConnectionFailedError: "is the server running? `agentcore config` shows which URL is in force",
    UnexpectedAnswerError: "`agentcore config` shows which URL is in force",
    RequestInvalidError: "change what is named and try again",
    TooManyRequestsError: "try again in a minute",
    ServerUnavailableError: "try again in a minute; `/health/ready` of the server tells more",
}


class FriendlyGroup(TyperGroup):
    """The command group that turns every failure into one line and exit code 125."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; see the class."""
        try:
            return super().invoke(ctx)
        except AgentCoreClientError as error:
            tell(sentence(error))
            raise typer.Exit(exits.OWN_FAILURE) from error
        except (TyperException, typer.Exit, typer.Abort, BrokenPipeError):
            raise
        except Exception as error:
            _tell_bug(error)
            raise typer.Exit(exits.OWN_FAILURE) from error


def sentence(error: AgentCoreClientError) -> str:
    """Return what went wrong and what to do next, in one line."""
    message = str(error)
    if isinstance(error, ConflictError) and error.problem.get("execution_status"):
        return f"{message}; it is {error.problem['execution_status']}, and that stays so"
    hint = next((text for kind, text in HINTS.items() if isinstance(error, kind)), None)
    return f"{message}; {hint}" if hint else message


def _tell_bug(error: Exception) -> None:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    kind = type(error).__name__
    tell(f"internal error ({kind}: {error}); please report it with {DEBUG_VARIABLE}=1 set")
