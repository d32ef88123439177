"""Ordinary Python programs, one function each; runs inside a sandbox, standard library only.

`ordinary.py CASE` runs one; a case that does not raise has passed. Without arguments every case is
run once, then those that start processes and threads are run many times over in one process; the
outcomes are printed as JSON. In the folder that HOME names anything may be written.
"""

import asyncio
import concurrent.futures
import contextlib
import ctypes
import decimal
import fcntl
import hashlib
import http.server
import json
import mmap
import multiprocessing
import multiprocessing.shared_memory
import os
import pty
import resource
import select
import shutil
import signal
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import traceback
import urllib.request
import uuid
import zoneinfo
from datetime import datetime
from pathlib import Path

HOME = os.environ.get("HOME", "/workspace")
REPEATS = 20  # of each case in REPEATED, in one process: what goes wrong once in ten shows here

CASES = {}
STANDARD_CASES = {}
GREETING = b"hello"


def case(function):
    CASES[function.__name__] = function
    return function


def standard_case(function):
    STANDARD_CASES[function.__name__] = function
    return function


def square(number):
    return number * number


def child_squares(number, results):
    results.put(square(number))


def run_in_process(method):
    context = multiprocessing.get_context(method)
    results = context.Queue()
    process = context.Process(target=child_squares, args=(7, results))
    process.start()
    assert results.get(timeout=30) == 49
    process.join(30)
    assert process.exitcode == 0


@case
def threads():
    done = []
    workers = [threading.Thread(target=done.append, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert sorted(done) == list(range(8))


@case
def subprocess_run():
    result = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys.stdin.read().upper())"],
        input="hello",
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert result.stdout == "HELLO\n"


@case
def subprocess_in_new_session_with_limits():
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))

    code = "import os, resource; print(os.getpgrp() == os.getpid(), *resource.getrlimit(7))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
        preexec_fn=limit,
    )
    assert result.stdout == "True 32 32\n"


@case
def subprocess_is_killed_on_timeout():
    try:
        subprocess.run([sys.executable, "-c", "import signal; signal.pause()"], timeout=0.5)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError("it ended by itself")


@case
def processes_by_os_calls():
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", ""], os.environ)
    assert os.waitpid(pid, 0)[1] == 0
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os._exit(0)
    descriptor = os.pidfd_open(pid)
    assert os.waitid(os.P_PIDFD, descriptor, os.WEXITED).si_status == 0
    os.close(descriptor)


@case
def multiprocessing_fork():
    run_in_process("fork")


@case
def multiprocessing_spawn():
    run_in_process("spawn")


@case
def multiprocessing_pool_and_pipe():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(square, range(4)) == [0, 1, 4, 9]
    ours, theirs = multiprocessing.Pipe()
    theirs.send({"a": 1})
    assert ours.recv() == {"a": 1}


@case
def shared_memory():
    block = multiprocessing.shared_memory.SharedMemory(create=True, size=4096)
    block.buf[:5] = GREETING
    same = multiprocessing.shared_memory.SharedMemory(name=block.name)
    assert bytes(same.buf[:5]) == GREETING
    same.close()
    block.close()
    block.unlink()


@case
def futures_in_threads_and_processes():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert list(pool.map(square, range(3))) == [0, 1, 4]
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(square, range(3))) == [0, 1, 4]


@case
def asyncio_tasks_and_threads():
    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, woken.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(woken.wait(), 30)
        return await asyncio.gather(asyncio.sleep(0.01, 1), asyncio.to_thread(square, 3))

    woken = asyncio.Event()
    assert asyncio.run(main()) == [1, 9]


@case
def asyncio_subprocess():
    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "print(input())",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(GREETING), 30)
        return out, process.returncode

    assert asyncio.run(main()) == (GREETING + b"\n", 0)


@case
def socket_pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.sendall(GREETING)
    assert select.select([ours], [], [], 30)[0] == [ours]
    assert ours.recv(16) == GREETING
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(16) == b""
    ours.close()
    theirs.close()


@case
def sqlite_database_with_wal():
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite3.connect(Path(folder, "a.db"))
        assert database.execute("pragma journal_mode=wal").fetchone() == ("wal",)
        database.execute("create table t (n integer)")
        database.executemany("insert into t values (?)", [(n,) for n in range(100)])
        database.commit()
        assert database.execute("select sum(n) from t").fetchone() == (4950,)
        database.close()


@case
def temporary_files():
    with tempfile.TemporaryFile() as file:
        file.write(GREETING)
        file.seek(0)
        assert file.read() == GREETING
    with tempfile.NamedTemporaryFile(dir=HOME) as file:
        assert Path(file.name).exists()


