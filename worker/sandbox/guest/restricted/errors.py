"""What the policy raises, and what it has said."""

from collections import deque
from typing import NoReturn

_SAID: deque[tuple[BaseException, str]] = deque(maxlen=1000)
"""The latest refusals: a program can change an exception's words, and make its own exceptions."""


class PolicyViolationError(Exception):
    """The program did what the policy does not allow.

    A program may catch it as any other exception: what it asked for did not happen.
    """


def refuse(what: str) -> NoReturn:
    """Raise PolicyViolationError."""
    error = PolicyViolationError(f"{what} is not allowed")
    _SAID.append((error, str(error)))
    raise error


def said(error: BaseException) -> str | None:
    """Return the policy's own words of a refusal; None for any other exception."""
    return next((text for refusal, text in _SAID if refusal is error), None)
