"""What every process of ours does first."""

import resource
import socket
from typing import Any

import structlog

from models.errors import SettingsError

log = structlog.get_logger()

ENOUGH_DESCRIPTORS = 8192  # a thousand waiting clients, or hundreds of sandboxes, and some more


def raise_descriptor_limit() -> None:
    """Raise the soft limit on open descriptors to the hard one; many systems start at 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < ENOUGH_DESCRIPTORS:
        log.warning("few_descriptors", hard_limit=hard, do=f"raise it to {ENOUGH_DESCRIPTORS}")


def require_bindable(host: str, port: int, *, host_setting: str, port_setting: str) -> None:
    """Raise SettingsError, naming both settings, where nobody can listen."""
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        failures = [failure for failure in map(_try_to_bind, found) if failure is not None]
        if len(failures) == len(found):
            raise failures[0]
    except (OSError, UnicodeError) as error:
        raise cannot_listen(host, port, host_setting, port_setting, error) from error


def cannot_listen(
    host: str, port: int, host_setting: str, port_setting: str, error: Exception
) -> SettingsError:
    """Return the error about an address that cannot be listened on."""
    names = f"AGENTCORE_{host_setting.upper()}, AGENTCORE_{port_setting.upper()}"
    return SettingsError(f"{names}: cannot listen on {host}:{port}: {error}")


def _try_to_bind(found: tuple[Any, ...]) -> OSError | None:
    family, kind, _, _, address = found
    try:
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # as asyncio does: the other kind has a socket of its own
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None