@case
def file_tree():
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        source = Path(folder, "a", "b.txt")
        source.parent.mkdir()
        source.write_bytes(GREETING)
        source.chmod(0o640)
        copy = Path(shutil.copy2(source, Path(folder, "c.txt")))
        assert stat.S_IMODE(copy.stat().st_mode) == 0o640
        shutil.copytree(source.parent, Path(folder, "d"))
        Path(folder, "link").symlink_to(source)
        assert Path(folder, "link").read_bytes() == GREETING
        assert shutil.copy2(f"{folder}/link", f"{folder}/l2", follow_symlinks=False)
        assert Path(folder, "l2").is_symlink()
        os.link(source, Path(folder, "hard"))
        source.rename(Path(folder, "moved"))
        os.utime(copy, (1, 1))
        with copy.open("r+b") as file:
            file.truncate(2)
        assert {entry.name for entry in os.scandir(folder)} >= {"a", "d", "link", "hard", "moved"}
        shutil.make_archive(str(Path(folder, "x")), "gztar", folder, "a")
        with tarfile.open(Path(folder, "x.tar.gz")) as archive:
            archive.extractall(Path(folder, "out"))


@case
def file_calls_of_the_os_module():
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        file = os.open(f"{folder}/a", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        assert os.pwrite(file, GREETING, 0) == os.writev(file, [GREETING]) == 5
        assert os.pread(file, 5, 0) == GREETING
        os.lseek(file, 0, os.SEEK_SET)
        assert os.readv(file, [bytearray(2), bytearray(3)]) == 5
        os.fsync(file)
        os.fdatasync(file)
        os.ftruncate(file, 3)
        os.fchmod(file, 0o640)
        copy = os.dup(file)
        os.dup2(file, copy)
        os.closerange(copy, copy + 1)
        assert os.fstatvfs(file).f_bsize > 0
        other = os.open(f"{folder}/b", os.O_RDWR | os.O_CREAT, 0o600)
        assert os.sendfile(other, file, 0, 3) == os.copy_file_range(file, other, 3, 0) == 3
        os.close(file)
        os.close(other)
        assert shutil.disk_usage(folder).total > 0
        assert os.access(folder, os.W_OK)
        Path(folder, "a").replace(f"{folder}/c")
        os.umask(os.umask(0o022))
        assert [sorted(files) for _, _, files, _ in os.fwalk(folder)] == [["b", "c"]]


@case
def changing_directory():
    before = Path.cwd()
    folder = os.open(before, os.O_RDONLY | os.O_DIRECTORY)
    with tempfile.TemporaryDirectory(dir=HOME) as other, contextlib.chdir(other):
        assert Path.cwd().samefile(other)
        Path("here").write_text("here")
        os.fchdir(folder)
    os.close(folder)
    assert Path.cwd() == before


@case
def memory_map():
    with tempfile.TemporaryFile() as file:
        file.write(b"\0" * 4096)
        file.flush()
        with mmap.mmap(file.fileno(), 4096) as mapped:
            mapped[:5] = GREETING
            mapped.flush()
        file.seek(0)
        assert file.read(5) == GREETING


@case
def epoll_poll_and_select():
    reader, writer = os.pipe()
    os.write(writer, GREETING)
    with select.epoll() as epoll:
        epoll.register(reader, select.EPOLLIN)
        assert epoll.poll(30) == [(reader, select.EPOLLIN)]
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    assert poll.poll(30_000) == [(reader, select.POLLIN)]
    assert select.select([reader], [], [], 30)[0] == [reader]


@case
def signals_and_timers():
    seen = []
    signal.signal(signal.SIGALRM, lambda number, frame: seen.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    signal.pause()
    assert seen == [signal.SIGALRM]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    assert signal.sigwait({signal.SIGUSR1}) == signal.SIGUSR1
    assert signal.sigtimedwait({signal.SIGUSR1}, 0.01) is None
    signal.alarm(60)
    assert signal.alarm(0) > 0


@case
def terminal_questions_get_an_answer():
    assert not os.isatty(0)
    shutil.get_terminal_size()
    os.set_inheritable(0, True)


@case
def hashes_and_tls_library():
    assert hashlib.sha256(GREETING).hexdigest().startswith("2cf24dba")
    assert hashlib.scrypt(GREETING, salt=b"salt", n=1024, r=8, p=1)
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED


@case
def identifiers_and_randomness():
    assert len({uuid.uuid4() for _ in range(100)}) == 100
    assert uuid.uuid1().version == 1
    assert len(os.urandom(16)) == len(os.getrandom(16)) == 16


@case
def dates_numbers_and_json():
    zone = zoneinfo.ZoneInfo("UTC")
    assert datetime(2024, 1, 1, tzinfo=zone).utcoffset().total_seconds() == 0
    assert decimal.Decimal("0.1") + decimal.Decimal("0.2") == decimal.Decimal("0.3")
    assert json.loads(json.dumps({"a": [1, 2.5, None]})) == {"a": [1, 2.5, None]}


@case
def clocks_limits_and_identity():
    time.sleep(0.01)
    assert time.time() > 1_700_000_000
    assert time.clock_gettime(time.CLOCK_MONOTONIC) > 0
    assert os.times().user >= 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 0
    assert os.sysconf("SC_PHYS_PAGES") > 0
    assert len(os.sched_getaffinity(0)) >= 1
    assert os.getuid() == Path("/proc/self").stat().st_uid
    assert os.getpriority(os.PRIO_PROCESS, 0) + 1 == os.nice(1)
    assert os.getpgrp() > 0
    os.getgroups()
    os.getloadavg()
    os.sched_yield()
    os.uname()


@case
def foreign_functions():
    libc = ctypes.CDLL(None)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda a, b: 0)
    libc.qsort((ctypes.c_int * 4)(4, 3, 2, 1), 4, 4, compare)


@standard_case
def loopback_tcp():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=30)
        peer, _ = server.accept()
        peer.sendall(GREETING)
        assert client.recv(16) == GREETING
        peer.close()
        client.close()


