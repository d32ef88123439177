"""The builtins of a program under the policy, and the guards that its compiled code calls."""

import builtins
import os
import sys
from typing import Any

from RestrictedPython.Guards import guarded_iter_unpack_sequence, guarded_unpack_sequence

from . import guards
from .errors import refuse
from .kinds import Kind
from .modules import Importer

_PLAIN = """
    abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod
    enumerate filter float format frozenset hash hex id input int isinstance issubclass iter len
    list map max memoryview min next object oct ord pow print property range repr reversed round
    set slice sorted staticmethod str sum super tuple zip None True False Ellipsis NotImplemented
    __build_class__ __debug__
"""
_GROUPS = ("BaseExceptionGroup", "ExceptionGroup")  # RestrictedPython withholds them
_MISSING = object()


def program_builtins(allowed: frozenset[str], folder: str) -> dict[str, Any]:
    """Return the builtins; `folder` is the only one that `open` opens files in."""
    exceptions = {
        name: value
        for name, value in vars(builtins).items()
        if isinstance(value, type) and issubclass(value, BaseException) and name not in _GROUPS
    }
    return {
        **{name: getattr(builtins, name) for name in _PLAIN.split()},
        **exceptions,
        "__import__": Importer(allowed),
        "exit": sys.exit,
        "quit": sys.exit,
        "getattr": _getattr,
        "hasattr": _hasattr,
        "setattr": _setattr,
        "open": _opener(os.path.realpath(folder)),
        "type": Kind,
        "_getattr_": guards.getattr_,
        "_getitem_": guards.getitem,
        "_getiter_": guards.getiter,
        "_iter_unpack_sequence_": guarded_iter_unpack_sequence,
        "_unpack_sequence_": guarded_unpack_sequence,
        "_writable_": guards.writable,
        "_write_": guards.write,
    }


def _getattr(obj: Any, name: str, default: Any = _MISSING, /) -> Any:
    if type(name) is not str:
        raise TypeError("attribute name must be string")
    if default is _MISSING:
        return guards.getattr_(obj, name)
    return guards.getattr_(obj, name, default)


def _hasattr(obj: Any, name: str, /) -> bool:
    try:
        _getattr(obj, name)
    except AttributeError:
        return False
    return True


def _setattr(obj: Any, name: str, value: Any, /) -> None:
    setattr(guards.writable(obj, name), name, value)


def _opener(folder: str) -> Any:
    def opened(
        file: str,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        if type(file) is not str:
            raise TypeError("the policy opens files by a name, as text")
        real = os.path.realpath(file)
        if os.path.commonpath([real, folder]) != folder or real == folder:
            refuse(f"opening files outside {folder}")
        if buffering == 0:
            refuse("opening a file without a buffer")
        return builtins.open(file, mode, buffering, encoding, errors, newline)  # noqa: PTH123

    return opened
