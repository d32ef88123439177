"""Whom a request is for: the authority in its target, which its Host line must repeat."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address

from models.hosts import MAX_PORT
from worker.sandbox.egress import http_head, reasons
from worker.sandbox.egress.errors import BadRequestError, RefusedError
from worker.sandbox.egress.upstream import Host, parse_host

HTTP = 80

# No user name, no zone, nothing escaped: what one reader takes for the host, so must every other.
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[^][:@/?#%\\\s]{1,255})(?::([0-9]{1,5}))?")
_ABSOLUTE = re.compile(r"http://([^/?#]*)([^#]*)", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"(?!http:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A destination: as asked, and what it means."""

    text: str
    port: int
    path: str = ""

    @property
    def host(self) -> Host:
        """The canonical host. Raises RefusedError."""
        return parse_host(self.text)

    def authority(self) -> str:
        """Return the Host line's value, in its one spelling. Raises RefusedError."""
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        return host if self.port == HTTP else f"{host}:{self.port}"


def of_tunnel(request: http_head.Request) -> Target:
    """Return whom a CONNECT is for. Raises BadRequestError."""
    text, port = _authority(request.target)
    if port is None:
        raise BadRequestError("CONNECT needs host:port")
    target = Target(text=text, port=port)
    # Old clients send none, and some leave out the port.
    for host, host_port in _host_line(request):
        if host_port not in (None, port) or not _same(host, text):
            raise BadRequestError("the Host line is not that of the target")
    return target


def of_request(request: http_head.Request) -> Target:
    """Return whom a plain request is for. Raises BadRequestError, or RefusedError."""
    match = _ABSOLUTE.fullmatch(request.target)
    if match is None:
        if _OTHER_SCHEME.match(request.target):
            raise RefusedError(reasons.BAD_SCHEME)
        raise BadRequestError("not the request of a proxy's client: http://host/path, or CONNECT")
    text, port = _authority(match[1])
    path = match[2] if match[2].startswith("/") else f"/{match[2]}"
    if request.method == "OPTIONS" and not match[2]:
        path = "*"  # RFC 9112, section 3.2.4
    lines = _host_line(request)
    if not lines and request.minor == 1:
        raise BadRequestError("the Host line is missing")
    for host, host_port in lines:
        if (host_port or HTTP) != (port or HTTP) or not _same(host, text):
            raise BadRequestError("the Host line is not that of the target")
    return Target(text=text, port=port or HTTP, path=path)


def _host_line(request: http_head.Request) -> list[tuple[str, int | None]]:
    lines = http_head.values(request.fields, "host")
    if len(lines) > 1:
        raise BadRequestError("more than one Host line")
    return [_authority(line) for line in lines]


def _authority(text: str) -> tuple[str, int | None]:
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise BadRequestError("the host is malformed")
    port = int(match[2]) if match[2] else None
    if port is not None and not 0 < port <= MAX_PORT:
        raise BadRequestError("the port is out of range")
    return match[1], port


def _same(one: str, other: str) -> bool:
    try:
        return one == other or parse_host(one) == parse_host(other)
    except RefusedError:
        return False