def tls_contexts():
    """A server's and a client's, without a certificate: the peers stay unknown to each other."""
    contexts = [ssl.SSLContext(p) for p in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)]
    for context in contexts:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH:@SECLEVEL=0")
    return contexts


def answer_tls(server, context):
    with context.wrap_socket(server.accept()[0], server_side=True) as peer:
        peer.sendall(peer.recv(16))


@standard_case
def loopback_tls():
    served, asking = tls_contexts()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_tls, args=(server, served))
        thread.start()
        client = socket.create_connection(server.getsockname(), timeout=30)
        with asking.wrap_socket(client) as wrapped:
            wrapped.sendall(GREETING)
            assert wrapped.recv(16) == GREETING
        thread.join(30)


@standard_case
def loopback_http():
    handler = http.server.SimpleHTTPRequestHandler
    handler.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.server_address[1]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
            assert answer.status == 200
        server.shutdown()
        thread.join(30)


@standard_case
def ipv6_socket():
    """Only made and set: a sandbox without a network has no IPv6 address to bind."""
    with socket.socket(socket.AF_INET6) as made:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        assert made.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@standard_case
def loopback_udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(GREETING, server.getsockname())
        assert server.recv(16) == GREETING


@standard_case
def names_resolve_without_netlink():
    found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    assert any(address[4][0] in ("127.0.0.1", "::1") for address in found)
    assert socket.getaddrinfo("127.0.0.1", 80)
    assert socket.if_nametoindex("lo") >= 1
    socket.gethostname()


@standard_case
def asyncio_server():
    async def serve(reader, writer):
        writer.writelines([await reader.readline(), b"!"])
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "localhost", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("localhost", port)
        writer.write(GREETING + b"\n")
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return answer

    assert asyncio.run(main()) == GREETING + b"\n!"


@standard_case
def unix_socket_passes_a_descriptor():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/s")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client, tempfile.TemporaryFile() as file:
            client.connect(f"{folder}/s")
            peer, _ = server.accept()
            socket.send_fds(peer, [GREETING], [file.fileno()])
            message, descriptors, _, _ = socket.recv_fds(client, 16, 1)
            assert message == GREETING
            os.close(descriptors[0])
            peer.close()


@standard_case
def multiprocessing_forkserver_and_manager():
    run_in_process("forkserver")
    with multiprocessing.Manager() as manager:
        shared = manager.dict(a=1)
        assert shared["a"] == 1


@standard_case
def pseudo_terminal():
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", "import os; print(os.isatty(0))"])
    assert os.read(terminal, 64).startswith(b"True")
    os.waitpid(pid, 0)


@standard_case
def rarer_questions():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    assert signal.SIGUSR1 in signal.sigpending()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert os.getsid(0) > 0
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    with tempfile.TemporaryFile() as file:
        os.posix_fallocate(file.fileno(), 0, 4096)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)


@standard_case
def named_pipe_and_owner():
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder, "p")
        os.mkfifo(pipe)
        assert pipe.is_fifo()
        os.chown(pipe, os.getuid(), os.getgid())


REPEATED = (
    threads,
    subprocess_run,
    processes_by_os_calls,
    multiprocessing_fork,
    multiprocessing_pool_and_pipe,
    shared_memory,
    futures_in_threads_and_processes,
    asyncio_tasks_and_threads,
    asyncio_subprocess,
    sqlite_database_with_wal,
    file_tree,
)
"""Cases in which processes, threads and locks meet; spawn is left out, it takes a second each."""


def run_each(names):
    """Each case in a Python of its own; name to the error, "" for none."""
    found = {}
    for name in names:
        done = subprocess.run(
            [sys.executable, __file__, name], capture_output=True, text=True, timeout=60
        )
        found[name] = "" if done.returncode == 0 else done.stderr or f"exit {done.returncode}"
    return found


def run_repeatedly(functions):
    """All cases in turn, again and again in this one process."""
    found = {function.__name__: [] for function in functions}
    for _ in range(REPEATS):
        for function in functions:
            try:
                function()
            except Exception:
                found[function.__name__].append(traceback.format_exc())
    return found


def main(names):
    if names:
        {**CASES, **STANDARD_CASES}[names[0]]()
        return
    once = run_each([*CASES, *STANDARD_CASES])
    print(json.dumps({"once": once, "repeated": run_repeatedly(REPEATED)}))


if __name__ == "__main__":
    main(sys.argv[1:])
