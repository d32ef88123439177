"""Ways by code that comes as text."""

from tests.restricted_escapes.escape import Escape

# fmt: off
CODE = (
    Escape('eval', "print('ESCAPED', eval('1 + 1'))", 1, 'eval is not available'),
    Escape('exec', 'exec(\'print("ESCAPED")\')', 1, 'exec is not available'),
    Escape('compile', "print('ESCAPED', compile('1', 'x', 'eval'))", 1, 'compile is not available'),
    Escape(
        'hints that are evaluated',
        'import typing\nclass C:\n    x: \'__import__("os").getpid() and int\'\n'
        "print('ESCAPED', typing.get_type_hints(C))",
        4, 'typing.get_type_hints',
    ),
    Escape(
        'a reference that is evaluated',
        'import typing\n'
        'ref = typing.ForwardRef(\'__import__("os").P_PID or int\')\n'
        "print('ESCAPED', ref._evaluate({}, {}, recursive_guard=frozenset()))",
        2, 'typing.ForwardRef',
    ),
    Escape('globals', "print('ESCAPED', globals()['__builtins__'])", 1, 'globals is not available'),
    Escape('vars', "print('ESCAPED', vars(object))", 1, 'vars is not available'),
    Escape(
        'breakpoint by hook',
        "import sys\nsys.breakpointhook = print\nbreakpoint('ESCAPED')",
        3, 'breakpoint is not available',
    ),
    Escape(
        'unpickling',
        "import pickle\nprint('ESCAPED', pickle.loads(b'cos\\ngetpid\\n(tR.'))",
        1, 'import of pickle',
    ),
    Escape(
        'copying by __reduce__',
        "import copy\nclass C:\n    def __reduce__(self): return (eval, ('1 + 1',))\n"
        "print('ESCAPED', copy.copy(C()))",
        3, 'eval is not available',
    ),
    Escape(
        'a function of code',
        "import types\nprint('ESCAPED', types.FunctionType((lambda: 1).__code__, {})())",
        2, '__code__',
    ),
)
# fmt: on
