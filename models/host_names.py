"""The one spelling of a host that a client may write in many ways."""

import re
import socket
import string
from ipaddress import IPv4Address, IPv6Address

import idna

from models.addresses import Address

MAX_NAME_CHARS = 253  # characters of a name without its last dot (RFC 1035)

# Names of real hosts have '_' too, though not by the letter of RFC 1123.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def canonical_host(text: str) -> str | Address:
    """Return the one spelling of a host: a lower-case ASCII name, or an address.

    Names lose one trailing dot; labels outside ASCII take their xn-- form, and are taken as they
    are: nothing is mapped, so two names that look alike stay two. Each form of an IPv4 address
    that inet_aton knows (octal, hexadecimal, one number) is an address; no name ends in a number.
    Raises ValueError in words for what is no host.
    """
    if ":" in text or text.startswith("["):
        return _ipv6(text)
    if len(text) > MAX_NAME_CHARS + 1:
        raise ValueError(f"must be at most {MAX_NAME_CHARS} characters")
    labels = [_label(label) for label in text.translate(_LOWER).removesuffix(".").split(".")]
    name = ".".join(labels)
    if len(name) > MAX_NAME_CHARS:
        raise ValueError(f"must be at most {MAX_NAME_CHARS} characters")
    return _ipv4(name) if _NUMBER.fullmatch(labels[-1]) else name


def _label(label: str) -> str:
    try:
        if not label.isascii():
            return idna.alabel(label).decode()
        if label.startswith("xn--") and idna.alabel(idna.ulabel(label)).decode() != label:
            raise ValueError("has an xn-- part that is not spelled as IDNA spells it")
    except UnicodeError as error:
        raise ValueError("has a part that is no valid international name") from error
    if not _LABEL.fullmatch(label):
        raise ValueError(
            "must be a host name: parts of 1 to 63 letters, digits, '-' and '_' with dots between"
        )
    return label


def _ipv4(text: str) -> IPv4Address:
    try:
        return IPv4Address(socket.inet_aton(text))
    except OSError as error:
        raise ValueError("ends in a number but is no IPv4 address") from error


def _ipv6(text: str) -> IPv6Address:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        if "%" not in bare:
            return IPv6Address(bare)
    except ValueError as error:
        raise ValueError("is no IPv6 address") from error
    raise ValueError("must not name a network interface (%)")
