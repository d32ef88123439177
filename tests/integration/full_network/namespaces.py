"""Network namespaces of a test's own, and servers in them; gone with the test."""

import ctypes
import os
import secrets
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAMESPACES = Path("/run/netns")  # where ip keeps them
CLONE_NEWNET = 0x40000000  # linux/sched.h


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Let this thread, and what it starts, be in a network namespace: its sockets stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(NAMESPACES / name, os.O_RDONLY)
    try:
        assert libc.setns(other, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(own, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    finally:
        os.close(other)
        os.close(own)


@contextmanager
def namespace(name: str) -> Iterator[str]:
    """A network namespace with nothing but loopback; yields its whole name."""
    name = f"agentcore-{secrets.token_hex(4)}-{name}"
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "delete", name)


def ip(*words: str) -> None:
    """Run ip(8)."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


def serve(where: str, port: int) -> socket.socket:
    """Take connections on every address, and send back what comes; until it is closed."""
    with inside(where):
        server = socket.create_server(("", port), backlog=64)

    def echo(client: socket.socket) -> None:
        client.settimeout(20)  # of a sandbox that ends, nothing is heard
        with client, suppress(OSError):
            while data := client.recv(1024):
                client.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=echo, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return server


def close(server: socket.socket) -> None:
    """End a server and its thread."""
    with suppress(OSError):
        server.shutdown(socket.SHUT_RDWR)  # wakes its thread, which close does not
    server.close()


def serve_names(where: str, address: str, answered: str) -> socket.socket:
    """Answer every question for an address with one."""
    with inside(where):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((address, 53))

    def answer() -> None:
        with suppress(OSError):
            while True:
                question, client = server.recvfrom(512)
                if not question:
                    return  # closed
                server.sendto(_dns_answer(question, answered), client)

    threading.Thread(target=answer, daemon=True).start()
    return server


def _dns_answer(question: bytes, address: str) -> bytes:
    """RFC 1035: the same header with one answer, the question, and an address for one second."""
    asked = question[12 : question.index(b"\0", 12) + 5]
    is_address = asked[-4:-2] == b"\0\1"  # and not IPv6's AAAA, which has no answer
    header = question[:2] + b"\x81\x80" + b"\0\1" + (b"\0\1" if is_address else b"\0\0") + b"\0" * 4
    record = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(address)
    return header + asked + (record if is_address else b"")
