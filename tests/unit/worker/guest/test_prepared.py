"""A waiting interpreter ends a program as one does that is started with it; on this host's own."""

import fcntl
import os
import re
import subprocess
import sys

import pytest

from worker.sandbox.guest import preparation
from worker.sandbox.guest.prepared import words

FIRST_FREE = 20  # descriptors below may be among those that the interpreter gets
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
ENDS: dict[str, str | bytes] = {
    "nothing": "",
    "exit none": "import sys; sys.exit()",
    "exit 7": "import sys; sys.exit(7)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit 300": "import sys; sys.exit(300)",
    "exit text": "import sys; sys.exit('told')",
    "exit of another kind": "raise SystemExit({'a': [1]})",
    "exit true": "raise SystemExit(True)",
    "exit too large": "raise SystemExit(2**70)",
    "_exit": "import os; print('lost', end=''); os._exit(9)",
    "keyboard": "raise KeyboardInterrupt",
    "interrupted": "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('on')",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "closed output": "import os; os.close(1); print('x')",
    "syntax": "print('before')\nif True\n    pass\n",
    "indentation": "if True:\npass\n",
    "tab": "if True:\n\tx = 1\n        y = 2\n",
    "unterminated": "x = '''\n",
    "zero": b"print(1)\n\x00print(2)\n",
    "mark": b"\xef\xbb\xbfprint('after a mark', __doc__)\n",
    "latin": "# coding: latin-1\nprint(len('é'))\n".encode("latin-1"),
    "wrong bytes": b"print('\xff')\n",
    "unknown coding": b"# coding: klingon\nprint(1)\n",
    "warning": "x = 1\nif x is 1: print('is')\n",
    "future": "from __future__ import annotations\ndef f(a: b): pass\nprint(f.__annotations__)",
    "deep": "x = " + "(" * 300 + ")" * 300,
    "recursion": "def f(): f()\nf()",
    "causes": "try: 1/0\nexcept ZeroDivisionError as e:\n    raise ValueError('x') from e",
    "excepthook": "import sys\nsys.excepthook = lambda *a: print('hooked', a[0])\n1/0",
    "excepthook fails": "import sys\nsys.excepthook = lambda *a: 1/0\nundefined",
    "unraisable": "class A:\n    def __del__(self): 1/0\na = A()",
    "daemon": "import threading as t\nt.Thread(target=t.Event().wait, daemon=True).start()",
    "thread fails": "import threading\nt = threading.Thread(target=int, args='x')\nt.start()",
    "at exit fails": "import atexit\natexit.register(lambda: 1/0)",
    "pool": "from concurrent.futures import ThreadPoolExecutor as T\nT().submit(print, 'done')",
    "unclosed": "import warnings\nwarnings.simplefilter('always')\nopen('/dev/null')",
    "surrogate": "print('\\ud800')",
    "executes another": "import os, sys\nos.execv(sys.executable, ['python3', '-c', 'print(2)'])",
    "executes itself": "import os, sys\nif len(sys.argv) == 1:\n"
    "    os.execv(sys.executable, ['python3', 'main.py', 'x'])\nprint(sys.argv, sys.orig_argv)",
}


def job(**changes):
    made = {
        "argv": ["python3", "main.py"],
        "files": ["main.py"],
        "restricted_python": False,
        "environment": {"AGENTCORE_EXECUTION_ID": "x"},
        "file_descriptors": 64,
    }
    return made | changes


def _shown(data):
    return re.sub(rb"0x[0-9a-f]+", b"0x", data)


def executed(folder):
    """Run main.py as everyone does."""
    return subprocess.run(
        [sys.executable, "main.py"], cwd=folder, env=ENVIRONMENT, capture_output=True, check=False
    )


