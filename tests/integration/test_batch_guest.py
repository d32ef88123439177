"""Batches against the real sandbox: every run on its own, whatever the others do."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from models.sandbox import InputOutcome
from models.status import Reason, Status
from tests.integration.direct_backend import Chunks, DirectBackend, direct_backend

# A variable that interpreters read when they start: runs are executed, and not forked.
EXECUTED = {"PYTHONNOTHING": "1"}
LIMITS = {
    "max_execution_time_seconds": 100,
    "max_cpu_percent": 200,
    "max_processes": 20,
    "max_memory_mb": 96,
}

PROGRAM = """
import fcntl, json, os, resource, signal, sys, time

def processes():
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())

class cases:
    def ok():
        print("ok", len(processes()) - (os.getppid() != 1), os.nice(0), os.getcwd(), os.umask(0o22),
              resource.getrlimit(resource.RLIMIT_NOFILE), sorted(os.listdir("/proc/self/fd")),
              open("/proc/self/oom_score_adj").read().strip(), os.environ.get("LEFT"), sys.argv,
              os.get_blocking(1), os.path.exists("output/result.json"), os.getsid(0) == os.getpid())
    def nonzero(): sys.exit(3)
    def told(): sys.exit("told")
    def raises(): raise LookupError("é")
    def exits(): print("x", end=""); os._exit(5)
    def dies(): os.kill(os.getpid(), signal.SIGKILL)
    def kills_parent(): os.kill(os.getppid(), signal.SIGKILL); after()
    def kills_parent_and_dies(): os.kill(os.getppid(), signal.SIGKILL); os._exit(6)
    def kills_parent_and_ends(): os.kill(os.getppid(), signal.SIGTERM); print("after")
    def stops_parent(): os.kill(os.getppid(), signal.SIGSTOP); after()
    def interrupts_parent(): os.kill(os.getppid(), signal.SIGINT); after()
    def child_kills_parent_later():
        parent = os.getppid()
        if os.fork() == 0:
            os.setsid()
            while True: os.kill(parent, signal.SIGSTOP)
        os._exit(7)
    def kills_all():
        try: os.kill(-1, signal.SIGKILL)
        except ProcessLookupError: pass
        print("after")
    def bomb():
        try:
            while os.fork(): pass
        except OSError: print("full", end="")
        else: time.sleep(60)
    def memory():
        taken = []
        while True: taken.append(bytearray(1 << 20))
    def childs_memory():
        if os.fork() == 0: cases.memory()
        print(os.waitstatus_to_exitcode(os.wait()[1]))
    def closes(): os.closerange(0, 100); os._exit(0)
    def garbage():
        for descriptor in range(3, 100):
            try: os.write(descriptor, b"\\xff" * 9); print("wrote to", descriptor)
            except OSError: pass
        for process in processes():
            for name in ("mem", "environ", "maps", *(f"fd/{number}" for number in range(12))):
                for mode in (os.O_RDONLY, os.O_WRONLY):
                    if process == os.getpid(): continue
                    try: os.open(f"/proc/{process}/{name}", mode); print("opened", process, name)
                    except OSError: pass
    def sets_all():
        for number in (0, 1, 2): os.set_blocking(number, False)
        fcntl.fcntl(1, fcntl.F_SETFL, os.O_APPEND | os.O_ASYNC)
        resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))
        os.nice(5); os.chdir("/tmp"); os.umask(0); os.environ["LEFT"] = "x"; sys.argv.append("x")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    def much(): sys.stdout.write("HEAD" + "x" * 300_000 + "TAIL")
    def leaves_processes():
        if os.fork() == 0:
            os.setsid()
            if os.fork(): os._exit(0)
            while True: os.write(1, b"late\\n")
        print("left")
    def sleeps(): time.sleep(60)
    def deaf():
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
    def result(): json.dump(["é"], open("output/result.json", "w"))
    def result_and_nonzero(): cases.result(); sys.exit(2)
    def result_of_nothing(): open("output/result.json", "w").write("{")
    def result_too_large(): open("output/result.json", "w").write("1" * 300_000)
    def result_linked(): os.symlink("/etc/passwd", "output/result.json")
    def no_output(): os.rename("output", "gone"); os.symlink("/etc", "output")
    def output_again(): os.unlink("output"); os.mkdir("output"); open("output/kept", "w").write("k")
    def finalizers():
        class Dying:
            def __del__(self, write=os.write): write(1, b"died ")
        globals()["one"], two = Dying(), Dying()
        two.two = two
    def threads():
        import threading
        threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
    def modules():
        import ctypes
        print(ctypes.CDLL(None).getpid() == os.getpid(),
              [name for name in sys.modules if name.split(".")[0] in ("guest", "waiting")])
    def fills():
        with open("full", "wb", buffering=0) as file:
            for size in (1 << 16, 1):
                try:
                    while file.write(b"x" * size): pass
                except OSError: pass
        number = 0
        try:
            while True: os.close(os.open(f"f{number}", os.O_CREAT)); number += 1
        except OSError: pass

