"""The API calls around the results of a batch."""

import json
import time
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agentcore_client.calls import Calls, execution_path, first_problem
from agentcore_client.errors import (
    ConnectionFailedError,
    ServerUnavailableError,
    UnexpectedAnswerError,
)
from agentcore_client.responses import InputResult, ResultPage, ResultsEnd
from agentcore_client.transport import Call

MIN_PAUSE_SECONDS = 0.5  # before a stream that the server has ended is asked for again
STREAM_HEADERS = {"Accept": "application/x-ndjson, application/problem+json"}


class ResultCalls(Calls):
    """Read the results of a batch, as they come or page by page."""

    def results(self, execution_id: UUID | str, *, after: int = -1) -> Iterator[InputResult]:
        """Yield the result of each input in their order, as they come, until the batch has ended.

        `after` is the index of the last one that is known; a connection that breaks is made
        again from there. What was not run has no result: compare with `get(id).batch`. Raises
        ConflictError when the execution is no batch, NotFoundError and what all calls raise.
        """
        return self._results(execution_path(execution_id, "results", "stream"), after)

    def result_page(
        self,
        execution_id: UUID | str,
        *,
        after: int = -1,
        limit: int | None = None,
        wait: float | None = None,
    ) -> ResultPage:
        """Return a page of at most `limit` (1 to 1000, by default 200) results after an index.

        With `wait` (seconds, 0 to 60) as soon as there are any.
        """
        given = {"after": after, "limit": limit, "wait": wait}
        params = {name: str(value) for name, value in given.items() if value is not None}
        path = execution_path(execution_id, "results")
        call = Call(method="GET", path=path, params=params, extra_seconds=wait or 0.0)
        return self._ask(ResultPage, call)

    def _results(self, path: str, after: int) -> Iterator[InputResult]:
        failures = 0
        while True:
            try:
                for item in self._stream(path, after):
                    if isinstance(item, ResultsEnd):
                        if item.complete:
                            return
                        break
                    after, failures = item.index, 0
                    yield item
                time.sleep(MIN_PAUSE_SECONDS)
            except (ConnectionFailedError, ServerUnavailableError):
                failures += 1
                pause = self._transport.pause(failures)
                if pause is None:
                    raise
                time.sleep(pause)

    def _stream(self, path: str, after: int) -> Iterator[InputResult | ResultsEnd]:
        """Yield what one stream tells, its end last. Raises ConnectionFailedError without one."""
        params = {"after": str(after)}
        call = Call(method="GET", path=path, params=params, headers=STREAM_HEADERS)
        for line in self._transport.lines(call):
            if line.strip():
                yield _parsed(path, line)
        raise ConnectionFailedError(f"{self._transport.url}: the results broke off")


def _parsed(path: str, line: bytes) -> InputResult | ResultsEnd:
    try:
        raw: Any = json.loads(line)
        is_result = isinstance(raw, dict) and "index" in raw
        return (InputResult if is_result else ResultsEnd).parsed(raw)
    except (ValueError, RecursionError) as error:
        why = f" ({first_problem(error)})" if isinstance(error, ValidationError) else ""
        raise UnexpectedAnswerError(f"{path}: not a line this client understands{why}") from error
