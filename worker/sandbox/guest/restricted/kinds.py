"""`type` without its power to make classes."""

import io
import types
import typing
from typing import Any

from .errors import refuse
from .guards import Module

# Calling these makes code, frames' relatives, or opens a file by its name.
_HIDDEN = (
    types.FunctionType,
    types.CodeType,
    types.ModuleType,
    types.FrameType,
    types.TracebackType,
    types.MethodType,
    io.FileIO,
    Module,
    # Comparing one that the program made would show it what another one stands for.
    types.GenericAlias,
    type(typing.List),  # noqa: UP006
    type(typing.List[int]),  # noqa: UP006
)


class _KindMeta(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if len(args) != 1 or kwargs:
            refuse("type() with more than one argument")
        kind = type(args[0])
        if issubclass(kind, type):
            return cls
        if issubclass(kind, _HIDDEN):
            refuse(f"type() of a {kind.__name__}")
        return kind

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, type)

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return issubclass(subclass, type)

    def __repr__(cls) -> str:
        return "<class 'type'>"


class Kind(metaclass=_KindMeta):
    """What a program knows as `type`: tells the class of an object."""

    def __class_getitem__(cls, item: Any) -> Any:
        # Not type[item]: calling that makes a class.
        return typing.Type[item]  # noqa: UP006

    def __init_subclass__(cls) -> None:
        refuse("deriving from type")
