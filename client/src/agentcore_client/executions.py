"""The API calls around executions."""

import math
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from agentcore_client.calls import Calls, execution_path, validated
from agentcore_client.errors import InvalidArgumentError, WaitTimeoutError
from agentcore_client.requests import ExecutionRequest
from agentcore_client.responses import (
    ArtifactInfo,
    ArtifactList,
    AuditTrail,
    Execution,
    ExecutionPage,
)
from agentcore_client.safe_paths import checked_parts
from agentcore_client.transport import Call

POLL_SECONDS = 30.0  # of one long-poll; below the server's 60 and what proxies cut off
MIN_POLL_SECONDS = 0.5  # between two polls, should a server not wait when asked to
MAX_KEY_CHARS = 255  # characters of an idempotency key


class ExecutionCalls(Calls):
    """Submit, follow, list and cancel executions, and read what they left behind."""

    def submit(
        self,
        request: ExecutionRequest | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        wait: float | None = None,
        **fields: Any,
    ) -> Execution:
        """Submit one execution, given as a request or as its fields, and return it.

        It is queued then; with `wait` (seconds, 0 to 60) it is returned once it has ended, or after
        that time.
        The same `idempotency_key` (1 to 255 visible ASCII characters) gives the same execution;
        without one a random key makes the retries of this call safe. Raises
        InvalidArgumentError, RequestInvalidError, ConflictError and what all calls raise.
        """
        return self._submit(request, idempotency_key, wait, math.inf, fields)

    def _submit(
        self,
        request: ExecutionRequest | None,
        idempotency_key: str | None,
        wait: float | None,
        deadline: float,
        fields: dict[str, Any],
    ) -> Execution:
        if request is not None and fields:
            raise InvalidArgumentError("give a request or its fields, not both")
        if request is None:
            request = validated(ExecutionRequest, fields)
        key = str(uuid4()) if idempotency_key is None else idempotency_key
        if not 1 <= len(key) <= MAX_KEY_CHARS or not all("!" <= char <= "~" for char in key):
            raise InvalidArgumentError("idempotency_key must be 1 to 255 visible ASCII characters")
        call = Call(
            method="POST",
            path="/v1/executions",
            params=_waiting(wait),
            headers={"Idempotency-Key": key},
            body=request.body(),
            extra_seconds=wait or 0.0,
            deadline=deadline,
        )
        return self._ask(Execution, call)

    def get(self, execution_id: UUID | str, *, wait: float | None = None) -> Execution:
        """Return an execution; with `wait` (seconds, 0 to 60) as soon as it has ended."""
        return self._get(execution_path(execution_id), wait, math.inf)

    def follow(
        self,
        execution_id: UUID | str,
        *,
        timeout: float | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> Iterator[Execution]:
        """Yield the execution after each long-poll of `poll_seconds` until it has ended.

        Raises WaitTimeoutError when it has not after `timeout` seconds (None: no limit). A
        server that hangs can hold that up by the timeout of the client.
        """
        path = execution_path(execution_id)
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            asked_at = time.monotonic()
            execution = self._get(path, max(0.0, min(poll_seconds, deadline - asked_at)), deadline)
            yield execution
            if execution.is_terminal:
                return
            now = time.monotonic()
            if timeout is not None and now >= deadline:
                raise WaitTimeoutError(execution, timeout)
            time.sleep(max(0.0, min(asked_at + MIN_POLL_SECONDS, deadline) - now))

    def wait(self, execution_id: UUID | str, *, timeout: float | None = None) -> Execution:
        """Return the execution once it has ended. Raises WaitTimeoutError after `timeout` s."""
        *_, last = self.follow(execution_id, timeout=timeout)
        return last

    def run(
        self,
        request: ExecutionRequest | None = None,
        /,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
        **fields: Any,
    ) -> Execution:
        """Submit and wait. `timeout` (seconds) bounds the waiting, not the execution.

        Raises what `submit` and `wait` do.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        first = max(0.0, POLL_SECONDS if timeout is None else min(POLL_SECONDS, timeout))
        execution = self._submit(request, idempotency_key, first, deadline, fields)
        # Without output it is the receipt of a key that may not read, which is told so below.
        if execution.is_terminal and execution.stdout is not None:
            return execution
        if timeout is None:
            return self.wait(execution.id)
        try:
            return self.wait(execution.id, timeout=max(0.0, deadline - time.monotonic()))
        except WaitTimeoutError as error:
            raise WaitTimeoutError(error.execution, timeout) from None

    def list(
        self,
        *,
        status: str | None = None,
        agent: str | None = None,
        security_profile: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> ExecutionPage:
        """Return one page of executions, newest first; `limit` is 1 to 200, by default 50.

        A time without a zone is taken as local time.
        """
        given = {
            "status": status,
            "agent": agent,
            "security_profile": security_profile,
            "created_after": _utc(created_after),
            "created_before": _utc(created_before),
            "limit": None if limit is None else str(limit),
            "cursor": cursor,
        }
        params = {name: value for name, value in given.items() if value is not None}
        return self._ask(ExecutionPage, Call(method="GET", path="/v1/executions", params=params))

    def iterate(self, **filters: Any) -> Iterator[Execution]:
        """Yield all executions that `list` would give with these filters, page after page."""
        while True:
            page = self.list(**filters)
            yield from page.items
            if page.next_cursor is None or page.next_cursor == filters.get("cursor"):
                return
            filters["cursor"] = page.next_cursor

    def cancel(self, execution_id: UUID | str) -> Execution:
        """Ask for the end of an execution. Raises ConflictError when it has ended already."""
        path = execution_path(execution_id, "cancel")
        return self._ask(Execution, Call(method="POST", path=path))

    def events(self, execution_id: UUID | str) -> AuditTrail:
        """Return the audit trail; see its `first_broken`."""
        path = execution_path(execution_id, "events")
        return self._ask(AuditTrail, Call(method="GET", path=path))

    def artifacts(self, execution_id: UUID | str) -> tuple[ArtifactInfo, ...]:
        """Return what files the program left in its output folder."""
        return self.artifact_list(execution_id).items

    def artifact_list(self, execution_id: UUID | str) -> ArtifactList:
        """Return the same as `artifacts`, with the JSON that the server sent."""
        path = execution_path(execution_id, "artifacts")
        return self._ask(ArtifactList, Call(method="GET", path=path))

    def artifact(self, execution_id: UUID | str, path: str) -> bytes:
        """Return the bytes of one artifact. Raises ArtifactRefusedError, NotFoundError."""
        name = "/".join(quote(part, safe="") for part in checked_parts(path))
        headers = {"Accept": "application/octet-stream, application/problem+json"}
        where = execution_path(execution_id, "artifacts", name)
        return self._transport.send(Call(method="GET", path=where, headers=headers)).content

    def _get(self, path: str, wait: float | None, deadline: float) -> Execution:
        extra = wait or 0.0
        call = Call(
            method="GET", path=path, params=_waiting(wait), extra_seconds=extra, deadline=deadline
        )
        return self._ask(Execution, call)


def _waiting(seconds: float | None) -> dict[str, str]:
    return {} if seconds is None else {"wait": f"{seconds:.3f}"}


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone().isoformat()
