"""Section 1: the Docker daemon."""

from worker.security_audit.facts import NO_ENGINE, SEE_ENGINE, Facts
from worker.security_audit.verdicts import (
    Check,
    Section,
    enforced,
    layer_is_off,
    misconfigured,
    missing_layer,
    not_enforceable,
    not_looked_at,
)

DAEMON_FILE = "/etc/docker/daemon.json"
VARIABLE = "AGENTCORE_USER_NAMESPACE"
REMAP = (
    f'put "userns-remap": "default" into {DAEMON_FILE}, restart the engine, '
    "run `make sandbox-image` again"
)


def section(facts: Facts) -> Section:
    """Whether the engine answers, who else reaches it, and how it separates users."""
    checks = (reachable(facts), connection(facts), remapping(facts), live_restore(facts))
    return Section(number=1, title="Docker daemon", checks=checks)


def reachable(facts: Facts) -> Check:
    """An engine answers."""
    if facts.engine is None:
        advice = "start the engine, and let this user use its socket; DOCKER_HOST names another"
        return misconfigured("reachable", f"{NO_ENGINE}: {facts.engine_error}", advice)
    engine = facts.engine
    return enforced("reachable", f"Docker {engine.version}, cgroup v{engine.cgroup_version}")


def connection(facts: Facts) -> Check:
    """Nobody without a key or a file's permission can command the engine, which is to be root."""
    name, access = "connection", facts.access
    if access.socket is not None or access.address.startswith("ssh://"):
        return enforced(name, access.address)
    if access.tls:
        return enforced(name, f"{access.address}, with TLS")
    advice = "use the Unix socket, or TLS with client certificates (DOCKER_TLS_VERIFY=1)"
    return misconfigured(name, f"{access.address} asks nobody who he is", advice)


def remapping(facts: Facts) -> Check:
    """Root in a container is nobody on the host."""
    name, mode = "user namespace remapping", facts.settings.user_namespace
    if facts.engine is None:
        return not_looked_at(name, NO_ENGINE, SEE_ENGINE)
    if mode == "off":
        return layer_is_off(name, VARIABLE)
    options = facts.engine.security_options
    if "userns" in options or "rootless" in options:
        how = "rootless engine" if "rootless" in options else "userns-remap"
        return enforced(name, how)
    return missing_layer(name, mode, VARIABLE, "the engine remaps no users", REMAP)


def live_restore(facts: Facts) -> Check:
    """Containers outlive a restart of the engine."""
    name = "live restore"
    if facts.engine is None:
        return not_looked_at(name, NO_ENGINE, SEE_ENGINE)
    if facts.engine.live_restore:
        return enforced(name, "containers outlive a restart of the engine")
    advice = f'put "live-restore": true into {DAEMON_FILE} (not with swarm mode); reload the engine'
    return not_enforceable(name, "off: a restart of the engine ends every container", advice)
