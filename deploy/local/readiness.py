"""Waiting for the API to say that the whole stack is ready."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable

from deploy.errors import ServiceStartError
from deploy.progress import Progress

READY_TIMEOUT_SECONDS = 90.0
POLL_SECONDS = 0.1
REQUEST_TIMEOUT_SECONDS = 5.0


def wait_until_ready(
    host: str,
    port: int,
    *,
    check_alive: Callable[[], None],
    say: Progress,
    timeout: float = READY_TIMEOUT_SECONDS,
) -> None:
    """Return once `GET /health/ready` says yes.

    `check_alive` is called between two tries and raises when a process has died. Raises
    `ServiceStartError`, naming the parts that are not ready, after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    told = ""
    while (missing := missing_parts(host, port)) is not None:
        check_alive()
        if missing != told:
            say(f"waiting for {missing}")
            told = missing
        if time.monotonic() > deadline:
            raise ServiceStartError(f"not ready after {timeout:.0f} s: {missing}")
        time.sleep(POLL_SECONDS)


def missing_parts(host: str, port: int) -> str | None:
    """Ask once; returns None when all is ready, else one line about what is not."""
    connection = http.client.HTTPConnection(host, port, timeout=REQUEST_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        return "the API"
    finally:
        connection.close()
    return None if answer.status == http.client.OK else _describe(body)


def _describe(body: bytes) -> str:
    try:
        parts = json.loads(body)
        return ", ".join(
            f"{name}: {value}" for name, value in sorted(parts.items()) if isinstance(value, str)
        )
    except (ValueError, AttributeError):
        return "the API's parts"
