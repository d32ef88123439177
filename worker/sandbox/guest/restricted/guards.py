"""The part of the policy that stands in the running program: attributes, items and iteration."""

import io
import sys
import types
from typing import Any

from . import methods, names
from .errors import refuse
from .formatting import safe_format, safe_format_map
from .methods import PROGRAM, is_own_class

_LOOKED_AT = names.UNGUARDED_ATTRIBUTES
OWN_FILES: set[str] = set()  # what the code of the program has as its file
_MISSING = object()
# Objects that lead from a computation to the interpreter; no guard hands them out.
_INTERNAL = (types.ModuleType, types.FrameType, types.CodeType, types.TracebackType, io.FileIO)
_PLAIN = (str, bytes, bytearray, range, io.IOBase)  # iterating these gives nothing to check


class Module:
    """What an import gives: the public names of a module that the policy lets through."""

    __slots__ = ("__dict__", "_name", "_withheld")

    def __init__(self, name: str, exported: dict[str, Any], withheld: frozenset[str]) -> None:
        self._name = name
        self._withheld = withheld
        self.__dict__.update(exported)

    def __repr__(self) -> str:
        return f"<module {self._name!r}, as far as the policy shows it>"


def checked(value: Any) -> Any:
    """Return `value`, unless it is the interpreter's own."""
    if isinstance(value, _INTERNAL):
        refuse(f"a {type(value).__name__} object")
    return value


def getattr_(obj: Any, name: str, default: Any = _MISSING) -> Any:
    """Return an attribute that the policy lets the program read."""
    if name[:1] == "_" or name in _LOOKED_AT:
        return _guarded(obj, name, default)
    if type(obj) is Module and name not in obj.__dict__:
        _missing_name(obj, name, default)
    value = getattr(obj, name) if default is _MISSING else getattr(obj, name, default)
    return _handed_out(obj, name, value)


def _handed_out(obj: Any, name: str, value: Any) -> Any:
    if isinstance(value, _INTERNAL):
        return checked(value)
    if type(value) is types.FunctionType and value.__code__.co_filename not in OWN_FILES:
        return methods.read(obj, name, value)
    return value


def _missing_name(module: Module, name: str, default: Any) -> None:
    if name in module._withheld:
        refuse(f"{module._name}.{name}")
    if default is _MISSING:
        raise AttributeError(f"module {module._name!r} has no attribute {name!r}")


def _guarded(obj: Any, name: str, default: Any) -> Any:
    subject = methods.subject(obj)
    if name in names.FORMATTERS:
        return _formatter(obj, subject, name)
    if name == "__setattr__":
        return _setter(obj)
    if not _may_read(subject, name):
        refuse(f"the attribute {names.told(name)}")
    value = getattr(obj, name) if default is _MISSING else getattr(obj, name, default)
    return _handed_out(obj, name, value)


def _may_read(obj: Any, name: str) -> bool:
    if name in names.FRAME_ATTRIBUTES:
        return False
    is_file = issubclass(_class_of(obj), io.IOBase)
    if name in names.GUARDED_ATTRIBUTES:
        return not is_file and not (name == "obj" and isinstance(obj, AttributeError))
    if name in names.OPENED_ATTRIBUTES:
        return not isinstance(obj, Module) and (name in names.TEXT_ATTRIBUTES or not is_file)
    is_tuple = issubclass(_class_of(obj), tuple)
    return (is_tuple and name in names.NAMEDTUPLE_ATTRIBUTES) or owns(obj, name)


def _class_of(obj: Any) -> type:
    return obj if isinstance(obj, type) else type(obj)


def owns(obj: Any, name: str) -> bool:
    """Whether `name` is the program's own on `obj`: nothing that Python's library keeps there."""
    if isinstance(obj, types.FunctionType):
        return obj.__module__ == PROGRAM and names.is_private(name)
    is_enum_name = name in names.ENUM_ATTRIBUTES
    if not names.is_private(name) and not is_enum_name:
        return False
    found = False
    for base in _class_of(obj).__mro__:
        if is_own_class(base):
            found = True
        elif name in base.__dict__ and not is_enum_name:
            return False
    return found


def _formatter(obj: Any, subject: Any, name: str) -> Any:
    kind = _class_of(subject)
    if not issubclass(kind, str) or _definer(kind, name) is not str:
        return _handed_out(obj, name, getattr(obj, name))
    method = safe_format if name == "format" else safe_format_map
    if isinstance(subject, str):
        return lambda *args, **kwargs: method(getattr_, subject, *args, **kwargs)
    return lambda text, *args, **kwargs: method(getattr_, text, *args, **kwargs)


def _definer(kind: type, name: str) -> type:
    """Return whose `name` it is; str's when a `super()` might mean it."""
    return next((base for base in kind.__mro__ if name in base.__dict__), str)


def _setter(obj: Any) -> Any:
    """Return `object.__setattr__` or `super().__setattr__` with the guard in front."""
    if obj is object:
        return lambda target, name, value: object.__setattr__(writable(target, name), name, value)
    if type(obj) is super:
        target = methods.subject(obj)
        return lambda name, value: obj.__setattr__(_checked_target(target, name), value)
    refuse("the attribute __setattr__")


def _checked_target(target: Any, name: str) -> str:
    writable(target, name)
    return name


def writable(obj: Any, name: str) -> Any:
    """Return `obj` when the program may set or delete its attribute `name`."""
    if type(name) is not str:
        raise TypeError("attribute name must be string")
    if name[:1] == "_":
        if not owns(obj, name):
            refuse(f"setting the attribute {names.told(name)}")
        return obj
    if is_own_class(type(obj)):
        return obj  # by far the most frequent
    if isinstance(obj, type):
        mine = is_own_class(obj)
    elif isinstance(obj, types.FunctionType):
        mine = obj.__module__ == PROGRAM
    else:
        mine = _is_settable(obj) or any(map(is_own_class, type(obj).__mro__))
    if not mine:
        refuse(f"setting the attribute {names.told(name)} of {_named(obj)}")
    return obj


def _is_settable(obj: Any) -> bool:
    """Whether the library itself means the attributes of `obj` to be set."""
    if isinstance(obj, BaseException | types.SimpleNamespace):
        return True
    decimal = sys.modules.get("decimal")  # imported by the program, or there is no such object
    return decimal is not None and isinstance(obj, decimal.Context)


def _named(obj: Any) -> str:
    if isinstance(obj, type):
        return f"the class {obj.__name__}"
    return f"a {type(obj).__name__} object"


def write(obj: Any) -> Any:
    """Return `obj` when the program may set or delete its items."""
    if isinstance(obj, Module | type):
        refuse(f"setting an item of {_named(obj)}")
    return obj


def getitem(obj: Any, index: Any) -> Any:
    """Return an item, unless it is the interpreter's own."""
    value = obj[index]
    return checked(value) if isinstance(value, _INTERNAL) else value


def getiter(obj: Any) -> Any:
    """Return an iterator that hands out nothing of the interpreter's own."""
    return obj if isinstance(obj, _PLAIN) else map(checked, obj)
