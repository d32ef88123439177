"""`str.format` whose fields are read through the guard."""

import _string  # type: ignore[import-not-found]
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Getter = Callable[[Any, str], Any]


class _Formatter(string.Formatter):
    def __init__(self, getter: Getter) -> None:
        self._getter = getter

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, int | str]:
        first, rest = _string.formatter_field_name_split(field_name)
        value = self.get_value(first, args, kwargs)
        for is_attribute, name in rest:
            value = self._getter(value, name) if is_attribute else value[name]
        return value, first


def safe_format(getter: Getter, text: str, /, *args: Any, **kwargs: Any) -> str:
    """Return what `text.format(*args, **kwargs)` does."""
    return _Formatter(getter).vformat(text, args, kwargs)


def safe_format_map(getter: Getter, text: str, mapping: Mapping[str, Any], /) -> str:
    """Return what `text.format_map(mapping)` does."""
    return _Formatter(getter).vformat(text, (), mapping)
