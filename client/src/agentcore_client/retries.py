"""When to try again, and how long to pause before."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

# All requests of this client may be repeated: a submission carries an idempotency key, and
# the others leave the same state when they come twice.
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
RETRIED_ERRORS = (
    httpx.NetworkError,
    httpx.TimeoutException,
    httpx.RemoteProtocolError,
    httpx.ProxyError,
)
_random = random.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How often and how patiently a request is repeated."""

    attempts: int = 4  # tries in all, the first included
    base_seconds: float = 0.25  # upper bound of the first pause; it doubles with each
    max_seconds: float = 8.0  # upper bound of any pause of our own choice
    max_retry_after_seconds: float = 60.0  # a server that asks for more is not waited for

    def pause(self, tried: int, response: httpx.Response | None) -> float | None:
        """Return seconds until the next try, or None to give up.

        `tried` counts the tries made; `response` is None after a connection error. A server's
        Retry-After is a lower bound; the random part keeps many clients from coming back at once.
        """
        if tried >= self.attempts:
            return None
        asked = 0.0 if response is None else _retry_after(response.headers.get("retry-after"))
        if asked > self.max_retry_after_seconds:
            return None
        ceiling = min(self.max_seconds, self.base_seconds * 2.0 ** (tried - 1))
        return asked + _random.uniform(0, ceiling)


def _retry_after(value: str | None) -> float:
    """Return the seconds that a Retry-After header (seconds or a date) asks for, at least 0."""
    if not value:
        return 0.0
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
