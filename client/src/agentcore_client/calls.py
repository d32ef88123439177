"""What the groups of API calls share: sending, parsing, and checks of names in paths."""

import re
from typing import Self, TypeVar
from uuid import UUID

import httpx
from pydantic import ValidationError

from agentcore_client.errors import InvalidArgumentError, UnexpectedAnswerError
from agentcore_client.problems import json_object
from agentcore_client.responses import Response
from agentcore_client.transport import Call, Transport
from agentcore_client.types import NAME_PATTERN, Request

Answer = TypeVar("Answer", bound=Response)
Body = TypeVar("Body", bound=Request)


class Calls:
    """Base of the groups of API calls."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self._transport.url!r})"

    def _ask(self, model: type[Answer], call: Call) -> Answer:
        return parsed(model, self._transport.send(call))


def parsed(model: type[Answer], response: httpx.Response) -> Answer:
    """Return the answer as `model`. Raises UnexpectedAnswerError naming the field at fault."""
    raw = json_object(response)
    try:
        return model.parsed(raw)
    except ValidationError as error:
        raise UnexpectedAnswerError(
            f"{response.request.url.path}: not an answer this client understands "
            f"({first_problem(error)}); is the URL right, and the client not too old?"
        ) from error


def validated(model: type[Body], fields: object) -> Body:
    """Return `fields` as a request model. Raises InvalidArgumentError naming the field."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InvalidArgumentError(first_problem(error)) from error


def first_problem(error: ValidationError) -> str:
    """Return the first problem in one line; it never repeats the value at fault."""
    item = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = ".".join(str(part) for part in item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    return f"{path}: {message}" if path else message


def execution_path(execution_id: UUID | str, *rest: str) -> str:
    """Return the path of an execution. Raises InvalidArgumentError when the id is none."""
    try:
        checked = UUID(str(execution_id))
    except ValueError as error:
        raise InvalidArgumentError(
            f"{str(execution_id)[:80]!r} is not an execution id (a UUID)"
        ) from error
    return "/".join(("/v1/executions", str(checked), *rest))


def agent_path(name: str) -> str:
    """Return the path of a stored agent. Raises InvalidArgumentError when the name is none."""
    if re.fullmatch(NAME_PATTERN, name) is None:
        raise InvalidArgumentError(
            f"{name[:80]!r} is not an agent's name: lower-case letters, digits, '-' and '_'"
        )
    return f"/v1/agents/{name}"
