"""Known ways out of RestrictedPython, and our own: each must end in a refusal, on its line.

A way that is caught while the program runs may be wrapped in `try` by the program; the ways here
are not, so that each ends with the refusal's line and words.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Escape:
    """One way: its source, the line that is refused and some words of the refusal."""

    name: str
    source: str
    line: int
    words: str


ESCAPES = [
    # --- Imports
    Escape("import os", "x = 1\nimport os\nos.system('id')", 2, "import of os"),
    Escape("import inside a function", "def f():\n    import subprocess\nf()", 2, "subprocess"),
    Escape("from import", "from os import path", 1, "import of os"),
    Escape("import as", "import json, importlib as i", 1, "import of importlib"),
    Escape("import *", "from math import *", 1, "import of *"),
    Escape("relative import", "from . import x", 1, "relative import"),
    Escape("submodule of an allowed module", "import json.decoder", 1, "json.decoder"),
    Escape("module's module", "import json\njson.codecs.open('/etc/passwd')", 2, "json.codecs"),
    Escape("module's module by from", "\nfrom re import enum as e\ne.sys", 2, "re.enum"),
    Escape("submodule by from", "from json import decoder", 1, "json.decoder"),
    Escape("unlisted name of sys", "import sys\nsys.modules['os']", 2, "sys.modules"),
    Escape("file by its name", "import io\nio.open('/etc/passwd')", 2, "io.open"),
    Escape("types.CodeType", "import types\ntypes.CodeType", 2, "types.CodeType"),
    Escape("what a built-in imports", "import _strptime\n_strptime.datetime", 1, "_strptime"),
    Escape("__import__ by name", "__import__('os')", 1, "__import__"),
    Escape("guard as a variable", "_getattr_ = lambda o, n: o", 1, "_getattr_"),
    Escape("guard by import as", "import math as _getattr_", 1, "_getattr_"),
    Escape("guard as an argument", "def f(_write_): pass", 1, "_write_"),
    Escape("guard by except", "try:\n    1/0\nexcept E as _getiter_:\n    pass", 3, "_getiter_"),
    Escape("guard by walrus", "(_getitem_ := 1)", 1, "_getitem_"),
    Escape("guard by match", "match 1:\n    case _getattr_:\n        pass", 2, "_getattr_"),
    Escape("builtins as a variable", "__builtins__['eval']", 1, "__builtins__"),
    # --- Code from text
    Escape("eval", "eval('1')", 1, "eval is not available"),
    Escape("exec", "x = exec\nx('1')", 1, "exec is not available"),
    Escape("compile", "compile('1', '', 'eval')", 1, "compile is not available"),
    Escape("globals", "globals()", 1, "globals is not available"),
    Escape("vars", "vars(int)", 1, "vars is not available"),
    Escape("make_dataclass", "from dataclasses import make_dataclass", 1, "make_dataclass"),
    Escape("type hints", "import typing\ntyping.get_type_hints(int)", 2, "get_type_hints"),
    Escape("singledispatch", "from functools import singledispatch", 1, "singledispatch"),
    Escape("class by type()", "type('X', (), {'__annotations__': {'a b': 1}})", 1, "type()"),
    Escape(
        "type from an annotation",
        "import typing\nT = typing.get_origin(typing.Type[int])\nT('X', (), {})", 3, "type()",
    ),
    Escape(
        "class by an enumeration's metaclass",
        "import enum\ntype(enum.Enum)('X', (), {})", 2, "type()",
    ),
    Escape("class by an alias", "class A: pass\ntype(type[int])", 2, "type() of a"),
    Escape(
        "type by comparing aliases",
        "import typing\nclass C:\n    def __eq__(self, other): return other('X', (), {})\n"
        "A = type(typing.List[int])\ntyping.Type[int] == A(C(), ())", 4, "type() of a",
    ),
    Escape("metaclass by deriving", "class M(type):\n    pass", 1, "deriving from type"),
    Escape("metaclass", "import abc\nabc.ABCMeta('X', (), {})", 2, "abc.ABCMeta"),
    Escape("metaclass keyword", "class A(metaclass=type):\n    pass", 1, "metaclass="),
    Escape(
        "code in a field's name by an enumeration",
        "import enum, dataclasses\n"
        "E = enum.Enum('E', {'__annotations__': {'x=print(1)': int}})\n"
        "dataclasses.dataclass(E)", 2, "a member called '__annotations__'",
    ),
    Escape(
        "code in a field's name by a field",
        "import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int\n"
        "dataclasses.fields(A)[0].name = 'x=print(1)'", 5, "setting the attribute name",
    ),
    Escape(
        "code in a field's name by a copy",
        "import copy\nfrom dataclasses import dataclass, fields\n@dataclass\nclass A:\n    x: int\n"
        "class T:\n    __slots__ = ('name',)\n    made = []\n"
        "    def __new__(cls): return cls.made[0] if cls.made else object.__new__(cls)\n"
        "t = T()\nt.name = 'x=print(1)'\nT.made.append(fields(A)[0])\ncopy.copy(t)\n"
        "@dataclass\nclass B(A):\n    y: int = 1", 13, "copying a T object to a Field object",
    ),
    Escape(
        "pickle protocol sets attributes",
        "class A:\n    def __reduce_ex__(self, n):\n        return (f, (), {'__code__': 1})", 2,
        "__reduce_ex__",
    ),
    # --- Attributes
    Escape("subclasses", "().__class__.__base__.__subclasses__()", 1, "__class__"),
    Escape("bases", "int.__bases__", 1, "__bases__"),
    Escape("mro by name", "int.__mro__[1]", 1, "__mro__"),
    Escape("globals of a function", "def f(): pass\nf.__globals__", 2, "__globals__"),
    Escape("code of a function", "(lambda: 0).__code__", 1, "__code__"),
    Escape("self of a builtin", "print.__self__", 1, "__self__"),
    Escape("dict of a class", "int.__dict__", 1, "__dict__"),
    Escape("setting a class", "class A: pass\nA().__class__ = A", 2, "__class__"),
    Escape("frame of a generator", "(x for x in ()).gi_frame.f_back", 1, "gi_frame"),
    Escape("code of a generator", "g = (x for x in ())\ng.gi_code", 2, "gi_code"),
    Escape(
        "generator that looks at itself",
        "g = (g.gi_frame.f_back.f_back for x in [1])\nfor x in g: x.f_builtins", 1, "gi_frame",
    ),
    Escape(
        "frame of a traceback",
        "try:\n    1 / 0\nexcept Exception as e:\n    e.__traceback__.tb_frame.f_globals", 4,
        "tb_frame",
    ),
    Escape(
        "traceback by __exit__",
        "class A:\n    def __enter__(self): pass\n"
        "    def __exit__(self, kind, error, tb): tb.tb_frame\nwith A():\n    1 / 0", 3,
        "tb_frame",
    ),
    Escape("except*", "try:\n    1\nexcept* ValueError:\n    pass", 1, "except*"),
    Escape("async", "async def f():\n    await g()", 1, "async def"),
    Escape("getattr", "n = '__cl' + 'ass__'\ngetattr((), n)", 2, "__class__"),
    Escape("getattr of a frame", "getattr((x for x in ()), 'gi_' + 'frame')", 1, "gi_frame"),
    Escape("setattr", "def f(): pass\nsetattr(f, '__co' + 'de__', 1)", 2, "__code__"),
    Escape("hasattr", "hasattr((), '__subcl' + 'asses__')", 1, "__subclasses__"),
    Escape("map of getattr", "list(map(getattr, [()], ['__class__']))", 1, "__class__"),
    Escape("private of a module", "import random\nrandom._os", 2, "_os"),
    Escape("private of the library", "import random\nrandom.Random()._randbelow", 2, "_randbelow"),
    Escape(
        "private of a base of one's own",
        "import random\nclass R(random.Random): pass\nR()._randbelow", 3, "_randbelow",
    ),
    Escape(
        "attrgetter", "import operator\noperator.attrgetter('__class__')(())", 2, "__class__"
    ),
    Escape(
        "methodcaller",
        "import operator\noperator.methodcaller('__subclasses__')(int)", 2, "__subclasses__",
    ),
    Escape(
        "reduce over getattr",
        "import functools\nfunctools.reduce(getattr, ['__class__', '__base__'], ())", 2,
        "__class__",
    ),
    Escape(
        "update_wrapper copies what it is told",
        "import functools\nclass W: pass\n"
        "try:\n    functools.update_wrapper(W(), print, ('__self__',))\nexcept TypeError:\n"
        "    W().__self__", 6, "__self__",
    ),
    Escape(
        "update_wrapper makes a class one's own",
        "import functools, random\nclass W: pass\nfunctools.update_wrapper(random.Random, W)", 3,
        "the class Random",
    ),
    Escape(
        "object.__setattr__",
        "import random\nobject.__setattr__(random.Random(), 'seed', 1)", 2, "attribute seed",
    ),
    Escape("object.__getattribute__", "object.__getattribute__((), 'x')", 1, "__getattribute__"),
    Escape("changing a module", "import json\njson.dumps = 1", 2, "attribute dumps"),
    Escape("changing the library's class", "import random\nrandom.Random.x = 1", 2, "class Random"),
    Escape(
        "the object of an error",
        "import json\ntry:\n    json.nothing\nexcept AttributeError as e:\n    e.obj", 5, "obj",
    ),
    # --- Formats
    Escape("format", "'{0.__class__}'.format(1)", 1, "__class__"),
    Escape("nested format", "'{0:{0.__class__}}'.format(1)", 1, "__class__"),
    Escape("str.format", "str.format('{0.__class__.__init__.__globals__}', 1)", 1, "__class__"),
    Escape("format_map", "'{x.__class__}'.format_map({'x': 1})", 1, "__class__"),
    Escape("map of format", "list(map('{0.__class__}'.format, [1]))", 1, "__class__"),
    Escape(
        "format of a subclass",
        "class S(str):\n    def f(self, *a): return super().format(*a)\nS('{0.__class__}').f(1)",
        2, "__class__",
    ),
    Escape("UserString", "import collections\ncollections.UserString", 2, "UserString"),
    Escape(
        "format of an enumeration's text",
        "import enum\nclass E(enum.StrEnum):\n    A = '{0.__class__}'\nE.A.format(1)", 4,
        "__class__",
    ),
    Escape("Formatter", "import string\nstring.Formatter().format('{0.x}', 1)", 2, "Formatter"),
    Escape("f-string", "f'{().__class__}'", 1, "__class__"),
    # --- match reads attributes where no guard stands
    Escape("match", "match 1:\n    case object(__class__=c):\n        c", 2, "__class__"),
    Escape("match of format", "match '{}':\n    case str(format=f):\n        f", 2, "format"),
    Escape(
        "match by position",
        "from dataclasses import dataclass\n@dataclass\nclass S(str):\n    format: int\n"
        "match S('{}'):\n    case S(f):\n        f", 6, "positions",
    ),
    Escape("match of a private value", "match 1:\n    case a._b:\n        pass", 2, "_b"),
    # --- Files
    Escape("open outside the workspace", "open('/etc/passwd')", 1, "opening files outside"),
    Escape("open by dots", "open('../etc/passwd')", 1, "opening files outside"),
    Escape("open of the process", "open('/proc/self/environ')", 1, "opening files outside"),
    Escape("raw file", "open('main.py', 'rb', 0)", 1, "without a buffer"),
    Escape(
        "raw file below a text file",
        "f = open('main.py')\nf.buffer.raw.__init__('/etc/passwd')", 2, "raw",
    ),
    Escape("raw file of standard input", "import sys\nsys.stdin.buffer.detach()", 2, "detach"),
]  # fmt: skip
