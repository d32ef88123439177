"""Run in a network and mount namespace of its own: the real proxy, by the system's resolver.

The name server is ours and changes its mind; addresses that are public, private and of a metadata
service are all on this namespace's loopback interface, with a web server on each. Prints what came
of each case as JSON. See test_rebinding.
"""

import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from tests.integration.egress.support import connect, read_all, read_head, serving
from worker.sandbox.egress.client import EgressProxy, Gate
from worker.sandbox.egress.limits import Limits
from worker.sandbox.egress.policy import Policy

NAME_SERVER = "127.0.0.53"
PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:220:1::14"
PRIVATE, METADATA, METADATA_6 = "10.9.8.7", "169.254.169.254", "fd00:ec2::254"
ADDRESSES = (PUBLIC, PUBLIC_6, PRIVATE, METADATA, METADATA_6)
SEARCH = "corp.internal"
A, AAAA = 1, 28  # types of a record (RFC 1035, 3596)

asked: Counter[str] = Counter()


def rebinding() -> list[str]:
    """Public at first, ourselves from then on."""
    return [PUBLIC] if asked["rebind.test A"] == 1 else ["127.0.0.1"]


NAMES: dict[str, list[str] | Callable[[], list[str]]] = {
    "rebind.test": rebinding,
    "public.test": [PUBLIC],
    "six.test": [PUBLIC_6],
    "both.test": [PUBLIC, "127.0.0.1"],
    "loop.test": ["127.0.0.1"],
    "zero.test": ["0.0.0.0"],
    "six-loop.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "private.test": [PRIVATE],
    "metadata.test": [METADATA],
    "metadata-six.test": [METADATA_6],
    "nat64.test": ["64:ff9b::a9fe:a9fe"],
    "single": [PUBLIC],
    # What a look-up of another name than the one that was judged would find.
    f"public.test.{SEARCH}": [PRIVATE],
    f"secret.{SEARCH}": [PUBLIC],
}
OTHERS = ("rebind.test", f"public.test.{SEARCH}", f"secret.{SEARCH}")


def serve_names() -> None:
    """Answer queries over UDP; stay silent about silent.test."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((NAME_SERVER, 53))
    while True:
        query, client = server.recvfrom(512)
        name, kind, end = question(query)
        asked[f"{name} {'A' if kind == A else 'AAAA' if kind == AAAA else kind}"] += 1
        if name != "silent.test":
            server.sendto(reply(query[:end], name, kind), client)


def question(query: bytes) -> tuple[str, int, int]:
    """Return the name, the type and the end of a query's question."""
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    return ".".join(labels), struct.unpack_from("!H", query, at + 1)[0], at + 5


def reply(query: bytes, name: str, kind: int) -> bytes:
    """Return an answer that may not be kept: its time to live is 0."""
    known = NAMES.get(name)
    found = [ip_address(text) for text in (known() if callable(known) else known or [])]
    fitting = [one for one in found if (A if isinstance(one, IPv4Address) else AAAA) == kind]
    flags = 0x8180 if known else 0x8183  # no error, or no such name
    head = query[:2] + struct.pack("!HHHHH", flags, 1, len(fitting), 0, 0)
    records = b"".join(
        b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 0, len(one.packed)) + one.packed
        for one in fitting
    )
    return head + query[12:] + records


def tell_address(client: socket.socket) -> None:
    """Answer with the address that was dialled."""
    read_head(client)
    body = client.getsockname()[0].encode()
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def set_up(directory: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in ADDRESSES:
        bits = "128" if ":" in address else "32"
        nodad = ["nodad"] if ":" in address else []
        subprocess.run(["ip", "addr", "add", f"{address}/{bits}", "dev", "lo", *nodad], check=True)
    configuration = directory / "resolv.conf"
    # As a pod of Kubernetes has it: nearly every name is tried below the search list first.
    options = f"search {SEARCH}\noptions ndots:5 timeout:1 attempts:1"
    configuration.write_text(f"nameserver {NAME_SERVER}\n{options}\n")
    hosts = directory / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{PUBLIC} in-file\n")
    for file, place in ((configuration, "/etc/resolv.conf"), (hosts, "/etc/hosts")):
        subprocess.run(["mount", "--bind", str(file), os.path.realpath(place)], check=True)
    threading.Thread(target=serve_names, daemon=True).start()


def ask(gate: Gate, host: str) -> str:
    """Return the address that was reached, or the answer's first line."""
    return ask_at(gate.socket, host)


def ask_at(path: Path, host: str) -> str:
    """Do the same at a socket."""
    with connect(path) as client:
        head = f"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        client.sendall(head.encode())
        answer = read_all(client).decode()
    first, body = answer.split("\r\n", 1)[0], answer.partition("\r\n\r\n")[2]
    return body if " 200 " in first else first


def main() -> None:
    directory = Path(sys.argv[1])
    set_up(directory)
    servers = [serving(tell_address, one, 80) for one in ("127.0.0.1", PUBLIC, PRIVATE, METADATA)]
    for server in servers:
        server.__enter__()
    six = socket.create_server((PUBLIC_6, 80), family=socket.AF_INET6)
    threading.Thread(target=lambda: tell_address(six.accept()[0]), daemon=True).start()
    proxy = EgressProxy(directory / "e")
    try:
        print(json.dumps(cases(proxy, directory)))
    finally:
        proxy.close()


def cases(proxy: EgressProxy, directory: Path) -> dict[str, object]:
    gate = proxy.open(Policy.parsed(["*"]), Limits(resolve_seconds=3.0))
    found: dict[str, object] = {f"rebind.test {turn}": ask(gate, "rebind.test") for turn in "123"}
    found["lookups of the first"] = asked["rebind.test A"]
    found |= {name: ask(gate, name) for name in NAMES if name not in OTHERS}
    found |= {name: ask(gate, name) for name in ("unknown.test", PUBLIC, "secret", "in-file")}
    opened = proxy.open(Policy.parsed(["*", "10.0.0.0/8"]), Limits())
    found["private.test, opened"] = ask(opened, "private.test")
    found["metadata.test, opened"] = ask(opened, "metadata.test")
    found["silent.test"], found["meanwhile"] = silent(gate, opened)
    with serving_alone(directory) as path:
        found |= {f"{name}, alone": ask_at(path, name) for name in ("secret", "single", "in-file")}
    found["searched"] = sorted(name for name in asked if SEARCH in name)
    found["addresses"] = sorted({str(one.address) for one in gate.close().decisions})
    return found


@contextmanager
def serving_alone(directory: Path) -> Iterator[Path]:
    """Run the proxy by itself, with a search list of its own; give its socket."""
    path = directory / "alone"
    command = [sys.executable, "-m", "worker.sandbox.egress", "--allow", "*", "--listen", str(path)]
    environment = os.environ | {"LOCALDOMAIN": SEARCH}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield path
    finally:
        process.terminate()
        process.communicate()


def silent(gate: Gate, other: Gate) -> tuple[str, bool]:
    """Ask for a name of which no server speaks, and at another gate for one that is known."""
    answers: list[str] = []
    waiting = [
        threading.Thread(target=lambda: answers.append(ask(gate, "silent.test"))) for _ in range(8)
    ]
    for thread in waiting:
        thread.start()
    began = time.monotonic()
    # The silent server is given up after four.
    served = ask(other, "public.test") == PUBLIC and time.monotonic() - began < 3.5
    for thread in waiting:
        thread.join()
    return " / ".join(sorted(set(answers))), served


if __name__ == "__main__":
    main()
