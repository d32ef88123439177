"""The proxy's own answers, made so that a program can read why."""

import json
from typing import Any

from worker.sandbox.egress import reasons

DENIED_HEADER = "X-AgentCore-Denied"  # with the reason; no server's answer keeps one
FAILED_HEADER = "X-AgentCore-Failed"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_PHRASES = {400: "Bad Request", 403: "Denied", 408: "Request Timeout"}
_PHRASES |= {502: "Bad Gateway", 504: "Gateway Timeout"}


def refused(reason: str, *, host: str, port: int | None, with_body: bool = True) -> bytes:
    """Return the answer to a request that is refused."""
    status = 408 if reason == reasons.HEADER_TIMEOUT else 403
    body = {"denied": reason, "host": host, "port": port}
    return _answer(status, DENIED_HEADER, reason, body, with_body)


def malformed(detail: str) -> bytes:
    """Return the answer to what is no proper request."""
    body = {"denied": reasons.BAD_REQUEST, "detail": detail}
    return _answer(400, DENIED_HEADER, reasons.BAD_REQUEST, body, True)


def failed(reason: str, *, host: str, port: int | None, with_body: bool = True) -> bytes:
    """Return the answer to a request that was allowed and did not work out."""
    header = DENIED_HEADER if reason == reasons.BYTE_LIMIT else FAILED_HEADER
    body = {"failed": reason, "host": host, "port": port}
    return _answer(reasons.failure_status(reason), header, reason, body, with_body)


def _answer(status: int, header: str, reason: str, body: dict[str, Any], with_body: bool) -> bytes:
    content = json.dumps(body).encode() + b"\n"
    # The reason is in the phrase, too: for a CONNECT that is all that most clients show.
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}: {reason}\r\n"
        f"{header}: {reason}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + (content if with_body else b"")
