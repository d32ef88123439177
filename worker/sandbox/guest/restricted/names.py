"""Which names a program may use. What starts with an underscore needs a reason to be allowed."""

from RestrictedPython.transformer import INSPECT_ATTRIBUTES

MODULE_NAMES = frozenset({"__all__", "__author__", "__version__"})  # a program's own variables
READABLE_NAMES = frozenset({"__name__", "__doc__", "__debug__"})  # variables that are there

_CONVERSIONS = "bool bytes complex float format hash index int len length_hint repr str"
_COMPARISONS = "eq ge gt le lt ne"
_CONTAINERS = "contains delitem getitem iter missing next reversed setitem"
_ARITHMETIC = "add and divmod floordiv lshift matmul mod mul or pow rshift sub truediv xor"
_UNARY = "abs ceil floor invert neg pos round trunc"
_LIFE = "call class_getitem copy deepcopy enter exit init init_subclass new post_init set_name"


def _special(words: str) -> set[str]:
    return {f"__{word}__" for word in words.split()}


SPECIAL_METHODS = frozenset(
    _special(f"{_CONVERSIONS} {_COMPARISONS} {_CONTAINERS} {_ARITHMETIC} {_UNARY} {_LIFE}")
    | {f"__{kind}{word}__" for kind in "ir" for word in _ARITHMETIC.split()}
)
"""May be defined in a class and called by name, as in `super().__init__()`. What serialises
(`__reduce__`) is missing on purpose: copying would set any attribute that it names."""

ATTRIBUTE_METHODS = frozenset(_special("getattr getattribute setattr delattr get set delete"))
"""May be defined in a class, but not called by name: they take names that nothing checks."""

CLASS_VARIABLES = frozenset({"__slots__", "__hash__", "__test__"})
ENUM_METHODS = frozenset({"_generate_next_value_", "_ignore_", "_missing_", "_order_"})
ENUM_ATTRIBUTES = frozenset({"_name_", "_value_"})
NAMEDTUPLE_ATTRIBUTES = frozenset({"_asdict", "_field_defaults", "_fields", "_make", "_replace"})
IN_CLASS = SPECIAL_METHODS | ATTRIBUTE_METHODS | CLASS_VARIABLES | ENUM_METHODS

TEXT_ATTRIBUTES = frozenset({"__name__", "__qualname__", "__doc__"})  # of classes and functions
OPENED_ATTRIBUTES = TEXT_ATTRIBUTES | SPECIAL_METHODS | {"__setattr__", "__members__"}
"""With two underscores, and still readable; the guard looks at the object as well."""

FRAME_ATTRIBUTES = frozenset(INSPECT_ATTRIBUTES)
FORMATTERS = frozenset({"format", "format_map"})  # of str: their fields reach any attribute
RAW_FILE_ATTRIBUTES = frozenset({"detach", "raw"})  # of files: a raw file can be opened anew
# Read through a guard or not at all: these depend on the object.
GUARDED_ATTRIBUTES = FORMATTERS | RAW_FILE_ATTRIBUTES | {"obj"}

UNGUARDED_ATTRIBUTES = FRAME_ATTRIBUTES | GUARDED_ATTRIBUTES
"""Not allowed where the library or the interpreter reads attributes and no guard stands."""

# Public methods, in Python, of the library's classes that call the class of their first argument:
# a pattern reads them off a class, and with a class in that place they hand out `type`.
MAKING_METHODS = frozenset({"copy", "deleter", "getter", "new_child", "pop_all", "setter"})

MISSING_BUILTINS = frozenset(
    {"breakpoint", "compile", "delattr", "dir", "eval", "exec", "globals", "help", "locals", "vars"}
)


def told(name: str) -> str:
    """Return an attribute's name for a message: a program chooses the name, not the words."""
    return name[:60] if name.isidentifier() else "of that name"


def is_dunder(name: str) -> bool:
    """Whether `name` starts and ends with an underscore, as only Python's own names should."""
    return name.startswith("_") and name.endswith("_") and name.strip("_") != ""


def is_private(name: str) -> bool:
    """Whether `name` is one that a class keeps to itself, as `_x` or `__x`."""
    return name.startswith("_") and not name.endswith("_")