class Waiting:
    """An interpreter that waits, with the descriptors that the supervisor would give it."""

    def __init__(self, folder):
        self.control, self.notes, self.done = os.pipe(), os.pipe(), os.pipe()
        given = [
            fcntl.fcntl(pipe[end], fcntl.F_DUPFD_CLOEXEC, FIRST_FREE)
            for pipe, end in ((self.control, 0), (self.notes, 1), (self.done, 1))
        ]

        def place():
            for descriptor, number in zip(
                given, (words.CONTROL, words.NOTES, words.DONE), strict=True
            ):
                os.dup2(descriptor, number)

        self.process = subprocess.Popen(
            [sys.executable, "main.py"],
            cwd=folder,
            env=ENVIRONMENT | {"PYTHONPATH": preparation.FOLDER},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=place,
        )
        for descriptor in (*given, self.control[0], self.notes[1], self.done[1]):
            os.close(descriptor)

    def begin(self, job):
        os.write(self.control[1], words.message(preparation.settings(job, words.ONCE)))

    def close(self):
        self.process.kill()
        self.process.communicate()
        for descriptor in (self.control[1], self.notes[0], self.done[0]):
            os.close(descriptor)


@pytest.fixture
def waiting(tmp_path):
    made = Waiting(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("source", ENDS.values(), ids=ENDS)
def test_a_program_ends_as_in_an_interpreter_of_its_own(waiting, tmp_path, source):
    assert os.read(waiting.done[0], 1) == words.WAITING
    data = source if isinstance(source, bytes) else source.encode()
    (tmp_path / "main.py").write_bytes(data)
    waiting.begin(job())
    out, err = waiting.process.communicate()
    expected = executed(tmp_path)
    assert (out, _shown(err)) == (expected.stdout, _shown(expected.stderr))
    assert waiting.process.returncode == expected.returncode
    assert os.read(waiting.notes[0], 100) == words.note(words.BORN, waiting.process.pid)


def test_no_program_runs_before_the_go(waiting, tmp_path):
    (tmp_path / "main.py").write_text("open('ran', 'w')")
    assert os.read(waiting.done[0], 1) == words.WAITING
    os.close(waiting.control[1])
    out, err = waiting.process.communicate()
    waiting.control = waiting.control[0], os.open(os.devnull, os.O_WRONLY)
    # The supervisor has gone, and so does what waited for it.
    assert (out, err, waiting.process.returncode) == (b"", b"", 0)
    assert not (tmp_path / "ran").exists()


def test_what_cannot_be_set_up_is_told_and_nothing_runs(waiting, tmp_path):
    (tmp_path / "main.py").write_text("open('ran', 'w')")
    waiting.begin(job(file_descriptors=-5))
    out, err = waiting.process.communicate()
    assert (out, err, waiting.process.returncode) == (b"", b"", 127)
    assert os.read(waiting.notes[0], 100)[:1] == words.FAILED
    assert not (tmp_path / "ran").exists()


def test_arguments_and_variables_arrive_whatever_is_in_them(waiting, tmp_path):
    (tmp_path / "main.py").write_text("import sys, os; print(sys.argv, os.environ['A'])")
    arguments = ["", "=", "ü \n", "-c"]
    waiting.begin(job(argv=["python3", "main.py", *arguments], environment={"A": "é=\n", "B": ""}))
    out, _err = waiting.process.communicate()
    assert out.decode() == f"{['main.py', *arguments]} é=\n\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"argv": ["python3", "other.py"]},
        {"argv": ["python3", "-O", "main.py"]},
        {"argv": ["python3.11", "main.py"]},
        {"argv": ["python3"]},
        {"files": ["data"]},
        {"restricted_python": True},
        {"files": ["main.py", ".local/lib/python3.11/site-packages/a.pth"]},
        *(
            {"environment": {name: "x"}}
            for name in ("PYTHONPATH", "PYTHONHASHSEED", "PATH", "HOME", "LD_PRELOAD", "LC_ALL",
                         "LANG", "LANGUAGE", "LOCPATH", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES",
                         "GCONV_PATH", "OPENSSL_CONF", "NLSPATH")
        ),
    ],
    ids=str,
)  # fmt: skip
def test_what_matters_before_the_job_is_known_needs_a_start_of_its_own(changes):
    assert not preparation.suits(job(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"argv": ["python3", "main.py", "a"]},
        {"environment": {"TZ": "UTC", "TMPDIR": "/x", "HTTP_PROXY": "x", "A_PATH": "y"}},
        {"files": ["main.py", "sitecustomize.py", "data/.local/x"], "egress": True},
    ],
    ids=str,
)
def test_an_ordinary_program_runs_in_the_interpreter_that_waits(changes):
    assert preparation.suits(job(**changes))