def after(): time.sleep(0.05); print("after")

name, _, rest = sys.stdin.read().partition(" ")
getattr(cases, name)()
"""
OK = "ok 2 10 /workspace 18 (50, 50) ['0', '1', '2', '3'] 1000 None ['main.py'] True False True\n"
# What each case's run is told as: status, reason, exit code, signal, standard output.
Told = tuple[Status, Reason | None, int | None, int | None, str]
GOOD, BAD, LATE = Status.SUCCEEDED, Status.FAILED, Status.TIMED_OUT
EXPECTED: dict[str, Told] = {
    "ok": (GOOD, None, 0, None, OK),
    "nonzero": (BAD, Reason.EXIT_NONZERO, 3, None, ""),
    "told": (BAD, Reason.EXIT_NONZERO, 1, None, ""),
    "raises": (BAD, Reason.EXIT_NONZERO, 1, None, ""),
    "exits": (BAD, Reason.EXIT_NONZERO, 5, None, "x"),
    "dies": (BAD, Reason.SIGNAL, None, 9, ""),
    "kills_parent": (GOOD, None, 0, None, "after\n"),
    "kills_parent_and_dies": (BAD, Reason.EXIT_NONZERO, 6, None, ""),
    "kills_parent_and_ends": (GOOD, None, 0, None, "after\n"),
    "stops_parent": (GOOD, None, 0, None, "after\n"),
    "interrupts_parent": (GOOD, None, 0, None, "after\n"),
    "child_kills_parent_later": (BAD, Reason.EXIT_NONZERO, 7, None, ""),
    "kills_all": (GOOD, None, 0, None, "after\n"),
    "bomb": (GOOD, None, 0, None, "full"),
    "memory": (BAD, Reason.OOM_KILLED, None, 9, ""),
    "childs_memory": (GOOD, None, 0, None, "-9\n"),
    "closes": (GOOD, None, 0, None, ""),
    "garbage": (GOOD, None, 0, None, ""),
    "sets_all": (GOOD, None, 0, None, ""),
    "leaves_processes": (GOOD, None, 0, None, "left\n"),
    "result": (GOOD, None, 0, None, ""),
    "result_and_nonzero": (BAD, Reason.EXIT_NONZERO, 2, None, ""),
    "result_of_nothing": (BAD, Reason.RESULT_INVALID, 0, None, ""),
    "result_too_large": (BAD, Reason.RESULT_INVALID, 0, None, ""),
    "result_linked": (GOOD, None, 0, None, ""),
    "no_output": (GOOD, None, 0, None, ""),
    "output_again": (GOOD, None, 0, None, ""),
    "finalizers": (GOOD, None, 0, None, "died died "),
    "threads": (GOOD, None, 0, None, "thread\n"),
    "modules": (GOOD, None, 0, None, "True []\n"),
}


@pytest.fixture(scope="module")
def backend(sandbox_image: str) -> Iterator[DirectBackend]:
    with direct_backend(sandbox_image) as made:
        yield made


def told(run: InputOutcome) -> Told:
    return run.status, run.reason, run.exit_code, run.signal, run.stdout.kept.decode()


def runs_of(chunks: Chunks) -> list[InputOutcome]:
    runs = list(chain.from_iterable(chunks))
    assert [run.index for run in runs] == list(range(len(runs)))
    return runs


@pytest.mark.parametrize("environment", [{}, EXECUTED], ids=["forked", "executed"])
def test_no_run_harms_another(backend: DirectBackend, environment: dict[str, str]) -> None:
    # After each of them one that sees whether all is as it was.
    names = list(chain.from_iterable((name, "ok") for name in EXPECTED))
    outcome, chunks = backend.run_batch(
        {
            "source": PROGRAM,
            "inputs": names,
            "input_timeout_seconds": 30,
            "environment": environment,
            "execution_limits": LIMITS,
        }
    )
    runs = runs_of(chunks)
    for name, run in zip(names, runs, strict=True):
        if name == "leaves_processes":  # which write until they are ended
            assert told(run)[:4] == EXPECTED[name][:4], run
            continue
        assert told(run) == EXPECTED[name], (name, run)
    results = {name: run.result for name, run in zip(names, runs, strict=True) if run.result}
    assert results == dict.fromkeys(("result", "result_and_nonzero"), '["\\u00e9"]')
    errors = {name: run.stderr.kept.decode() for name, run in zip(names, runs, strict=True)}
    assert errors["told"] == "told\n"
    assert errors["raises"].endswith("LookupError: é\n")
    statuses = [run.status for run in runs]
    assert outcome.status is Status.SUCCEEDED
    assert outcome.batch == {
        "inputs": len(names),
        "succeeded": statuses.count(GOOD),
        "failed": statuses.count(BAD),
        "timed_out": statuses.count(LATE),
    }
    assert [artifact.path for artifact in outcome.artifacts] == ["kept"]


@pytest.mark.parametrize("environment", [{}, EXECUTED], ids=["forked", "executed"])
def test_a_run_that_takes_too_long_is_ended_alone(
    backend: DirectBackend, environment: dict[str, str]
) -> None:
    outcome, chunks = backend.run_batch(
        {
            "source": PROGRAM,
            "inputs": ["sleeps", "ok", "deaf", "ok"],
            "input_timeout_seconds": 1.5,
            "environment": environment,
            "execution_limits": LIMITS,
        }
    )
    late: Told = (LATE, Reason.TIME_LIMIT, None, 9, "")
    ok = EXPECTED["ok"]
    assert [told(run) for run in runs_of(chunks)] == [late, ok, late, ok]
    assert outcome.batch == {"inputs": 4, "succeeded": 2, "failed": 0, "timed_out": 2}


def test_what_a_run_plants_is_not_loaded_where_runs_are_judged(backend: DirectBackend) -> None:
    # The interpreter that forks runs has pipes to the supervisor; a run may end it, and a new one
    # starts in a workspace full of traps. Each of them tells of itself where such a pipe is.
    trap = (
        "import os\n"
        "if os.path.exists('/proc/self/fd/5'): os.open('/workspace/sprung', os.O_CREAT)\n"
    )
    source = f"""# coding: idna
