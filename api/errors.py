"""Every error leaves as application/problem+json (RFC 9457), without a traceback."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from models.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RequestRefusedError,
    StoreUnavailableError,
)
from worker.submit import AlreadyEndedError, TooManyQueuedError

log = structlog.get_logger()

RETRY_AFTER = "2"  # seconds after which an unavailable service is worth another try
QUEUE_RETRY_AFTER = "5"  # seconds; a full queue moves at the pace of programs
MAX_ERRORS = 20  # problems named in one answer
MEDIA_TYPE = "application/problem+json"


class FieldProblem(BaseModel):
    """One field and what is wrong with it."""

    field: str
    message: str


class Problem(BaseModel):
    """The body of every error."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str | None = None
    errors: list[FieldProblem] = Field(default_factory=list)
    execution_status: str | None = None


_TITLES = {
    400: "Bad request",
    401: "Unauthenticated",
    403: "Not permitted",
    404: "Not found",
    408: "Request too slow",
    405: "Method not allowed",
    409: "Conflict",
    413: "Request too large",
    415: "Unsupported media type",
    422: "Request refused",
    429: "Too many queued",
    500: "Internal error",
    503: "Unavailable",
}


def problem(request: Request, status: int, detail: str, **more: Any) -> JSONResponse:
    """Return a problem response."""
    headers = more.pop("headers", None)
    body = Problem(
        title=_TITLES.get(status, "Error"),
        status=status,
        detail=detail,
        request_id=getattr(request.state, "request_id", None),
        **more,
    )
    return JSONResponse(
        body.model_dump(exclude_defaults=True) | {"type": body.type},
        status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    problems = [_field_problem(item) for item in error.errors()[:MAX_ERRORS]]
    detail = "; ".join(f"{item.field}: {item.message}" for item in problems[:3])
    return problem(request, 422, detail, errors=problems)


_PLACES = ("body", "query", "path", "header")


def _field_problem(item: dict[str, Any]) -> FieldProblem:
    if item["type"] == "json_invalid":
        position, why = item["loc"][-1], item.get("ctx", {}).get("error", "")
        message = f"is not valid JSON at character {position}: {why}"[:500]
        return FieldProblem(field="body", message=message)
    place, *rest = item["loc"]
    where = [str(part) for part in (rest if place in _PLACES else item["loc"])]
    # A stranger chooses the names of unknown fields: keep them short.
    return FieldProblem(
        field=".".join(where)[:200] or "body",
        message=str(item["msg"]).removeprefix("Value error, ")[:500],
    )


def _refused(request: Request, error: RequestRefusedError) -> JSONResponse:
    errors = [FieldProblem(field=error.field, message=error.message)]
    return problem(request, 422, str(error), errors=errors)


def _http(request: Request, error: HTTPException) -> JSONResponse:
    return problem(request, error.status_code, str(error.detail), headers=error.headers)


def answer_for(
    request: Request, error: PermissionDeniedError | StoreUnavailableError | None
) -> JSONResponse:
    """Return the answer to a caller who is unknown (None), may not, or cannot be looked up."""
    if isinstance(error, PermissionDeniedError):
        return _denied(request, error)
    if error is not None:
        return _unavailable(request, error)
    return problem(
        request,
        401,
        "send a valid key as 'Authorization: Bearer KEY'; "
        "'python -m api keys create' on the server makes one",
        headers={"WWW-Authenticate": "Bearer"},
    )


_USED_BY = {  # the field that asks for it; a verb is asked for by the route
    "profile": "security_profile",
    "image": "image",
    "network": "resource_limits.network_access",
    "looser option": "security_options.{}",
}
_STRICTER_ONLY = "a key that is limited to profiles may only make them stricter"


def _denied(request: Request, error: PermissionDeniedError) -> JSONResponse:
    log.warning(
        "permission_denied",
        api_key=request.state.caller.api_key_id,
        denied=f"{error.kind} {error.name}",
        method=request.method,
        path=request.url.path[:500],
    )
    field = _USED_BY.get(error.kind, "").format(error.name)
    hint = (
        "an operator makes one that has it with "
        f"'python -m api keys create --{error.kind} {error.name} ...'"
    )
    if error.kind == "looser option":
        hint = _STRICTER_ONLY
    errors = [FieldProblem(field=field, message=str(error))] if field else []
    return problem(request, 403, f"{error}; {hint}", errors=errors)


def _unavailable(request: Request, error: StoreUnavailableError) -> JSONResponse:
    log.warning("store_unavailable", error=str(error))
    return problem(request, 503, str(error), headers={"Retry-After": RETRY_AFTER})


def _ended(request: Request, error: AlreadyEndedError) -> JSONResponse:
    return problem(request, 409, str(error), execution_status=error.status)


def _too_many(request: Request, error: TooManyQueuedError) -> JSONResponse:
    return problem(request, 429, str(error), headers={"Retry-After": QUEUE_RETRY_AFTER})


def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected_error", path=request.url.path, exc_info=error)
    return problem(request, 500, "an error of ours; it was logged under the request id")


def install(app: FastAPI) -> None:
    """Register the handlers."""
    app.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    app.add_exception_handler(RequestRefusedError, _refused)  # type: ignore[arg-type]
    app.add_exception_handler(PermissionDeniedError, _denied)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    app.add_exception_handler(StoreUnavailableError, _unavailable)  # type: ignore[arg-type]
    app.add_exception_handler(AlreadyEndedError, _ended)  # type: ignore[arg-type]
    app.add_exception_handler(TooManyQueuedError, _too_many)  # type: ignore[arg-type]
    app.add_exception_handler(
        NotFoundError, lambda request, error: problem(request, 404, str(error))
    )
    app.add_exception_handler(
        ConflictError, lambda request, error: problem(request, 409, str(error))
    )
    app.add_exception_handler(Exception, _unexpected)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries for these problems."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _TITLES[status],
            "model": Problem,
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status in statuses
    }
