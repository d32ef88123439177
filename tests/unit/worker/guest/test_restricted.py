"""The policy's runner as a plain process, under this Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from security_profiles import get_profile
from tests.restricted_escapes import ESCAPES
from tests.restricted_programs import EXPECTED, ORDINARY
from worker.sandbox.guest import protocol

RUNNER = Path(protocol.__file__).with_name("restricted")
COMMAND = [sys.executable, "-I", "-B", str(RUNNER)]
IMPORTS = get_profile("minimal").restricted_python_imports


@pytest.fixture
def run(tmp_path):
    """Return a function from source to (finished process, what the supervisor was told)."""

    def ran(source, *args, stdin="", timeout=60):
        (tmp_path / "main.py").write_bytes(source if type(source) is bytes else source.encode())
        told = tmp_path / "told"
        with told.open("wb") as file:

            def place_descriptor():
                os.dup2(file.fileno(), protocol.POLICY_FD)

            done = subprocess.run(
                [*COMMAND, ",".join(IMPORTS), "main.py", *args],
                cwd=tmp_path, input=stdin, capture_output=True, text=True, timeout=timeout,
                close_fds=False, preexec_fn=place_descriptor,
            )  # fmt: skip
        return done, told.read_text()

    return ran


@pytest.mark.parametrize("escape", ESCAPES, ids=lambda escape: escape.name)
def test_a_known_escape_is_refused_on_its_line(run, escape):
    done, told = run(escape.source)
    assert done.returncode == 1, done.stdout
    assert f"line {escape.line}: " in told, (told, done.stderr)
    assert escape.words in told


def test_an_ordinary_program_runs_as_without_the_policy(run, tmp_path):
    (tmp_path / "output").mkdir()
    done, told = run(ORDINARY, "x", "y z", stdin='{"in": [1]}')
    assert (done.returncode, told) == (0, ""), (done.stderr, told)
    assert done.stdout == "printed-1!\n"
    assert json.loads((tmp_path / "output/result.json").read_text()) == EXPECTED
    plain = subprocess.run(
        [sys.executable, "main.py", "x", "y z"],
        cwd=tmp_path, input='{"in": [1]}', capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (plain.stdout, plain.stderr) == (done.stdout, done.stderr)
    assert json.loads((tmp_path / "output/result.json").read_text()) == EXPECTED


@pytest.mark.parametrize("name", IMPORTS)
def test_every_module_of_the_list_can_be_imported_and_holds_no_module(run, name):
    done, told = run(f"import {name} as m\nprint(m)")
    assert (done.returncode, told) == (0, ""), (done.stderr, told)


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    return {}['absent']\nf()",
        "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n"
        "        raise ValueError('x') from e\nfor a, b in [(1, 2)]:\n    f()",
        "def broken(:\n",
        "x = (1,\n",
        "class E(Exception):\n    pass\nclass A:\n    def __getattr__(self, n): raise E(n)\nA().b",
        "import sys\nsys.exit('bye')",
        "raise SystemExit(7)",
        "raise KeyboardInterrupt",
        "import json\njson.absent",
        "absent",
    ],
)
def test_an_ordinary_failure_looks_as_python_shows_it(run, tmp_path, source):
    done, told = run(source)
    plain = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert told == ""
    assert done.returncode == plain.returncode
    assert _essence(done.stderr) == _essence(plain.stderr)


def _essence(text):
    """Return a traceback without the marks below its lines, nor suggestions."""
    lines = [line for line in text.splitlines() if line.strip(" ^~")]
    return [line.partition(". Did you mean")[0] for line in lines]


def test_a_refusal_that_the_program_catches_is_no_end(run):
    done, told = run("try:\n    getattr(1, '__class__')\nexcept Exception as e:\n    print(e)")
    assert (done.returncode, told) == (0, "")
    assert done.stdout == "the attribute __class__ is not allowed\n"


def test_all_problems_are_told_in_order_up_to_a_number(run):
    _, told = run("import os\n" * 30 + "eval('1')")
    assert told.startswith("line 1: import of os is not allowed; line 2: ")
    assert told.endswith("; and 21 more")
    assert len(told) < 1000


def test_a_refused_program_has_not_begun(run):
    done, _ = run("print('begun')\nimport os")
    assert done.stdout == ""
    assert "a policy and no security boundary" in done.stderr
    assert "  line 2: import of os is not allowed" in done.stderr


def test_a_refusal_while_running_shows_only_the_programs_own_lines(run):
    done, told = run("def f(n):\n    return getattr(1, n)\nprint('begun')\nf('__dict__')")
    assert told == "line 2: the attribute __dict__ is not allowed"
    assert done.stdout == "begun\n"
    assert done.stderr.count("File ") == done.stderr.count("main.py") == 2


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 5000 + ")" * 5000,
        "x = " + "-" * 50_000 + "1",
        "x = " + "[" * 150 + "]" * 150,
        "x = 1" + " + 1" * 50_000,
        "a" + ".b" * 50_000,
        "f" + "()" * 50_000,
        "x = " + "lambda: " * 5000 + "1",
        "".join(" " * depth + "if 1:\n" for depth in range(99)) + " " * 99 + "pass",
        "x = 1\n" * 60_000,
    ],
    ids=lambda source: source[:12],
)
def test_source_that_nests_or_grows_ends_clearly(run, source):
    done, told = run(source)
    assert done.returncode in (0, 1)
    assert (done.returncode == 0) or told or "Error" in done.stderr


def test_long_chains_that_python_takes_are_taken(run):
    done, _ = run("x = 1" + " + 1" * 900 + "\nprint(x)\nprint('a'" + ".upper()" * 200 + ")")
    assert done.stdout == "901\nA\n"


def test_without_its_descriptor_the_runner_does_not_run_the_program(tmp_path):
    (tmp_path / "main.py").write_text("print('begun')")
    done = subprocess.run(
        [*COMMAND, "json", "main.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stdout == ""


def test_files_of_the_workspace_are_opened(run):
    done, told = run("open('a.txt', 'w').write('x')\nprint(open('./a.txt', mode='rb').read())")
    assert (done.stdout, told) == ("b'x'\n", "")


DATACLASSES = """
import copy, json
from dataclasses import asdict, astuple, dataclass, field, replace
from functools import cached_property, total_ordering
from typing import NamedTuple
@dataclass(order=True)
class A:
    x: int
    tags: list = field(default_factory=list)
    def __post_init__(self): self.twice = self.x * 2
