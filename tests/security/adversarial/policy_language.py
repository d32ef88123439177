"""Ways out of RestrictedPython through the language itself, by what they reach for."""

ATTRIBUTES = {
    "subclasses of object": "print(().__class__.__base__.__subclasses__() and 'ESCAPED')",
    "an attribute by getattr": "print(getattr((), '__class__') and 'ESCAPED')",
    "getattr passed on": "print(list(map(getattr, [()], ['__class__'])) and 'ESCAPED')",
    "getattr behind stars": "print((lambda *a: getattr(*a))((), '__class__') and 'ESCAPED')",
    "an f-string": "print(f'{().__class__}' and 'ESCAPED')",
    "letters that normalise to others": "print(()._\uff3fcla\uff53s_\uff3f and 'ESCAPED')",
    "the methods' own lookup": ("print(object.__getattribute__((), '__class__') and 'ESCAPED')"),
    "the type's own lookup": (
        "print(type.__getattribute__(object, '__subclasses__')() and 'ESCAPED')"
    ),
    "the module of a builtin": "print(len.__self__.eval and 'ESCAPED')",
    "globals of a function": "print((lambda: 0).__globals__ and 'ESCAPED')",
    "code of a function": "print((lambda: 0).__code__ and 'ESCAPED')",
    "closure of a function": (
        "def outer(x): return lambda: x\nprint(outer(1).__closure__ and 'ESCAPED')"
    ),
    "a class pattern": "match ():\n    case object(__class__=found): print('ESCAPED', found)",
    "a pattern that names its own places": (
        "class C:\n    __match_args__ = ('__class__',)\n"
        "match C():\n    case C(found): print('ESCAPED', found)"
    ),
    "a name of a method, called later": (
        "import operator\nprint(operator.methodcaller('__subclasses__')(object) and 'ESCAPED')"
    ),
    "a dotted name, read later": (
        "import operator\nprint(operator.attrgetter('__class__.__base__')(()) and 'ESCAPED')"
    ),
    "folding getattr": (
        "import functools\n"
        "print(functools.reduce(getattr, ['__class__', '__base__'], ()) and 'ESCAPED')"
    ),
    "another class for an object": (
        "class C: pass\nclass D: pass\nc = C()\nc.__class__ = D\nprint('ESCAPED')"
    ),
}

FORMATS = {
    "format": "print('{0.__class__}'.format(()) and 'ESCAPED')",
    "format_map": "print('{a.__class__}'.format_map({'a': ()}) and 'ESCAPED')",
    "format of the class": "print(str.format('{0.__class__}', ()) and 'ESCAPED')",
    "format of an own class": (
        "class S(str): pass\nprint(S('{0.__class__}').format(()) and 'ESCAPED')"
    ),
    "format passed on": "print(list(map(str.format, ['{0.__class__}'], [()])) and 'ESCAPED')",
    "format of super": (
        "class S(str):\n    def show(self, x): return super().format(x)\n"
        "print(S('{0.__class__}').show(()) and 'ESCAPED')"
    ),
    "Formatter": (
        "import string\nprint(string.Formatter().format('{0.__class__}', ()) and 'ESCAPED')"
    ),
    "Formatter's fields": (
        "import string\n"
        "print(string.Formatter().get_field('a.__class__', (), {'a': ()}) and 'ESCAPED')"
    ),
    "the object of an AttributeError": (
        "import string\n"
        "try: string.Formatter().get_field('a.__class__.no', (), {'a': ()})\n"
        "except AttributeError as error: print('ESCAPED', error.obj)"
    ),
}

FRAMES = {
    "frame of a generator": (
        "g = (g.gi_frame.f_back.f_globals for _ in [1])\nprint([x for x in g] and 'ESCAPED')"
    ),
    "frame of a traceback": (
        "try: 1 / 0\nexcept Exception as e: print(e.__traceback__.tb_frame and 'ESCAPED')"
    ),
    "frame of a coroutine": (
        "async def f(): pass\nc = f()\nprint(c.cr_frame and 'ESCAPED')\nc.close()"
    ),
    "frame of an asynchronous generator": (
        "async def f(): yield 1\nprint(f().ag_frame and 'ESCAPED')"
    ),
    "frames by sys": "import sys\nprint(sys._getframe(0).f_globals and 'ESCAPED')",
    "a group of exceptions": (
        "try: raise ExceptionGroup('g', [ValueError(1)])\nexcept* ValueError: print('ESCAPED')"
    ),
}

GUARDS = {
    "a guard by assignment": "_getattr_ = getattr\nprint('ESCAPED', ().__class__)",
    "a guard by def": "def _getattr_(o, n): return 1\nprint('ESCAPED', ().__class__)",
    "a guard as an argument": "print((lambda _getattr_: ().__class__)(getattr) and 'ESCAPED')",
    "a guard by import": "from math import pi as _getattr_\nprint('ESCAPED', ().__class__)",
    "a guard by except": (
        "try: 1 / 0\nexcept Exception as _getattr_: print('ESCAPED', ().__class__)"
    ),
    "a guard by walrus": "print((_getattr_ := getattr) and ().__class__ and 'ESCAPED')",
    "a guard by pattern": "match getattr:\n    case _getattr_: print('ESCAPED', ().__class__)",
    "a metaclass": (
        "class M(type):\n    def __call__(cls): return cls.__subclasses__()\n"
        "class C(metaclass=M): pass\nprint('ESCAPED', C())"
    ),
    "a class by type": "print('ESCAPED', type('C', (), {'__class__': 1})().__class__)",
}
