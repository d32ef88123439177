"""Reads the heads of HTTP/1 messages (RFC 9112), and refuses every form that two readers could
read in two ways: that is what request smuggling is made of."""

import re
from dataclasses import dataclass

from worker.sandbox.egress.errors import BadRequestError

MAX_FIELDS = 100  # header lines; browsers send about 20
MAX_TARGET = 8_192  # bytes; RFC 9112 asks for at least 8,000 in a request line
MAX_LENGTH_DIGITS = 18  # of a Content-Length; what fits has no trouble anywhere

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"  # noqa: S105 - RFC 9110, section 5.6.2
_METHOD = re.compile(rf"{_TOKEN}{{1,32}}")
_NAME = re.compile(rf"{_TOKEN}{{1,256}}")
_TARGET = re.compile(rf"[\x21-\x7e]{{1,{MAX_TARGET}}}")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_STATUS = re.compile(r"HTTP/1\.[01] ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?")
_VERSIONS = {"HTTP/1.0": 0, "HTTP/1.1": 1}
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
END_OF_HEAD = b"\r\n\r\n"

# For one hop only (RFC 9110, section 7.6.1), or about the connection to us.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# What an intermediary must be able to rely on is not removed by a client naming it.
_NOT_NAMEABLE = frozenset({"host", "content-length", "transfer-encoding"})

Fields = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The head of a request; `minor` is the second number of its HTTP version."""

    method: str
    target: str
    minor: int
    fields: Fields


@dataclass(frozen=True, kw_only=True)
class Response:
    """The head of a response."""

    status: int
    phrase: str
    fields: Fields


def find_end(data: bytes | bytearray, start: int) -> int:
    """Return where a head's empty line begins, or -1; `start` is how much was looked at before.

    Raises BadRequestError for a line that ends in a bare line feed.
    """
    start = max(0, start - len(END_OF_HEAD))
    end = data.find(END_OF_HEAD, start)
    if _BARE_LINE_FEED.search(data, start, end if end >= 0 else len(data)):
        raise BadRequestError("a line ends without a carriage return")
    return end


def parse_request(head: bytes) -> Request:
    """Return the head of a request, given without its empty line. Raises BadRequestError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or parts[2] not in _VERSIONS:
        raise BadRequestError("the first line is no HTTP/1 request line")
    method, target, version = parts
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        raise BadRequestError("the method or the target is malformed or too long")
    minor = _VERSIONS[version]
    return Request(method=method, target=target, minor=minor, fields=parse_fields(lines))


def parse_response(head: bytes) -> Response:
    """Return the head of a response, given without its empty line. Raises BadRequestError."""
    first, *lines = head.decode("latin-1").split("\r\n")
    match = _STATUS.fullmatch(first)
    if match is None:
        raise BadRequestError("the first line is no HTTP/1 status line")
    phrase = match[2] or ""
    return Response(status=int(match[1]), phrase=phrase, fields=parse_fields(lines))


def parse_fields(lines: list[str]) -> Fields:
    """Return header lines as names and values. Raises BadRequestError."""
    if len(lines) > MAX_FIELDS:
        raise BadRequestError("too many header lines")
    return tuple(_field(line) for line in lines)


def _field(line: str) -> tuple[str, str]:
    # A folded line begins with a space and so has no name; nor has one with a space before ':'.
    name, colon, value = line.partition(":")
    if not colon or not _NAME.fullmatch(name):
        raise BadRequestError("a header line has no proper name")
    value = value.strip(" \t")
    if not _VALUE.fullmatch(value):
        raise BadRequestError("a header line has a control character")
    return name, value


def values(fields: Fields, name: str) -> list[str]:
    """Return the values of all lines with this lower-case name."""
    return [value for key, value in fields if key.lower() == name]


def items(fields: Fields, name: str) -> list[str]:
    """Return the items of a comma-separated list in such lines, in lower case."""
    joined = ",".join(values(fields, name))
    return [item for part in joined.split(",") if (item := part.strip(" \t").lower())]


def end_to_end(fields: Fields, *dropped: str) -> Fields:
    """Return the lines that go on to the next hop, without the `dropped` ones."""
    named = frozenset(items(fields, "connection")) - _NOT_NAMEABLE
    gone = _HOP_BY_HOP | named | frozenset(dropped)
    return tuple(field for field in fields if field[0].lower() not in gone)


def body_length(fields: Fields, minor: int) -> int | None:
    """Return the length of a body that the head announces, or None for a chunked one.

    Raises BadRequestError for more than one announcement, even if they agree.
    """
    codings, lengths = values(fields, "transfer-encoding"), values(fields, "content-length")
    if len(codings) + len(lengths) > 1:
        raise BadRequestError("more than one Content-Length or Transfer-Encoding")
    if codings:
        if codings[0].lower() != "chunked" or minor == 0:
            raise BadRequestError("a Transfer-Encoding that is not just chunked")
        return None
    length = lengths[0] if lengths else "0"
    if not (length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
        raise BadRequestError("a Content-Length that is no number")
    return int(length)


def written(first: str, fields: Fields) -> bytes:
    """Return a head as it goes over the wire."""
    lines = [first, *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
