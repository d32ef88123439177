"""Ways by attributes and frames."""

from tests.restricted_escapes.escape import Escape

# fmt: off
ATTRIBUTES = (
    Escape('bases', "int.__bases__\nprint('ESCAPED')", 1, '__bases__'),
    Escape('mro by name', "int.__mro__[1]\nprint('ESCAPED')", 1, '__mro__'),
    Escape('dict of a class', "int.__dict__\nprint('ESCAPED')", 1, '__dict__'),
    Escape(
        "frame behind a generator's",
        "(x for x in ()).gi_frame.f_back\nprint('ESCAPED')",
        1, 'f_back',
    ),
    Escape('code of a generator', "g = (x for x in ())\ng.gi_code\nprint('ESCAPED')", 2, 'gi_code'),
    Escape(
        'traceback by __exit__',
        'class A:\n    def __enter__(self): pass\n'
        "    def __exit__(self, kind, error, tb): print('ESCAPED', tb.tb_frame)\n"
        'with A():\n    1 / 0',
        3, 'tb_frame',
    ),
    Escape(
        'getattr of a frame',
        "getattr((x for x in ()), 'gi_' + 'frame')\nprint('ESCAPED')",
        1, 'gi_frame',
    ),
    Escape(
        'setattr',
        "def f(): pass\nsetattr(f, '__def' + 'aults__', (1,))\nprint('ESCAPED')",
        2, '__defaults__',
    ),
    Escape('hasattr', "hasattr((), '__subcl' + 'asses__')\nprint('ESCAPED')", 1, '__subclasses__'),
    Escape(
        'the object of an error',
        'import json\ntry:\n    json.nothing\nexcept AttributeError as e:\n    e.obj\n'
        "print('ESCAPED')",
        5, 'obj',
    ),
    Escape(
        'subclasses of object',
        "print(().__class__.__base__.__subclasses__() and 'ESCAPED')",
        1, '__base__',
    ),
    Escape(
        'an attribute by getattr',
        "print(getattr((), '__class__') and 'ESCAPED')",
        1, '__class__',
    ),
    Escape(
        'getattr passed on',
        "print(list(map(getattr, [()], ['__class__'])) and 'ESCAPED')",
        1, '__class__',
    ),
    Escape(
        'getattr behind stars',
        "print((lambda *a: getattr(*a))((), '__class__') and 'ESCAPED')",
        1, '__class__',
    ),
    Escape('an f-string', "print(f'{().__class__}' and 'ESCAPED')", 1, '__class__'),
    Escape(
        'letters that normalise to others',
        "print(()._\uff3fcla\uff53s_\uff3f and 'ESCAPED')",
        1, '__class__',
    ),
    Escape(
        "the methods' own lookup",
        "print(object.__getattribute__((), '__class__') and 'ESCAPED')",
        1, '__getattribute__',
    ),
    Escape(
        "the type's own lookup",
        "print(type.__getattribute__(object, '__subclasses__')() and 'ESCAPED')",
        1, '__getattribute__',
    ),
    Escape('the module of a builtin', "print(len.__self__.eval and 'ESCAPED')", 1, '__self__'),
    Escape(
        'globals of a function',
        "print((lambda: 0).__globals__ and 'ESCAPED')",
        1, '__globals__',
    ),
    Escape('code of a function', "print((lambda: 0).__code__ and 'ESCAPED')", 1, '__code__'),
    Escape(
        'closure of a function',
        "def outer(x): return lambda: x\nprint(outer(1).__closure__ and 'ESCAPED')",
        2, '__closure__',
    ),
    Escape(
        'a name of a method, called later',
        'import operator\n'
        "print(operator.methodcaller('__subclasses__')(object) and 'ESCAPED')",
        2, '__subclasses__',
    ),
    Escape(
        'a dotted name, read later',
        'import operator\n'
        "print(operator.attrgetter('__class__.__base__')(()) and 'ESCAPED')",
        2, '__class__',
    ),
    Escape(
        'folding getattr',
        'import functools\n'
        "print(functools.reduce(getattr, ['__class__', '__base__'], ()) and 'ESCAPED')",
        2, '__class__',
    ),
    Escape(
        'another class for an object',
        "class C: pass\nclass D: pass\nc = C()\nc.__class__ = D\nprint('ESCAPED')",
        4, '__class__',
    ),
    Escape(
        'frame of a generator',
        'g = (g.gi_frame.f_back.f_globals for _ in [1])\n'
        "print([x for x in g] and 'ESCAPED')",
        1, 'gi_frame',
    ),
    Escape(
        'frame of a traceback',
        'try: 1 / 0\n'
        "except Exception as e: print(e.__traceback__.tb_frame and 'ESCAPED')",
        2, 'tb_frame',
    ),
    Escape(
        'frame of a coroutine',
        "async def f(): pass\nc = f()\nprint(c.cr_frame and 'ESCAPED')\nc.close()",
        1, 'async def',
    ),
    Escape(
        'frame of an asynchronous generator',
        "async def f(): yield 1\nprint(f().ag_frame and 'ESCAPED')",
        1, 'async def',
    ),
    Escape(
        'frames by sys',
        "import sys\nprint(sys._getframe(0).f_globals and 'ESCAPED')",
        2, 'f_globals',
    ),
    Escape(
        'a group of exceptions',
        "try: raise ExceptionGroup('g', [ValueError(1)])\n"
        "except* ValueError: print('ESCAPED')",
        1, 'except*',
    ),
)
# fmt: on
