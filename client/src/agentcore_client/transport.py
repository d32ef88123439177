"""One request to the server: key, timeouts, retries, errors."""

import contextlib
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from agentcore_client.config import Config
from agentcore_client.errors import ConnectionFailedError, UnexpectedAnswerError
from agentcore_client.problems import raise_for_problem
from agentcore_client.retries import RETRIED_ERRORS, RETRIED_STATUSES, RetryPolicy
from agentcore_client.version import __version__

USER_AGENT = f"agentcore-client/{__version__}"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request: what to send and how long to bear with it."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    extra_seconds: float = 0.0  # that the server may take on purpose: a long-poll
    deadline: float = math.inf  # on the monotonic clock; no retry starts after it


class Transport:
    """Sends calls. The key lives in the HTTP client's headers and nowhere else."""

    def __init__(
        self,
        config: Config,
        *,
        timeout: float,
        retries: RetryPolicy,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        if config.key is not None:
            headers["Authorization"] = f"Bearer {config.key.get_secret_value()}"
        self.url = config.url
        self._timeout = timeout
        self._retries = retries
        self._http = httpx.Client(
            base_url=config.url,
            headers=headers,
            transport=transport,
            # A proxy of the environment would only get the key and fail.
            trust_env=not config.is_loopback,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def send(self, call: Call) -> httpx.Response:
        """Return the successful answer. Raises ConnectionFailedError, ApiError."""
        tried = 0
        while True:
            tried += 1
            response, error = self._try(call)
            if response is not None and response.status_code not in RETRIED_STATUSES:
                break
            pause = self._retries.pause(tried, response)
            if pause is None or time.monotonic() + pause > call.deadline:
                break
            time.sleep(pause)
        if response is None:
            raise self._unreachable(error, tried) from error
        raise_for_problem(response)
        return response

    def send_once(self, call: Call) -> httpx.Response:
        """Return the first answer, whatever its status. Raises ConnectionFailedError."""
        response, error = self._try(call)
        if response is None:
            raise self._unreachable(error, 1) from error
        return response

    def lines(self, call: Call) -> Iterator[bytes]:
        """Yield the lines of an answer as they come; never retried.

        Raises ConnectionFailedError, also in the middle, and ApiError before the first line.
        """
        request = self._http.build_request(
            call.method,
            call.path,
            params=call.params,
            headers=call.headers,
            timeout=self._timeout + call.extra_seconds,
        )
        try:
            response = self._http.send(request, stream=True)
            with contextlib.closing(response):
                if not response.is_success:
                    response.read()
                raise_for_problem(response)
                yield from _lines(response.iter_bytes())
        except RETRIED_ERRORS as error:
            raise self._unreachable(error, 1) from error
        except httpx.HTTPError as error:
            raise UnexpectedAnswerError(f"{self.url}: {error}") from error

    def pause(self, tried: int) -> float | None:
        """Return seconds until the next try of what is not retried here, or None to give up."""
        return self._retries.pause(tried, None)

    def _try(self, call: Call) -> tuple[httpx.Response | None, httpx.HTTPError | None]:
        timeout = httpx.Timeout(self._timeout, read=self._timeout + call.extra_seconds)
        try:
            return self._http.request(
                call.method,
                call.path,
                params=call.params,
                headers=call.headers,
                json=call.body,
                timeout=timeout,
            ), None
        except RETRIED_ERRORS as error:
            return None, error
        except httpx.HTTPError as error:
            raise UnexpectedAnswerError(f"{self.url}: {error}") from error

    def _unreachable(self, error: Exception | None, tried: int) -> ConnectionFailedError:
        why = str(error) or type(error).__name__
        tries = f" after {tried} tries" if tried > 1 else ""
        return ConnectionFailedError(f"cannot reach {self.url}{tries}: {why}")


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield lines; only a line feed ends one, for JSON may hold all other line separators."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        yield rest
