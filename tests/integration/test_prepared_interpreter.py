"""A program in an interpreter that was started ahead sees what it would see in one of its own."""

import os
import re
import signal
from collections.abc import Iterator

import docker
import pytest

from models.sandbox import CapturedStream
from models.status import Status
from tests.integration.direct_backend import DirectBackend, direct_backend
from worker.sandbox import container

# A variable that interpreters read when they start: the program gets one that starts after it.
EXECUTED = {"PYTHONNOTHING": "1"}
PROBES = '''# -*- coding: utf-8 -*-
"""The docstring."""
import __main__, atexit, builtins, gc, os, pickle, resource, signal, site, sys, threading, time
import subprocess, multiprocessing, traceback, linecache, inspect, warnings, json, pathlib

# Before anything else of ours is there: what the interpreter has loaded.
modules = sorted(sys.modules)

class Thing:
    value = 1

def show(name, value):
    print(name, "=", value, flush=True)

def child(queue):
    queue.put((__name__, Thing.value, sys.argv))

def main():
    for name in ("argv", "orig_argv", "path", "flags", "executable", "prefix", "meta_path",
                 "path_hooks", "warnoptions", "_xoptions", "version", "dont_write_bytecode",
                 "pycache_prefix", "platlibdir", "excepthook"):
        show("sys." + name, getattr(sys, name))
    show("path caches", sorted(sys.path_importer_cache))
    show("modules", modules)
    show("main", [(key, value if key != "__builtins__" else value is builtins)
                  for key, value in vars(__main__).items() if key.startswith("__")
                  and key not in ("__loader__", "__annotations__")])
    show("loader", (type(__loader__).__name__, __loader__.name, __loader__.path))
    show("own module", __main__ is sys.modules["__main__"])
    show("source", inspect.getsource(Thing))
    show("stack", [(frame.filename, frame.function) for frame in inspect.stack()])
    show("threads", [thread.name for thread in threading.enumerate()])
    environment = dict(os.environ)
    environment.pop("AGENTCORE_EXECUTION_ID"), environment.pop("PYTHONNOTHING", None)
    show("environment", environment)
    inherited = subprocess.run([sys.executable, "-c", "import os; print(sorted(os.environ))"],
                               capture_output=True, text=True).stdout
    show("inherited", inherited.replace("'PYTHONNOTHING', ", ""))
    show("time zone", time.tzname)
    show("site", (site.ENABLE_USER_SITE, site.getusersitepackages(), site.PREFIXES))
    show("folder", (os.getcwd(), sorted(os.listdir("."))))
    show("input", (sys.stdin.seekable(), sys.stdin.readline(), sys.stdin.read()))
    show("size", os.fstat(0).st_size)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        show(stream.name, (stream.mode, stream.encoding, stream.errors, stream.line_buffering,
                           stream.write_through, stream.newlines, stream.isatty()))
    show("descriptors", sorted(os.listdir("/proc/self/fd")))
    show("limits", [(name, resource.getrlimit(getattr(resource, name)))
                    for name in dir(resource) if name.startswith("RLIMIT")])
    show("signals", [(number, signal.getsignal(number)) for number in signal.valid_signals()
                     if signal.getsignal(number) is not None])
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    wanted = ("Name", "State", "PPid", "TracerPid", "Uid", "Gid", "Sig", "Cap", "NoNewPrivs",
              "Seccomp:", "Threads", "ShdPnd")
    show("status", [line for line in status if line.startswith(wanted)])
    show("process", (os.getsid(0) == os.getpid() == os.getpgrp(), os.nice(0), os.umask(0o22)))
    for name in ("oom_score_adj", "loginuid", "comm", "coredump_filter"):
        path = pathlib.Path("/proc/self", name)
        show(name, path.read_text().strip() if path.exists() else None)
    show("processes", len([name for name in os.listdir("/proc") if name.isdigit()]))
    show("dumpable", os.access("/proc/self/environ", os.R_OK))
    show("garbage", (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), gc.callbacks,
                     gc.garbage, gc.get_debug()))
    show("tracing", (sys.gettrace(), sys.getprofile(), threading.getprofile()
                     if hasattr(threading, "getprofile") else None))
    show("recursion", (sys.getrecursionlimit(), sys.getswitchinterval(),
                       sys.is_finalizing(), sys.getfilesystemencoding()))
    try:
        os.wait()
    except ChildProcessError as error:
        show("no children", error)
    copy = pickle.loads(pickle.dumps(Thing()))
    show("pickled", (type(copy) is Thing, Thing.__module__, Thing.__qualname__))
    import main as again
    show("imported", (again.__name__, again.__file__, again.Thing is not Thing, again.__spec__))
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        queue = context.SimpleQueue()
        process = context.Process(target=child, args=(queue,))
        process.start()
        show(method, queue.get())
        process.join()
        show(method + " ended", process.exitcode)
    forked = os.fork()
    if forked == 0:
        os._exit(5)
    show("forked", os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1]))
    warnings.warn("a warning of the program")
    print("to standard error", file=sys.stderr, flush=True)
    atexit.register(lambda: show("at exit", (globals().get("__file__"), __name__, os.getcwd())))

    def late():
        time.sleep(0.05)
        show("a thread", threading.current_thread().name)

    threading.Thread(target=late).start()
    try:
        {}["missing"]
    except KeyError:
        print(traceback.format_exc())

class Dying:
    def __del__(self, show=show):
        show("finalized", self.name)

if __name__ == "__main__":
    main()
    dying, cycle = Dying(), Dying()
    dying.name, cycle.name, cycle.cycle = "a global", "a cycle", cycle
    raise LookupError("the last word, with é")
'''


