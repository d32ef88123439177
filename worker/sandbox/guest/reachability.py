"""Tries, from inside, what a sandbox with `full` network access must not reach.

It shows a hole; it proves no wall: two ports of one address and one of another are tried, before
any user byte. `python -m worker full-network check` on the host looks at the rules themselves.
"""

import errno
import select
import socket
import struct
import time
from pathlib import Path

CLOSED = "closed"
"""Refused, as claimed: of the gateway, which is the host, by a firewall; of the metadata service
by a firewall (ours sends a reset) or by a machine that serves none there."""

OPEN = "open"
"""The claim does not hold: the metadata service took the connection, or the host answered for
itself, be it only that nothing listens on that port."""

SILENT = "silent"
"""No answer in time. Of the gateway: a firewall drops packets, or the kernel had told this address
too often that something is prohibited (six times in a row, then once a second, over all sandboxes
that had it before). Of the metadata service: our rules are not in force, for resets always come."""

UNREACHABLE = "unreachable"
"""No way there, but no firewall says so: nothing to reach today, and nothing that prevents it."""

ABSENT = "absent"
"""Nothing to try: no gateway, or no sockets under this profile."""

# Of several attempts, the word that stands last here counts.
_RISING = (ABSENT, SILENT, UNREACHABLE, CLOSED, OPEN)

METADATA = ("169.254.169.254", 80)  # of most clouds; our rules close all of them together
# A host without rules answers on any port, open or not: 9 (discard) is served nowhere. A host with
# rules of its own may let people in on 22.
GATEWAY_PORTS = (9, 22)
LONGEST_SECONDS = 0.3  # for all of it, where nothing answers
GRACE_SECONDS = 0.03  # after the first answer: the others come from as near, within a millisecond

ROUTES = Path("/proc/self/net/route")
_HAS_GATEWAY = 0x2  # RTF_GATEWAY of linux/route.h
_IP_RECVERR = 11  # linux/in.h
_ERROR_QUEUE = socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
# struct sock_extended_err of linux/errqueue.h up to its code: error, origin, type, code.
_EXTENDED_ERROR = struct.Struct("=IBBB")
_FROM_ICMP, _UNREACHABLE_TYPE = 2, 3  # SO_EE_ORIGIN_ICMP; ICMP type of RFC 792
# ICMP "unreachable" as firewalls send it (RFC 792, 1812): port, which no machine says of TCP, and
# network, host, communication prohibited.
_PROHIBITED = {3, 9, 10, 13}


def probe() -> dict[str, str]:
    """Return one of the words above for "gateway" and for "metadata".

    Never raises; takes a millisecond where all is closed, 30 where the kernel has told this
    address too often, 300 at most.
    """
    gateway = _gateway()
    targets = {"metadata": [METADATA]}
    if gateway:
        targets["gateway"] = [(gateway, port) for port in GATEWAY_PORTS]
    found = {"gateway": ABSENT, "metadata": ABSENT}
    attempts: dict[int, tuple[str, socket.socket]] = {}
    try:
        for name, addresses in targets.items():
            for address in addresses:
                attempt = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
                attempts[attempt.fileno()] = name, attempt
                _begin(attempt, address)
                _take(found, name, SILENT)
        _await(attempts, found)
    except OSError:
        pass  # what was seen by then stands; a profile without sockets ends here
    finally:
        for _, attempt in attempts.values():
            attempt.close()
    return found


def _gateway() -> str:
    """Return the address of the default route's gateway; empty without one."""
    try:
        lines = ROUTES.read_text(encoding="ascii").splitlines()[1:]
        for _, target, gateway, flags, *_ in (line.split() for line in lines):
            if int(target, 16) == 0 and int(flags, 16) & _HAS_GATEWAY:
                # Printed as a number in the machine's own order of bytes.
                return socket.inet_ntoa(struct.pack("=I", int(gateway, 16)))
    except (OSError, ValueError):
        pass
    return ""


def _begin(attempt: socket.socket, address: tuple[str, int]) -> None:
    """Start connecting; what comes of it at once, as having no route, is seen by the poll, too."""
    attempt.setblocking(False)
    attempt.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    attempt.connect_ex(address)


def _await(attempts: dict[int, tuple[str, socket.socket]], found: dict[str, str]) -> None:
    poll = select.poll()
    for descriptor in attempts:
        poll.register(descriptor, select.POLLOUT)
    waiting, deadline = len(attempts), time.monotonic() + LONGEST_SECONDS
    while waiting and (left := deadline - time.monotonic()) > 0:
        for descriptor, _ in poll.poll(left * 1000):
            name, attempt = attempts[descriptor]
            _take(found, name, _judge(name, attempt))
            poll.unregister(descriptor)
            waiting -= 1
            deadline = min(deadline, time.monotonic() + GRACE_SECONDS)


def _take(found: dict[str, str], name: str, word: str) -> None:
    found[name] = max(found[name], word, key=_RISING.index)


def _judge(name: str, attempt: socket.socket) -> str:
    """Return what the end of an attempt means."""
    error = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if _is_connected(attempt):
        return OPEN
    code = _icmp_code(attempt)
    if code is not None:
        return CLOSED if code in _PROHIBITED else UNREACHABLE
    if error == errno.ECONNREFUSED:
        return OPEN if name == "gateway" else CLOSED
    # Linux before 5.8 keeps no code for TCP: this is what most of the codes above become.
    return CLOSED if error == errno.EHOSTUNREACH else UNREACHABLE


def _is_connected(attempt: socket.socket) -> bool:
    try:
        attempt.getpeername()
    except OSError:
        return False
    return True


def _icmp_code(attempt: socket.socket) -> int | None:
    """Return the code of the ICMP message "unreachable" that ended an attempt; None without."""
    try:
        _, ancillary, _, _ = attempt.recvmsg(1, 512, _ERROR_QUEUE)
    except OSError:
        return None
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_RECVERR) and len(data) >= _EXTENDED_ERROR.size:
            _, origin, icmp_type, code = _EXTENDED_ERROR.unpack_from(data)
            return code if (origin, icmp_type) == (_FROM_ICMP, _UNREACHABLE_TYPE) else None
    return None
