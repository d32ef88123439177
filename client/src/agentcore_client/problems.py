"""From an answer of the server to JSON or to the error that it stands for."""

import json
from http import HTTPStatus
from typing import Any

import httpx

from agentcore_client.errors import (
    ApiError,
    ConflictError,
    FieldProblem,
    NotFoundError,
    PermissionDeniedError,
    RequestInvalidError,
    ServerUnavailableError,
    TooManyRequestsError,
    UnauthorizedError,
    UnexpectedAnswerError,
)

MAX_TEXT_CHARS = 2000  # characters of a title, detail or field problem that are kept
ERRORS: dict[int, type[ApiError]] = {
    HTTPStatus.BAD_REQUEST: RequestInvalidError,
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: PermissionDeniedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: ConflictError,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: RequestInvalidError,
    HTTPStatus.UNPROCESSABLE_ENTITY: RequestInvalidError,
    HTTPStatus.TOO_MANY_REQUESTS: TooManyRequestsError,
    HTTPStatus.BAD_GATEWAY: ServerUnavailableError,
    HTTPStatus.SERVICE_UNAVAILABLE: ServerUnavailableError,
    HTTPStatus.GATEWAY_TIMEOUT: ServerUnavailableError,
}


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of a successful answer. Raises UnexpectedAnswerError."""
    body = _json(response)
    if isinstance(body, dict):
        return body
    where = f"{response.request.method} {response.request.url.path}"
    raise UnexpectedAnswerError(
        f"{where}: the answer ({response.status_code}) is not a JSON object; "
        "the URL may belong to another service or a proxy"
    )


def raise_for_problem(response: httpx.Response) -> None:
    """Raise the ApiError that the answer stands for; return when it is a success."""
    if response.is_success:
        return
    if not response.is_error:
        raise UnexpectedAnswerError(
            f"the server answered {response.status_code} and points elsewhere; "
            "redirects are not followed with a key: set the URL of the API itself"
        )
    body = _json(response)
    problem = body if isinstance(body, dict) else {}
    title = _text(problem.get("title")) or _phrase(response.status_code)
    detail = _text(problem.get("detail"))
    raise ERRORS.get(response.status_code, ApiError)(
        status=response.status_code,
        title=title,
        detail="" if detail == title else detail,
        errors=_fields(problem.get("errors")),
        request_id=_text(problem.get("request_id")) or None,
        problem=problem,
    )


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown error"


def _text(value: object) -> str:
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) else ""


def _fields(value: object) -> tuple[FieldProblem, ...]:
    items = value if isinstance(value, list) else []
    return tuple(
        FieldProblem(field=_text(item.get("field")), message=_text(item.get("message")))
        for item in items
        if isinstance(item, dict)
    )
