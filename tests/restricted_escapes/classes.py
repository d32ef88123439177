"""Ways by making classes, and by the code that is generated for them."""

from tests.restricted_escapes.escape import Escape

# fmt: off
CLASSES = (
    Escape(
        'make_dataclass',
        "from dataclasses import make_dataclass\nprint('ESCAPED')",
        1, 'make_dataclass',
    ),
    Escape(
        'type from an annotation',
        "import typing\nT = typing.get_origin(typing.Type[int])\nT('X', (), {})\n"
        "print('ESCAPED')",
        3, 'type()',
    ),
    Escape(
        "class by an enumeration's metaclass",
        "import enum\ntype(enum.Enum)('X', (), {})",
        2, 'type()', prints=False,
    ),
    Escape(
        'class by an alias',
        "class A: pass\ntype(type[int])\nprint('ESCAPED')",
        2, 'type() of a',
    ),
    Escape(
        'type by comparing aliases',
        'import typing\nclass C:\n'
        "    def __eq__(self, other): return other('X', (), {})\n"
        "A = type(typing.List[int])\ntyping.Type[int] == A(C(), ())\nprint('ESCAPED')",
        4, 'type() of a',
    ),
    Escape(
        'metaclass by deriving',
        "class M(type):\n    pass\nprint('ESCAPED')",
        1, 'deriving from type',
    ),
    Escape('metaclass', "import abc\nabc.ABCMeta('X', (), {})\nprint('ESCAPED')", 2, 'abc.ABCMeta'),
    Escape(
        "code in a field's name by a field",
        'import dataclasses\n@dataclasses.dataclass\nclass A:\n    x: int\n'
        "dataclasses.fields(A)[0].name = 'x=print(1)'\nprint('ESCAPED')",
        5, 'setting the attribute name',
    ),
    Escape(
        "code in a field's name by a copy",
        'import copy\nfrom dataclasses import dataclass, fields\n@dataclass\nclass A:\n'
        "    x: int = 0\nclass T:\n    __slots__ = ('name',)\n    made = []\n"
        '    def __new__(cls): return cls.made[0] if cls.made else object.__new__(cls)\n'
        't = T()\nt.name = \'x:print("ESCAPED")=1\'\nT.made.append(fields(A)[0])\n'
        'copy.copy(t)\n@dataclass\nclass B(A):\n    y: int = 1',
        13, 'copying a T object to a Field object', prints=False,
    ),
    Escape(
        'match by position',
        'from dataclasses import dataclass\n@dataclass\nclass S(str):\n    format: int\n'
        "match S('{}'):\n    case S(f):\n        f\nprint('ESCAPED')",
        6, 'positions',
    ),
    Escape(
        'a metaclass',
        'class M(type):\n    def __call__(cls): return 1\n'
        "class C(metaclass=M): pass\nprint('ESCAPED', C())",
        3, 'metaclass=',
    ),
    Escape(
        'a class by type',
        "print('ESCAPED', type('C', (), {'__annotations__': {'a b': 1}}))",
        1, 'type()',
    ),
    Escape(
        'code in the name of a field',
        'import dataclasses\nM = dataclasses.MISSING\nclass F(dataclasses.Field):\n'
        '    reads = 0\n    @property\n    def name(self):\n        F.reads += 1\n'
        "        return 'x{().__class__.__base__}' if F.reads == number else 'x'\n"
        '    @name.setter\n    def name(self, value): pass\n'
        'for number in range(1, 12):\n    F.reads = 0\n    class C:\n'
        '        x: int = F(0, M, True, True, None, True, None, False)\n'
        '    try: text = repr(dataclasses.dataclass(init=False, eq=False)(C)())\n'
        "    except SyntaxError: text = ''\n"
        '    if "class \'object\'" in text: print(\'ESCAPED\', text)',
        3, 'a class derived from dataclasses.Field',
    ),
    Escape(
        "the library's class made a dataclass",
        'import json\nfrom dataclasses import dataclass\ndataclass(json.JSONEncoder)\n'
        "print('ESCAPED', json.JSONEncoder())",
        3, 'changing the class JSONEncoder',
    ),
    Escape(
        'a field that a comparison reads',
        'from dataclasses import dataclass\n@dataclass(init=False)\nclass S(str):\n'
        '    format: object\nclass Spy:\n'
        "    def __eq__(self, other): print('ESCAPED', other(())); return True\n"
        "a, b = S('{0.__class__}'), S('')\nb.format = Spy()\na == b",
        2, "a field called 'format'",
    ),
    Escape(
        "a dataclass's __init__ on the library's class",
        'import random\nfrom dataclasses import dataclass\n@dataclass\n'
        'class Set: seed: object\nSet.__init__(random.Random, 7)\n'
        "print('ESCAPED', random.Random.seed)",
        5, 'Set.__init__ with a type object',
    ),
    Escape(
        "a slotted dataclass's __init__ on another class",
        'import json\nfrom dataclasses import dataclass\n@dataclass(slots=True)\n'
        "class Set: x: object\nSet.__init__(json.JSONEncoder, 'ESCAPED')\n"
        'print(json.JSONEncoder.x)',
        5, 'Set.__init__ with a type object',
    ),
    Escape(
        'an __init__ seen while the dataclass is made',
        'import json\nfrom dataclasses import dataclass\nmade = []\nclass Base:\n'
        '    __slots__ = ()\n    def __init_subclass__(cls): made.append(cls.__init__)\n'
        '@dataclass(slots=True)\nclass Set(Base): x: object\n'
        "made[-1](json.JSONEncoder, 'ESCAPED')\nprint(json.JSONEncoder.x)",
        9, 'Set.__init__ with a type object',
    ),
    Escape(
        'an inherited __init__ on a registered class',
        'import json\nfrom abc import ABC\nfrom dataclasses import dataclass\n'
        '@dataclass\nclass Set(ABC): x: object\nclass More(Set): pass\n'
        'Set.register(json.JSONEncoder)\nencoder = json.JSONEncoder()\n'
        "More.__init__(encoder, 'ESCAPED')\nprint(encoder.x)",
        9, 'Set.__init__ with a JSONEncoder object',
    ),
    Escape(
        'an __init__ by super of two classes',
        'import json\nfrom dataclasses import dataclass\n@dataclass\n'
        'class Set: x: object\nclass More(Set): pass\n'
        "super(More, More).__init__(json.JSONEncoder, 'ESCAPED')\n"
        'print(json.JSONEncoder.x)',
        6, 'Set.__init__ with a type object',
    ),
    Escape(
        'a field inherited from a file',
        'import io\nfrom dataclasses import dataclass\n@dataclass\n'
        "class Raw(io.BytesIO): detach: object = None\nprint('ESCAPED')",
        3, "a field called 'detach'",
    ),
    Escape(
        "a frozen dataclass's __init__ on an object of the library",
        'import random\nfrom dataclasses import dataclass\n@dataclass(frozen=True)\n'
        "class Set: seed: object\nr = random.Random()\nSet.__init__(r, 'ESCAPED')\n"
        'print(r.seed)',
        6, 'Set.__init__ with a Random object',
    ),
    Escape(
        "a dataclass's __repr__ on the library's class",
        'import random\nfrom dataclasses import dataclass\n@dataclass\n'
        'class Show: _randbelow: object\n'
        "print('ESCAPED', Show.__repr__(random.Random()))",
        5, 'Show.__repr__ with a Random object',
    ),
    Escape(
        "a field renamed while its dataclass is written",
        'from dataclasses import dataclass, fields\n'
        '@dataclass(eq=False)\n'
        'class N:\n'
        '    name: str\n'
        'class Trap:\n'
        '    def __get__(self, o, c):\n'
        '        N.__init__(f, "a,got.append('
        '[k for k in ().__class__.__base__.__subclasses__() if k.__na'
        'me__==\'_wrap_close\'][0].__init__.__globals__)")\n'
        '        return 5\n'
        '@dataclass(eq=False, init=False, repr=False)\n'
        'class B:\n'
        '    a: int = 0\n'
        'f = fields(B)[0]; got = []\n'
        '@dataclass(init=False, repr=False)\n'
        'class C(B):\n'
        '    b: int = Trap()\n'
        'C() == C()\n'
        "g = got[0]; print('ESCAPED', g['getpid'](), g['listdir']('/'))\n",
        7, 'N.__init__ with a Field object',
    ),
)
# fmt: on