@pytest.fixture(scope="module")
def backend(sandbox_image: str) -> Iterator[DirectBackend]:
    with direct_backend(sandbox_image) as made:
        yield made


def _lines(stream: CapturedStream) -> list[str]:
    return re.sub("0x[0-9a-f]+", "0x…", stream.kept.decode()).splitlines()


def test_a_prepared_interpreter_is_like_one_that_starts_with_its_program(
    backend: DirectBackend,
) -> None:
    body = {
        "source": PROBES,
        "args": ["one", "zwei ü", ""],
        "stdin": "first\nsecond",
        "execution_limits": {"max_cpu_percent": 200, "max_file_descriptors": 40},
    }
    variables = {"TZ": "Asia/Tokyo", "NAME": "é", "TMPDIR": "/workspace"}
    prepared = backend.run({**body, "environment": variables})
    executed = backend.run({**body, "environment": variables | EXECUTED})
    assert _lines(prepared.stdout) == _lines(executed.stdout)
    assert _lines(prepared.stderr) == _lines(executed.stderr)
    assert (prepared.status, prepared.exit_code, prepared.reason) == (
        executed.status,
        executed.exit_code,
        executed.reason,
    )
    # It came to its end: what was compared is what was meant to be.
    assert executed.stderr.kept.endswith("LookupError: the last word, with é\n".encode())
    assert b"a cycle" in executed.stdout.kept


def test_packages_of_the_users_own_are_found_as_at_any_start(backend: DirectBackend) -> None:
    # The interpreter looks for them before it looks for the program.
    files = [
        {
            "path": f".local/lib/python3.{minor}/site-packages/usercustomize.py",
            "content": "import sys; sys.seen = True",
        }
        for minor in range(11, 16)
    ]
    outcome = backend.run({"source": "import sys; print(sys.seen)", "files": files})
    assert (outcome.status, outcome.stdout.kept) == (Status.SUCCEEDED, b"True\n")


def test_one_process_is_enough_and_the_waiting_one_is_not_counted(backend: DirectBackend) -> None:
    source = "import os; print(sum(name.isdigit() for name in os.listdir('/proc')))"
    limits = {"execution_limits": {"max_processes": 1}}
    prepared = backend.run({"source": source, **limits})
    executed = backend.run({"source": source, "environment": EXECUTED, **limits})
    assert prepared.stdout.kept == executed.stdout.kept == b"2\n", prepared


def test_an_interpreter_that_died_while_it_waited_is_replaced(
    backend: DirectBackend, engine: docker.DockerClient
) -> None:
    spec = backend.spec({"source": "print(open('/proc/self/cmdline').read())", "args": ["seen"]})

    def end_it(_: object) -> None:
        label = f"{container.LABEL_EXECUTION}={spec.execution_id}"
        (found,) = engine.containers.list(filters={"label": label})
        _, waiting = found.top()["Processes"]
        os.kill(int(waiting[1]), signal.SIGKILL)

    outcome = backend.docker.run(spec, end_it)
    # Of an executed program, the kernel knows the arguments.
    assert outcome.stdout.kept == b"python3\0main.py\0seen\0\n"
