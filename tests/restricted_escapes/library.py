"""Ways by what the library itself reads, sets and makes."""

from tests.restricted_escapes.escape import Escape

# fmt: off
LIBRARY = (
    Escape(
        'pickle protocol sets attributes',
        'class A:\n    def __reduce_ex__(self, n):\n'
        "        return (f, (), {'__code__': 1})\nprint('ESCAPED')",
        2, '__reduce_ex__',
    ),
    Escape(
        'private of an object of the library',
        "import random\nrandom.Random()._randbelow\nprint('ESCAPED')",
        2, '_randbelow',
    ),
    Escape(
        "private of a base of one's own",
        "import random\nclass R(random.Random): pass\nR()._randbelow\nprint('ESCAPED')",
        3, '_randbelow',
    ),
    Escape(
        'update_wrapper copies what it is told',
        'import functools\nclass W: pass\ntry:\n'
        "    functools.update_wrapper(W(), print, ('__self__',))\nexcept TypeError:\n"
        "    W().__self__\nprint('ESCAPED')",
        6, '__self__',
    ),
    Escape(
        "update_wrapper makes a class one's own",
        'import functools, random\nclass W: pass\n'
        'try: functools.update_wrapper(random.Random, W)\n'
        "except AttributeError: print('ESCAPED')",
        3, 'the class Random',
    ),
    Escape(
        'object.__setattr__',
        "import random\nobject.__setattr__(random.Random(), 'seed', 1)\nprint('ESCAPED')",
        2, 'attribute seed',
    ),
    Escape(
        "changing the library's class",
        "import random\nrandom.Random.x = 1\nprint('ESCAPED')",
        2, 'class Random',
    ),
    Escape(
        'format of UserString',
        "import collections\ntext = collections.UserString('{0.__class__.__base__}')\n"
        "print(text.format(()) and 'ESCAPED')",
        2, 'collections.UserString',
    ),
    Escape(
        'format_map of UserString',
        "import collections\ntext = collections.UserString('{a.__class__.__base__}')\n"
        "print(text.format_map({'a': ()}) and 'ESCAPED')",
        2, 'collections.UserString',
    ),
    Escape(
        'format inherited from UserString',
        'import collections\nclass S(collections.UserString): pass\n'
        "text = S('{0.__init__.__globals__[_sys].modules[os].environ}').format(S(''))\n"
        "print(text and 'ESCAPED')",
        2, 'collections.UserString',
    ),
    Escape(
        'a lookup that copying asks',
        'import copy, json\nclass C:\n    def __getattribute__(self, name):\n'
        "        if name == '__reduce_ex__':\n"
        "            return lambda _: (lambda: json.JSONEncoder, (), (None, {'x': 'ESCAPED'}))\n"
        'copy.deepcopy(C())\nprint(json.JSONEncoder.x)',
        6, 'copying a C object to a type object',
    ),
    Escape(
        'an attribute set by copying',
        'import copy, functools, json, typing\ndef give(target, name, value):\n'
        '    class C: pass\n    reduced = (lambda: target, (), (None, {name: value}))\n'
        '    made = functools.cached_property(lambda self: lambda _: reduced)\n'
        "    made.__set_name__(None, '__reduce_ex__')\n    C.made = made\n    c = C()\n"
        "    c.made\n    copy.deepcopy(c)\ngive(json.JSONEncoder, 'x', 'ESCAPED')\n"
        'print(json.JSONEncoder.x)',
        10, 'copying a C object to a type object',
    ),
    Escape(
        'a reference evaluated after copying',
        'import copy, functools, json, typing\ndef give(target, name, value):\n'
        '    class C: pass\n    reduced = (lambda: target, (), (None, {name: value}))\n'
        '    made = functools.cached_property(lambda self: lambda _: reduced)\n'
        "    made.__set_name__(None, '__reduce_ex__')\n    C.made = made\n    c = C()\n"
        '    c.made\n    copy.deepcopy(c)\n'
        'ref = typing.get_args(typing.List[\'__import__("os").getpid\'])[0]\n'
        "give(type(ref), '__module__', '__main__')\n"
        'try: call = ref._evaluate({}, {}, recursive_guard=frozenset())\n'
        "except AttributeError: call = ref.evaluate()\nprint('ESCAPED', call())",
        10, 'copying a C object to a type object',
    ),
    Escape(
        'a metaclass by an average of classes',
        'import statistics\nfrom abc import ABC\nclass P:\n'
        '    def __radd__(self, o): return self\n    def is_finite(self): return False\n'
        '    def __truediv__(self, n): return ABC\nclass C:\n    @staticmethod\n'
        '    def as_integer_ratio(): return (P(), None)\nt = statistics.mean([C])\n'
        "print('ESCAPED', t('X', (), {'__class__': 5}))",
        10, 'an average of classes',
    ),
    Escape(
        "a method of the library's on a class",
        'import collections\nclass C: pass\nt = collections.Counter.copy(C)\n'
        "print('ESCAPED', t('X', (), {'__class__': 5}))",
        3, 'Counter.copy with a type object',
    ),
    Escape(
        'the same by a pattern',
        'import collections\nclass C: pass\nmatch collections.Counter:\n'
        '    case object(copy=f):\n        t = f(C)\n'
        "        print('ESCAPED', t('X', (), {'__class__': 5}))",
        4, 'copy is not allowed in a pattern',
    ),
    Escape(
        'the same by an alias',
        'import collections\nclass C: pass\nt = collections.Counter[int].copy(C)\n'
        "print('ESCAPED', t('X', (), {'__class__': 5}))",
        3, 'Counter.copy with a type object',
    ),
    Escape(
        'a method copied onto another object',
        'import collections, copy\nclass C: pass\nclass D(collections.Counter):\n'
        '    def __deepcopy__(self, memo): return C\nt = copy.deepcopy(D().copy)()\n'
        "print('ESCAPED', t('X', (), {'__class__': 5}))",
        5, 'copying a D object to a type object',
    ),
    Escape(
        "the library's class made ordered",
        'import fractions, functools\nfunctools.total_ordering(fractions.Fraction)\n'
        "print('ESCAPED')",
        2, 'changing the class Fraction',
    ),
    Escape(
        "an __init__ of the library's on another class",
        'import contextlib, json\n'
        "contextlib.closing.__init__(json.JSONEncoder, 'ESCAPED')\n"
        'print(json.JSONEncoder.thing)',
        2, 'closing.__init__ with a type object',
    ),
    Escape(
        "the library's property read elsewhere",
        "import fractions\nclass C: _numerator = 'ESCAPED'\n"
        'print(fractions.Fraction.numerator.fget(C))',
        3, 'the fget of a property of the library',
    ),
)
# fmt: on
