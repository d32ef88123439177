"""Linux capabilities: the table, the dangerous ones, and the check of a request's names."""

from collections.abc import Iterable

from security_profiles.errors import DangerousCapabilityError, UnknownCapabilityError

# In the order of their bits in <linux/capability.h>, which never changes: 0 to 40.
_IN_ORDER = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""

CAPABILITY_BITS: dict[str, int] = {name: bit for bit, name in enumerate(_IN_ORDER.split())}
"""Name without CAP_: its bit in the masks of /proc/PID/status."""

DANGEROUS_CAPABILITIES: dict[str, str] = {
    "SYS_ADMIN": "mounts, namespaces and a hundred other things: the host's root in all but name",
    "SYS_MODULE": "loads code into the running kernel",
    "SYS_BOOT": "reboots the host or loads another kernel",
    "SYS_RAWIO": "reaches ports and physical memory of the host, under the kernel's feet",
    "DAC_READ_SEARCH": "opens files by handle: reads any file of the host through one bind mount",
}
"""Capabilities that a request gets only if the operator's settings name them, with the reason."""


def check_capabilities(names: Iterable[str], permitted: Iterable[str] = ()) -> None:
    """Check the capabilities that a request adds.

    names: in upper case and without CAP_; no other spelling is taken, so that no two exist.
    permitted: dangerous ones that the operator's settings allow by name.
    Raises UnknownCapabilityError and DangerousCapabilityError.
    """
    asked, allowed = list(names), list(permitted)
    for name in (*asked, *allowed):
        if name not in CAPABILITY_BITS:
            raise UnknownCapabilityError(_explain(name))
    for name in asked:
        if name in DANGEROUS_CAPABILITIES and name not in allowed:
            raise DangerousCapabilityError(
                f"{name} cannot be added: {DANGEROUS_CAPABILITIES[name]}; "
                "the operator can permit it by name in AGENTCORE_EXTRA_CAPABILITIES"
            )


def _explain(name: str) -> str:
    plain = name.upper().removeprefix("CAP_")
    if plain in CAPABILITY_BITS:
        return f"write {plain}, not {name}: upper case, without CAP_"
    return f"{name!r} is not a Linux capability: check the spelling (as NET_RAW)"
