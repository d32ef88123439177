"""What PostgreSQL takes: shared by the tests of everything that ends up in a row."""

import json
from typing import Any

INT4_MAX = 2**31 - 1  # PostgreSQL integer
INT8_MAX = 2**63 - 1  # PostgreSQL bigint


def assert_text(value: str | None) -> None:
    """A text column takes no NUL and nothing that is not UTF-8."""
    if value is not None:
        assert "\x00" not in value
        value.encode("utf-8")


def assert_integer(value: int | None, largest: int = INT4_MAX) -> None:
    """An integer column takes no boolean and nothing over its range."""
    if value is not None:
        assert type(value) is int
        assert -largest <= value <= largest


def assert_jsonb(value: Any) -> None:
    """A jsonb column takes neither NUL, lone surrogates, NaN nor infinity, keys included."""
    written = json.dumps(value, allow_nan=False, ensure_ascii=False)
    written.encode("utf-8")
    for text in _texts(json.loads(written)):
        assert "\x00" not in text


def _texts(value: Any) -> list[str]:
    found, left = [], [value]
    while left:
        item = left.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found.extend(item)
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    return found