import os, signal, site, sys
if input() == "plant":
    for folder in (site.getusersitepackages(), "/workspace"):
        os.makedirs(folder, exist_ok=True)
        for name in ("usercustomize", "sitecustomize", "stringprep", "traceback", "zygote", "re"):
            open(f"{{folder}}/{{name}}.py", "w").write({trap!r})
    open(site.getusersitepackages() + "/a.pth", "w").write({trap.replace(chr(10), ";")!r})
    os.kill(os.getppid(), signal.SIGKILL)
print(os.path.exists("/workspace/sprung"), os.getppid() == 1)
"""
    _, chunks = backend.run_batch({"source": source, "inputs": ["a", "plant", "b", "plant", "c"]})
    outputs = [told(run)[4] for run in runs_of(chunks)]
    assert [outputs[index] for index in (0, 2, 4)] == ["False False\n"] * 3
    assert {outputs[index] for index in (1, 3)} <= {"False False\n", "False True\n"}


def test_a_run_keeps_head_and_tail_and_the_batch_has_one_cap(backend: DirectBackend) -> None:
    source = "import os, sys\nsize = int(input())\n" + (
        "sys.stdout.write('HEAD' + 'x' * size + 'TAIL'); sys.stderr.write('E' * 300)"
    )
    _, chunks = backend.run_batch(
        {
            "source": source,
            "inputs": ["10", "300000", "9000000", "1"],
            "input_max_output_bytes": 200,
        },
        max_output_total_bytes=500_000,
    )
    first, second, third, fourth = runs_of(chunks)
    assert first.stdout.kept == b"HEADxxxxxxxxxxTAIL"
    assert first.stderr.kept == b"E" * 100 + b"\n[... 100 bytes left out ...]\n" + b"E" * 100
    assert second.stdout.total_bytes == 300_008
    assert second.stdout.kept.startswith(b"HEAD" + b"x" * 96 + b"\n[... 299808 bytes left out")
    assert second.stdout.kept.endswith(b"x" * 96 + b"TAIL")
    assert [run.reason for run in (first, second)] == [None, None]
    # Nothing is left of what the batch as a whole may write.
    assert [run.reason for run in (third, fourth)] == [Reason.OUTPUT_LIMIT] * 2


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("print('never')\nif True\n", BAD, "SyntaxError: expected ':'"),
        ("x = 1\nif x is 1: pass", GOOD, 'main.py:2: SyntaxWarning: "is" with a literal'),
    ],
    ids=["error", "warning"],
)
def test_each_run_shows_what_comes_of_compiling(
    backend: DirectBackend, source: str, status: Status, words: str
) -> None:
    _, chunks = backend.run_batch({"source": source, "inputs": ["a", "b", "c"]})
    for run in runs_of(chunks):
        assert (run.status, run.stdout.kept) == (status, b"")
        assert words in run.stderr.kept.decode()


def test_runs_have_the_jobs_arguments_variables_files_and_limits(backend: DirectBackend) -> None:
    source = (
        "import os, resource, sys, time\n"
        "print(sys.argv, os.environ['A'], time.tzname[0], open('data').read(), input(), __name__,\n"
        "      __file__, resource.getrlimit(resource.RLIMIT_NOFILE)[0], sys.flags.utf8_mode)"
    )
    body = {
        "source": source,
        "args": ["one", "ü"],
        "inputs": ["é", "\u20ac uro"],
        "environment": {"A": "b", "TZ": "Asia/Tokyo"},
        "files": [{"path": "data", "content": "d"}],
        "execution_limits": {"max_file_descriptors": 33},
    }
    for changes in ({}, {"security_profile": "minimal", "restricted_python": False}):
        _, chunks = backend.run_batch(body | changes)
        assert [told(run)[4] for run in runs_of(chunks)] == [
            f"['main.py', 'one', 'ü'] b JST d {text} __main__ /workspace/main.py 33 1\n"
            for text in ("é", "\u20ac uro")
        ]


def test_inputs_arrive_as_they_are_however_many_and_large(backend: DirectBackend) -> None:
    inputs = ["", "x\n" * 30_000, "é" * 32_768, *(str(number) for number in range(100)), "\n\n"]
    source = (
        "import hashlib, sys\ndata = sys.stdin.buffer.read()\nprint(len(data), hash(data) != 0,"
        " sum(data), end='')"
    )
    limits = LIMITS | {"max_memory_mb": 64}
    outcome, chunks = backend.run_batch(
        {"source": source, "inputs": inputs, "execution_limits": limits}
    )
    expected = [f"{len(text.encode())} {bool(text)} {sum(text.encode())}" for text in inputs]
    assert [told(run)[4] for run in runs_of(chunks)] == expected
    assert outcome.batch == {"inputs": 104, "succeeded": 104, "failed": 0, "timed_out": 0}


def test_a_command_runs_once_for_each_input(backend: DirectBackend) -> None:
    command = ["python3", "-c", "import sys; print(sys.stdin.read()[::-1]); sys.exit(input == 0)"]
    _, chunks = backend.run_batch({"command": command, "inputs": ["abc", "", "ü1"]})
    assert [told(run) for run in runs_of(chunks)] == [
        (GOOD, None, 0, None, text) for text in ("cba\n", "\n", "1ü\n")
    ]
    _, chunks = backend.run_batch({"command": ["nowhere"], "inputs": ["a", "b"]})
    assert [run.reason for run in runs_of(chunks)] == [Reason.COMMAND_NOT_FOUND] * 2


def test_a_policy_holds_for_every_run(backend: DirectBackend) -> None:
    source = "name = input()\nprint(len(name))\nif name == 'open': open('/etc/passwd')"
    body = {"source": source, "restricted_python": True, "inputs": ["ab", "open", "c"]}
    outcome, chunks = backend.run_batch(body)
    assert [(run.status, run.reason) for run in runs_of(chunks)] == [
        (GOOD, None),
        (BAD, Reason.POLICY_VIOLATION),
        (GOOD, None),
    ]
    assert outcome.status is Status.SUCCEEDED


def test_one_process_at_once_is_enough(backend: DirectBackend) -> None:
    source = "import os\ntry: os.fork()\nexcept OSError as error: print(error.errno, input())"
    _, chunks = backend.run_batch(
        {"source": source, "inputs": ["a", "b"], "execution_limits": {"max_processes": 1}}
    )
    assert [told(run)[4] for run in runs_of(chunks)] == ["11 a\n", "11 b\n"]


@pytest.mark.parametrize("environment", [{}, EXECUTED], ids=["forked", "executed"])
def test_a_full_workspace_fails_runs_and_hangs_nothing(
    backend: DirectBackend, environment: dict[str, str]
) -> None:
    # Room is left for what the run that filled it had read, and for nothing larger.
    large = "ok " + "x" * 20_000
    names = ["ok", "fills", "ok", large, "ok"]
    outcome, chunks = backend.run_batch(
        {
            "source": PROGRAM,
            "inputs": names,
            "environment": environment,
            "resource_limits": {"storage_quota_mb": 4},
        }
    )
    runs = runs_of(chunks)
    assert (outcome.status, len(runs)) == (Status.SUCCEEDED, len(names))
    assert told(runs[0]) == EXPECTED["ok"]
    assert [run.reason for run in runs[1:]] == [None, None, Reason.SANDBOX_ERROR, None]


@pytest.mark.parametrize("inputs", [["a", "sleep", "b"], ["a", "sleep"]], ids=["amid", "last"])
def test_a_cancel_ends_the_run_and_the_batch(backend: DirectBackend, inputs: list[str]) -> None:
    def cancel(spec: Any, _: Chunks) -> None:
        assert backend.docker.cancel(spec.execution_id)

    source = "import time\nif input() == 'sleep': time.sleep(60)"
    outcome, chunks = backend.run_batch(
        {"source": source, "inputs": inputs, "input_timeout_seconds": 30},
        on_chunk=cancel,
    )
    assert [told(run)[0] for run in runs_of(chunks)] == [GOOD]
    assert (outcome.status, outcome.reason) == (Status.CANCELLED, Reason.CANCEL_REQUESTED)
    assert outcome.batch == {
        "inputs": len(inputs),
        "succeeded": 1,
        "failed": 0,
        "timed_out": 0,
    }


def test_the_batchs_time_limit_ends_it_with_the_runs_so_far(backend: DirectBackend) -> None:
    source = "import time\ntime.sleep(0.4)\nopen('output/a', 'w')"
    outcome, chunks = backend.run_batch(
        {
            "source": source,
            "inputs": ["x"] * 20,
            "execution_limits": {"max_execution_time_seconds": 1},
        }
    )
    runs = runs_of(chunks)
    assert 0 < len(runs) < 20
    assert (outcome.status, outcome.reason) == (Status.TIMED_OUT, Reason.TIME_LIMIT)
    assert outcome.batch == {"inputs": 20, "succeeded": len(runs), "failed": 0, "timed_out": 0}
    assert [artifact.path for artifact in outcome.artifacts] == ["a"]


def test_each_run_has_its_way_to_the_egress_proxy(backend: DirectBackend) -> None:
    source = (
        "import os, socket, urllib.request\n"
        "try: urllib.request.urlopen('http://nowhere.invalid/')\n"
        "except urllib.error.HTTPError as error: print(error.code)\n"
        "if input() == 'kill': os.kill(-1, 9)"
    )
    body = {"source": source, "inputs": ["a", "kill", "b"], "allowed_hosts": ["example.com"]}
    for environment in ({}, EXECUTED):
        _, chunks = backend.run_batch(body | {"environment": environment})
        assert [told(run)[4] for run in runs_of(chunks)] == ["403\n"] * 3
