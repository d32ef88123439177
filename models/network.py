"""What network a request gets, and whether it may."""

from models.errors import RequestRefusedError
from models.hosts import parse_rule, refusal
from models.limits import NetworkAccess, ResourceLimits
from models.security import SecurityProfile
from models.settings import Settings
from security_profiles import allowed_names

ACCESS, HOSTS = "resource_limits.network_access", "allowed_hosts"  # fields named in refusals

# What the forwarder beside the program needs to reach the egress proxy.
SOCKET_CALLS = frozenset({"socket", "connect", "bind", "listen", "accept4", "shutdown"})


def resolve_network(
    asked: ResourceLimits, hosts: tuple[str, ...], profile: SecurityProfile, settings: Settings
) -> NetworkAccess:
    """Return the network access in force. Raises RequestRefusedError naming field and reason."""
    explicit = "network_access" in asked.model_fields_set
    access = asked.network_access if explicit else profile.network_default
    if access is NetworkAccess.FULL:
        if not settings.allow_full_network:
            raise RequestRefusedError(
                ACCESS, "full is not enabled on this server; ask for restricted or none"
            )
        _check_sockets(ACCESS, profile)
    if hosts:
        if access is not NetworkAccess.RESTRICTED:
            raise RequestRefusedError(HOSTS, f"needs {ACCESS}=restricted")
        _check_sockets(HOSTS, profile)
        _check_hosts(hosts, settings)
    return access


def _check_sockets(field: str, profile: SecurityProfile) -> None:
    calls = allowed_names(profile.profile_name) | set(profile.allowed_syscalls)
    missing = sorted(SOCKET_CALLS - (calls - set(profile.blocked_syscalls)))
    if missing:
        raise RequestRefusedError(
            field,
            f"under {profile.profile_name}, as asked, no program can connect: it lacks the system "
            f"calls {', '.join(missing)}; choose the standard profile",
        )


def _check_hosts(hosts: tuple[str, ...], settings: Settings) -> None:
    ceiling = settings.egress_ceiling
    ceiling_rules = None if ceiling is None else tuple(map(parse_rule, ceiling))
    denied_rules = tuple(map(parse_rule, settings.egress_deny))
    for rule in map(parse_rule, hosts):
        if why := refusal(rule, ceiling_rules, denied_rules):
            raise RequestRefusedError(HOSTS, f"{rule.text} {why}")
