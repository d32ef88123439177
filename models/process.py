"""What every process of ours does first."""

import resource
import socket

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
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        names = f"AGENTCORE_{host_setting.upper()}, AGENTCORE_{port_setting.upper()}"
        raise SettingsError(f"{names}: cannot listen on {host}:{port}: {error}") from error
