"""What the supervisor needs of `json`, `signal` and `contextlib`, without what these load first.

Enumerations and regular expressions take half of the time in which it starts, and every sandbox
pays it. The interpreter's own parts do the work there and here; one without them, or with others,
takes the long way.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from typing import Any
else:
    try:
        import _signal as signal
    except ImportError:
        import signal

__all__ = ["dumps", "loads", "signal", "suppress"]


class suppress:
    """Run a block, and go on behind it when it raises one of these."""

    def __init__(self, *errors: type[BaseException]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        """Nothing is to be done before."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._errors)


class _Strict:
    """How values are read: as `json.loads` does by default."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def _short_way() -> tuple[Any, Any]:
    from _json import encode_basestring_ascii, make_encoder, make_scanner

    own: Any = make_scanner, make_encoder  # as json calls them, and not as they are described
    scan = own[0](_Strict)
    encode = own[1](None, None, encode_basestring_ascii, None, ": ", ", ", False, False, True)
    return (lambda text: scan(text, 0)[0]), (lambda value: "".join(encode(value, 0)))


def _ways() -> tuple[Any, Any]:
    sample = {"a": [1, -2.5, "\u00e9\n", None, True, {}]}
    try:
        loads, dumps = _short_way()
        if loads(dumps(sample)) == sample:
            return loads, dumps
    except (ImportError, AttributeError, TypeError, ValueError):
        pass
    import json

    return json.loads, json.dumps


_loads, _dumps = _ways()


def loads(data: bytes) -> Any:
    """Return the value of a JSON text as the worker writes it: in UTF-8, no spaces around it."""
    return _loads(data.decode())


def dumps(value: Any) -> bytes:
    """Return a value as JSON."""
    text: str = _dumps(value)
    return text.encode()
