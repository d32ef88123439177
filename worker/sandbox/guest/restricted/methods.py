"""Methods read off a class: the library's own run only on objects that are of that class.

A library's method, or one that it generates (a dataclass's `__init__`), reads and sets attributes
and makes objects where no guard stands. Called on a foreign object it would do so for the program.
"""

import types
import typing
from collections.abc import Callable
from typing import Any

from .errors import refuse

PROGRAM = "__main__"  # __module__ of the classes that the program defines
# They hand on what they are asked for to the class that they stand for.
_ALIASES = (types.GenericAlias, typing._BaseGenericAlias)  # type: ignore[attr-defined]
_MRO: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
_SELF: Callable[[super], Any] = super.__dict__["__self__"].__get__


def is_instance(obj: Any, kind: type) -> bool:
    """Whether `obj` really is a `kind`, whatever it says of itself and whatever was registered."""
    return any(base is kind for base in _MRO(type(obj)))


def is_own_class(kind: type) -> bool:
    """Whether the program made the class."""
    return kind.__dict__.get("__module__") == PROGRAM


def subject(obj: Any) -> Any:
    """Return whose attributes `obj` has: what `super()` reads is the object's own."""
    return _SELF(obj) if issubclass(type(obj), super) else obj


def read(obj: Any, name: str, function: types.FunctionType) -> Any:
    """Return the library's `function`, which was read off `obj`, so that it is safe to call."""
    owner = subject(obj)
    while issubclass(type(owner), _ALIASES):
        owner = owner.__origin__
    if issubclass(type(owner), property):
        refuse(f"the {name} of a property of the library")
    if not issubclass(type(owner), type):
        return function
    for base in _MRO(owner):
        if base.__dict__.get(name) is function:
            # The rest the program put there itself, as a name for a function of a module.
            bound = not is_own_class(base) or name.endswith("__")
            return _on_instances_of(base, name, function) if bound else function
    return function  # a static method


def _on_instances_of(kind: type, name: str, function: types.FunctionType) -> Any:
    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not is_instance(self, kind):
            what = f"{kind.__name__}.{name} with a {type(self).__name__} object"
            refuse(what)
        return function(self, *args, **kwargs)

    method.__name__, method.__qualname__ = function.__name__, function.__qualname__
    method.__doc__ = function.__doc__
    return method