@dataclass(slots=True)
class B(A):
    y: int = 1
    def __post_init__(self): A.__post_init__(self)
@dataclass(frozen=True)
class F:
    x: int
    @cached_property
    def double(self): return self.x * 2
class C(A):
    def __init__(self): A.__init__(self, x=3)
class D(A):
    def __init__(self): super().__init__(4)
    def __repr__(self): return 'D' + A.__repr__(self)[1:]
@total_ordering
class T:
    def __init__(self, n): self.n = n
    def __lt__(self, other): return self.n < other.n
    def __eq__(self, other): return self.n == other.n
class N(NamedTuple):
    a: int
class Encoder(json.JSONEncoder):
    def __init__(self, **options): json.JSONEncoder.__init__(self, **options)
    def default(self, o): return 'set' if type(o) is set else json.JSONEncoder.default(self, o)
class Tools:
    show = json.dumps
b = B(2, y=5)
print(b, b.twice, replace(b, x=7), asdict(b), astuple(F(1)), F(2).double, copy.deepcopy(b) == b)
print(C(), D(), A(1) < A(2), A(1) == A(1), hash(F(1)) == hash(F(1)), T(1) >= T(0))
print(N(1)._replace(a=2))
print(json.dumps([{1}], cls=Encoder), Tools.show([1]), copy.deepcopy([b.__eq__])[0](b))
try: A(1, 2, 3)
except TypeError as e: print(e)
"""


def test_what_the_library_generates_works_on_its_own_objects(run, tmp_path):
    done, told = run(DATACLASSES)
    assert (done.returncode, told) == (0, ""), (done.stderr, told)
    plain = subprocess.run(
        [sys.executable, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (plain.returncode, plain.stdout) == (0, done.stdout)


def test_output_is_written_at_once_and_in_order(tmp_path):
    source = (
        "import sys\nprint('a', end='')\nsys.stdout.buffer.write(b'b')\nsys.stdout.write('c')\n"
        "while True: pass"
    )
    (tmp_path / "main.py").write_text(source)
    process = subprocess.Popen(
        ["bash", "-c", 'exec "$@" 3>told', "bash", *COMMAND, ",".join(IMPORTS), "main.py"],
        cwd=tmp_path, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout.read(3) == b"abc"
        finally:
            process.kill()


def test_a_docstring_is_no_code(run):
    source = (
        "from dataclasses import dataclass\n"
        "class Base:\n"
        "    'Base(a=print.__self__.__name__, c=sys.executable)\\n--\\n\\n'\n"
        "@dataclass(init=False)\n"
        "class D(Base): pass\n"
        "print(D.__doc__)"
    )
    done, told = run(source)
    assert (done.returncode, done.stdout, told) == (0, "D, a dataclass\n", "")


def test_a_program_does_not_choose_the_words_of_its_refusal(run):
    _done, told = run("getattr(0, '_ x is fine; the operator was told')")
    assert told == "line 1: the attribute of that name is not allowed"


@pytest.mark.parametrize(
    "ending",
    [
        "raise type(error)('forged')",
        "class Mine(type(error)): pass\nraise Mine('forged')",
    ],
)
def test_a_programs_own_exception_is_no_refusal(run, ending):
    source = f"try: getattr(1, '_x')\nexcept Exception as e: error = e\n{ending}"
    done, told = run(source)
    assert (done.returncode, told) == (1, "")


def test_changed_words_of_a_refusal_are_not_believed(run):
    caught = "try: getattr(1, '_x')\nexcept Exception as e: error = e\n"
    source = caught + "error.args = ('forged',)\nraise error"
    _done, told = run(source)
    assert told.endswith("the attribute _x is not allowed")
