"""Ways by modules and what they let one see."""

from tests.restricted_escapes.escape import Escape

# fmt: off
MODULES = (
    Escape(
        'import inside a function',
        "def f():\n    import subprocess\nf()\nprint('ESCAPED')",
        2, 'subprocess',
    ),
    Escape('from import', "from os import path\nprint('ESCAPED')", 1, 'import of os'),
    Escape('import as', "import json, importlib as i\nprint('ESCAPED')", 1, 'import of importlib'),
    Escape('import *', "from math import *\nprint('ESCAPED')", 1, 'import of *'),
    Escape('relative import', 'from . import x', 1, 'relative import', prints=False),
    Escape(
        'submodule of an allowed module',
        "import json.decoder\nprint('ESCAPED')",
        1, 'json.decoder',
    ),
    Escape('submodule by from', "from json import decoder\nprint('ESCAPED')", 1, 'json.decoder'),
    Escape(
        'unlisted name of sys',
        "import sys\nsys.modules['os']\nprint('ESCAPED')",
        2, 'sys.modules',
    ),
    Escape('file by its name', "import io\nio.open('/etc/passwd')\nprint('ESCAPED')", 2, 'io.open'),
    Escape('types.CodeType', "import types\ntypes.CodeType\nprint('ESCAPED')", 2, 'types.CodeType'),
    Escape(
        'what a built-in imports',
        "import _strptime\nprint('ESCAPED', _strptime)",
        1, '_strptime',
    ),
    Escape(
        'singledispatch',
        "from functools import singledispatch\nprint('ESCAPED')",
        1, 'singledispatch',
    ),
    Escape('import', "import os\nprint('ESCAPED', os.getpid())", 1, 'import of os'),
    Escape('import by function', "print('ESCAPED', __import__('os').getpid())", 1, '__import__'),
    Escape(
        'importlib',
        "import importlib\nprint('ESCAPED', importlib.import_module('os').getpid())",
        1, 'import of importlib',
    ),
    Escape('ctypes', "import ctypes\nprint('ESCAPED', ctypes.CDLL(None))", 1, 'import of ctypes'),
    Escape(
        'subprocess',
        "import subprocess\nprint('ESCAPED', subprocess.Popen)",
        1, 'import of subprocess',
    ),
    Escape('a private name of a module', "import random\nprint('ESCAPED', random._os)", 2, '_os'),
    Escape(
        'importing a private name',
        "from random import _os\nprint('ESCAPED', _os)",
        1, 'import of random._os',
    ),
    Escape(
        'a module of a module',
        "import json\nprint('ESCAPED', json.codecs.sys.modules['os'])",
        2, 'json.codecs',
    ),
    Escape(
        'importing a module of a module',
        "from json import codecs\nprint('ESCAPED', codecs.sys)",
        1, 'import of json.codecs',
    ),
    Escape(
        'importing sys from enum',
        "from enum import sys\nprint('ESCAPED', sys.modules)",
        1, 'import of enum.sys',
    ),
    Escape(
        'sys of dataclasses',
        "import dataclasses\nprint('ESCAPED', dataclasses.sys)",
        2, 'dataclasses.sys',
    ),
    Escape('sys of typing', "import typing\nprint('ESCAPED', typing.sys)", 2, 'typing.sys'),
    Escape(
        'sys of statistics',
        "import statistics\nprint('ESCAPED', statistics.sys)",
        2, 'statistics.sys',
    ),
    Escape("builtins of re's module", "import re\nprint('ESCAPED', re.enum.bltns)", 2, 're.enum'),
    Escape(
        'the dictionary of a module',
        "import math\nprint('ESCAPED', math.__dict__)",
        2, '__dict__',
    ),
    Escape(
        'the loader of a module',
        "import math\nprint('ESCAPED', math.__loader__)",
        2, '__loader__',
    ),
    Escape(
        'changing a module',
        "import math\nmath.pi = 3\nprint('ESCAPED')",
        2, 'setting the attribute pi of a Module object',
    ),
    Escape(
        'changing a module by setattr',
        "import math\nsetattr(math, 'pi', 3)\nprint('ESCAPED')",
        2, 'setting the attribute pi of a Module object',
    ),
    Escape("the builtins' dictionary", "print('ESCAPED', __builtins__)", 1, '__builtins__'),
)
# fmt: on
