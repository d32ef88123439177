"""Ways by files."""

from tests.restricted_escapes.escape import Escape

# fmt: off
FILES = (
    Escape(
        'open outside the workspace',
        "open('/etc/passwd')\nprint('ESCAPED')",
        1, 'opening files outside',
    ),
    Escape(
        'open by dots',
        "f = open('../../../../../../../../../etc/passwd')\nprint('ESCAPED')",
        1, 'opening files outside',
    ),
    Escape(
        'open of the process',
        "open('/proc/self/environ')\nprint('ESCAPED')",
        1, 'opening files outside',
    ),
    Escape('raw file', "open('main.py', 'rb', 0)\nprint('ESCAPED')", 1, 'without a buffer'),
    Escape(
        'raw file below a text file',
        "f = open('main.py')\nf.buffer.raw.__init__('/etc/passwd')\nprint('ESCAPED')",
        2, 'raw',
    ),
    Escape(
        'raw file of standard input',
        "import sys\nsys.stdin.buffer.detach()\nprint('ESCAPED')",
        2, 'detach',
    ),
    Escape(
        'a file of what an average is of',
        'import sys, statistics\nfrom dataclasses import dataclass\n@dataclass\n'
        'class Ratio: as_integer_ratio: object\nclass P:\n'
        '    def __radd__(self, o): return self\n    def is_finite(self): return False\n'
        '    def __truediv__(self, n): return "/proc/self/environ"\n'
        'f = sys.stdout.buffer\nRatio.__init__(f, lambda: (P(), None))\n'
        "print('ESCAPED', statistics.mean([f]).read())",
        10, 'Ratio.__init__ with a _Unbuffered object',
    ),
    Escape(
        'detach of the class of a file',
        'import sys\nB = type(sys.stdin.buffer)\n'
        "print('ESCAPED', B.detach(sys.stdin.buffer))",
        3, 'detach',
    ),
)
# fmt: on
