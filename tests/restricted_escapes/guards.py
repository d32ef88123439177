"""Ways by taking the place of the policy's own names."""

from tests.restricted_escapes.escape import Escape

# fmt: off
GUARDS = (
    Escape(
        'a guard by assignment',
        "_getattr_ = getattr\nprint('ESCAPED', ().__class__)",
        1, '_getattr_',
    ),
    Escape(
        'a guard by def',
        "def _getattr_(o, n): return 1\nprint('ESCAPED', ().__class__)",
        1, '_getattr_',
    ),
    Escape(
        'a guard as an argument',
        "print((lambda _getattr_: ().__class__)(getattr) and 'ESCAPED')",
        1, '__class__',
    ),
    Escape(
        'a guard by import',
        "from math import pi as _getattr_\nprint('ESCAPED', ().__class__)",
        1, '_getattr_',
    ),
    Escape(
        'a guard by except',
        "try: 1 / 0\nexcept Exception as _getattr_: print('ESCAPED', ().__class__)",
        2, '__class__',
    ),
    Escape(
        'a guard by walrus',
        "print((_getattr_ := getattr) and ().__class__ and 'ESCAPED')",
        1, '__class__',
    ),
    Escape(
        'a guard by pattern',
        "match getattr:\n    case _getattr_: print('ESCAPED', ().__class__)",
        2, '__class__',
    ),
)
# fmt: on
