"""The Docker network of sandboxes with `full` network access.

A bridge of its own, so that the host's firewall can name it (worker/full_network_rules); its
sandboxes do not reach each other, and it has no IPv6.
"""

import time
from typing import Any

from docker import APIClient
from docker.errors import APIError, NotFound

from worker.sandbox.errors import SandboxStartError

NETWORK = "agentcore-full"  # one per host: every deployment on it shares network and rules
BRIDGE = "agentcore0"  # the host's interface; the kernel allows 15 characters
LABELS = {"dev.agentcore.network": "full"}

_BRIDGE_OPTION = "com.docker.network.bridge.name"
_CLOSED_TO_EACH_OTHER = {"com.docker.network.bridge.enable_icc": "false"}
# An operator who makes the network himself may choose these, and the subnet.
_FREE_OPTIONS = {
    "com.docker.network.driver.mtu",
    "com.docker.network.bridge.enable_ip_masquerade",
}
_FACTS = {"Driver": "bridge", "EnableIPv6": False, "Internal": False, "ConfigOnly": False}
# Seconds before each try: another worker may be making it just now, and for a moment the engine
# refuses ours and does not show the other's yet.
_PAUSES = (0, 0.05, 0.2, 1)


def ensure_network(api: APIClient, *, name: str = NETWORK, bridge: str = BRIDGE) -> None:
    """Make the network where it is missing; `docker network prune` removes one that is idle.

    Raises SandboxStartError when there is another network of that name, or the engine refuses.
    """
    refusal = ""
    for pause in _PAUSES:
        time.sleep(pause)
        found = _find(api, name)
        if found is not None:
            _verify(found, name, bridge)
            return
        refusal = _create(api, name, bridge)
        if not refusal:
            return
    raise SandboxStartError(f"the engine does not make the network {name}: {refusal}")


def _find(api: APIClient, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = api.inspect_network(name)
    except NotFound:
        return None
    return found


def _create(api: APIClient, name: str, bridge: str) -> str:
    """Return why the engine refused; empty when it did not."""
    try:
        api.create_network(
            name,
            driver="bridge",
            options={_BRIDGE_OPTION: bridge, **_CLOSED_TO_EACH_OTHER},
            # The engine does its best; two networks with one bridge it refuses for certain.
            check_duplicate=True,
            enable_ipv6=False,
            labels=LABELS,
        )
    except APIError as error:
        return str(error.explanation or error)
    return ""


def _verify(found: dict[str, Any], name: str, bridge: str) -> None:
    differing = differences(found, bridge)
    if differing:
        raise SandboxStartError(
            f"the network {name} is not as sandboxes need it: {'; '.join(differing)}; "
            f"remove it (docker network rm {name}) and it is made anew"
        )


def differences(found: dict[str, Any], bridge: str = BRIDGE) -> list[str]:
    """Return, in words, how a network as the engine describes it is not as it must be."""
    options, labels = found.get("Options") or {}, found.get("Labels") or {}
    wanted = {_BRIDGE_OPTION: bridge, **_CLOSED_TO_EACH_OTHER}
    extra = sorted(options.keys() - wanted.keys() - _FREE_OPTIONS)
    checks = (
        *((key, found.get(key), value) for key, value in _FACTS.items()),
        *((key, options.get(key), value) for key, value in wanted.items()),
        *((key, options[key], None) for key in extra),
        *((f"label {key}", labels.get(key), value) for key, value in LABELS.items()),
    )
    return [f"{key} is {given}, not {value}" for key, given, value in checks if given != value]
