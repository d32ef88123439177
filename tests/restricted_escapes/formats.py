"""Ways by formats and patterns, which read attributes where no guard stands."""

from tests.restricted_escapes.escape import Escape

# fmt: off
FORMATS = (
    Escape('nested format', "'{0:{0.__class__}}'.format(1)", 1, '__class__', prints=False),
    Escape(
        "format of an enumeration's text",
        "import enum\nclass E(enum.StrEnum):\n    A = '{0.__class__}'\nE.A.format(1)\n"
        "print('ESCAPED')",
        4, '__class__',
    ),
    Escape(
        'match of format',
        "match '{}':\n    case str(format=f):\n        f\nprint('ESCAPED')",
        2, 'format',
    ),
    Escape(
        'match of a private value',
        'import random\nmatch random:\n    case random._os: pass\n'
        "    case _: print('ESCAPED')",
        3, '_os is not allowed in a pattern',
    ),
    Escape(
        'a class pattern',
        "match ():\n    case object(__class__=found): print('ESCAPED', found)",
        2, '__class__ is not allowed in a pattern',
    ),
    Escape(
        'a pattern that names its own places',
        "class C:\n    __match_args__ = ('__class__',)\nmatch C():\n"
        "    case C(found): print('ESCAPED', found)",
        2, '__match_args__',
    ),
    Escape('format', "print('{0.__class__}'.format(()) and 'ESCAPED')", 1, '__class__'),
    Escape(
        'format_map',
        "print('{a.__class__}'.format_map({'a': ()}) and 'ESCAPED')",
        1, '__class__',
    ),
    Escape(
        'format of the class',
        "print(str.format('{0.__class__}', ()) and 'ESCAPED')",
        1, '__class__',
    ),
    Escape(
        'format of an own class',
        "class S(str): pass\nprint(S('{0.__class__}').format(()) and 'ESCAPED')",
        2, '__class__',
    ),
    Escape(
        'format passed on',
        "print(list(map(str.format, ['{0.__class__}'], [()])) and 'ESCAPED')",
        1, '__class__',
    ),
    Escape(
        'format of super',
        'class S(str):\n    def show(self, x): return super().format(x)\n'
        "print(S('{0.__class__}').show(()) and 'ESCAPED')",
        2, '__class__',
    ),
    Escape(
        'Formatter',
        'import string\n'
        "print(string.Formatter().format('{0.__class__}', ()) and 'ESCAPED')",
        2, 'Formatter',
    ),
    Escape(
        "Formatter's fields",
        'import string\n'
        "print(string.Formatter().get_field('a.__class__', (), {'a': ()}) and 'ESCAPED')",
        2, 'string.Formatter',
    ),
    Escape(
        'the object of an AttributeError',
        'import string\n'
        "try: string.Formatter().get_field('a.__class__.no', (), {'a': ()})\n"
        "except AttributeError as error: print('ESCAPED', error.obj)",
        2, 'string.Formatter',
    ),
    Escape(
        'format of a class derived from super',
        'class T(str): pass\nclass S(super): pass\n'
        "print(S(T, T('ESCAPED {0.__class__}')).format(()))",
        3, '__class__',
    ),
)
# fmt: on
