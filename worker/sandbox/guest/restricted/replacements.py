"""Functions of the library that take names of attributes, rewritten to ask the guards."""

import copy
import enum
import functools
import types
import typing
from collections.abc import Callable
from typing import Any

from . import names
from .errors import refuse
from .guards import getattr_, writable
from .kinds import Kind
from .methods import is_own_class


def attrgetter(attribute: str, *more: str) -> Callable[[Any], Any]:
    """As `operator.attrgetter`."""

    def one(obj: Any, path: str) -> Any:
        for name in path.split("."):
            obj = getattr_(obj, _text(name))
        return obj

    if not more:
        return lambda obj: one(obj, attribute)
    return lambda obj: tuple(one(obj, path) for path in (attribute, *more))


def methodcaller(name: str, /, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """As `operator.methodcaller`."""
    return lambda obj: getattr_(obj, _text(name))(*args, **kwargs)


def _text(name: str) -> str:
    if type(name) is not str:
        raise TypeError("attribute name must be a string")
    return name


def update_wrapper(wrapper: Any, wrapped: Any) -> Any:
    """As `functools.update_wrapper`, for the usual attributes of a program's own function."""
    writable(wrapper, "wrapper")
    for name in names.TEXT_ATTRIBUTES:
        if type(getattr(wrapped, name, None)) is str:
            setattr(wrapper, name, getattr(wrapped, name))
    return wrapper


def wraps(wrapped: Any) -> Callable[[Any], Any]:
    """As `functools.wraps`."""
    return lambda wrapper: update_wrapper(wrapper, wrapped)


def dataclass(cls: type | None = None, /, **options: Any) -> Any:
    """As `dataclasses.dataclass`, which writes code from the names of the fields."""
    import dataclasses  # by who uses it: it costs a fifth of the whole start

    if cls is None:
        return lambda actual: dataclass(actual, **options)
    _refuse_foreign(cls)
    for base in cls.__mro__:
        # Not by way of getattr: what a class inherits is looked at with its own class.
        own = vars(base).get("__annotations__", {})
        known = vars(base).get("__dataclass_fields__", {})
        for name in [*own, *(field.name for field in known.values())]:
            if type(name) is not str or not name.isidentifier() or _is_special(name):
                refuse(f"a field called {str(name)[:40]!r}")
    if not vars(cls).get("__doc__"):
        # Else the library looks for a signature, and evaluates what a base's docstring says.
        cls.__doc__ = f"{cls.__name__}, a dataclass"
    return dataclasses.dataclass(**options)(cls)


def _is_special(name: str) -> bool:
    # What is generated reads and sets the fields where no guard stands.
    return names.is_dunder(name) or name in names.UNGUARDED_ATTRIBUTES


def _refuse_foreign(cls: Any) -> None:
    """Refuse to add methods to a class that the program did not make."""
    if isinstance(cls, type) and not is_own_class(cls):
        refuse(f"changing the class {cls.__name__}")


def total_ordering(cls: Any) -> Any:
    """As `functools.total_ordering`."""
    _refuse_foreign(cls)
    return functools.total_ordering(cls)


def get_origin(annotation: Any) -> Any:
    """As `typing.get_origin`."""
    origin = typing.get_origin(annotation)
    return Kind if isinstance(origin, type) and issubclass(origin, type) else origin


def _members(given: Any) -> list[Any]:
    """Return names, or pairs of name and value, that cannot change once they were looked at."""
    if isinstance(given, str):
        return str.replace(given, ",", " ").split()
    if hasattr(given, "keys"):
        return list(dict(given).items())
    return [item if type(item) is str else tuple(item) for item in given]


def guard_enum() -> None:
    """Make `Enum("Name", members)` refuse names that a class body could not have.

    The method is the library's own, private and the one place that all such calls pass.
    """
    create: Any = enum.EnumMeta._create_  # type: ignore[attr-defined]

    @functools.wraps(create)
    def guarded(cls: Any, class_name: str, names: Any, **options: Any) -> Any:
        members = _members(names)
        for item in members:
            name = item if type(item) is str else item[0]
            if type(name) is not str or name.startswith("_"):
                refuse(f"a member called {str(name)[:40]!r}")
        return create(cls, class_name, members, **options)

    enum.EnumMeta._create_ = guarded  # type: ignore[attr-defined]


def _same_kind(given: Any, made: Any) -> Any:
    if type(made) is not type(given):
        refuse(f"copying a {type(given).__name__} object to a {type(made).__name__} object")
    return made


def guard_copy() -> None:
    """Make copying build nothing but another object of the same class.

    What an object says of how to copy it (`__reduce_ex__`) may name any function, and then has the
    library set any attribute of what that returns. Private as well, and the one place.
    """
    reconstruct: Any = copy._reconstruct  # type: ignore[attr-defined]

    @functools.wraps(reconstruct)
    def guarded(x: Any, memo: Any, func: Any, args: Any, *rest: Any, **options: Any) -> Any:
        def build(*given: Any) -> Any:
            made = func(*given)
            return _same_kind(x, made)

        return reconstruct(x, memo, build, args, *rest, **options)

    def copied_method(x: Any, memo: Any) -> Any:
        owner = _same_kind(x.__self__, copy.deepcopy(x.__self__, memo))
        return types.MethodType(x.__func__, owner)

    copy._reconstruct = guarded  # type: ignore[attr-defined]
    copy._deepcopy_dispatch[types.MethodType] = copied_method  # type: ignore[attr-defined]


def _no_derived_field(_cls: type, /, **_options: Any) -> None:
    refuse("a class derived from dataclasses.Field")


def guard_dataclasses(module: Any) -> None:
    """Make fields what the library takes them for: their names are written into code."""
    module.Field.__init_subclass__ = classmethod(_no_derived_field)


def guard_statistics(module: Any) -> None:
    """Make averages be of the kind of what they are of only where that is no kind of class."""
    convert = module._convert

    def guarded(value: Any, kind: type) -> Any:
        if issubclass(kind, type):
            refuse("an average of classes")
        return convert(value, kind)

    module._convert = guarded


AT_IMPORT: dict[str, Callable[[Any], None]] = {
    "dataclasses": guard_dataclasses,
    "statistics": guard_statistics,
}
"""Module: what is done to it before a program gets to see it."""

BY_MODULE: dict[str, dict[str, Any]] = {
    "dataclasses": {"dataclass": dataclass},
    "functools": {
        "total_ordering": total_ordering,
        "update_wrapper": update_wrapper,
        "wraps": wraps,
    },
    "operator": {"attrgetter": attrgetter, "methodcaller": methodcaller},
    "typing": {"get_origin": get_origin},
}
