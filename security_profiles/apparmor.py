"""Renders a profile as AppArmor text for `apparmor_parser -r`."""

from collections.abc import Iterable, Iterator

from security_profiles.capabilities import CAPABILITY_BITS, DANGEROUS_CAPABILITIES
from security_profiles.profiles import STANDARD_CAPABILITIES, get_profile

_RELAXED = "agentcore-privileged"

# What standard denies besides the five: chroot is a way out even where a request names it.
_NEVER = DANGEROUS_CAPABILITIES.keys() | {"SYS_CHROOT"}
_HARMLESS_CAPABILITIES = tuple(name for name in CAPABILITY_BITS if name not in _NEVER)

_HEAD = """\
# Generated from security_profiles/apparmor.py by `python -m security_profiles render`.
# Load it with: apparmor_parser -r FILE
#include <tunables/global>

profile {name} flags=(attach_disconnected,mediate_deleted) {{
  #include <abstractions/base>
"""

_DENIED = """\
  # Never, whatever another rule says: the ways out of the container.
  deny capability sys_admin,
  deny capability sys_boot,
  deny capability sys_module,
  deny capability sys_chroot,
  deny mount,
  deny remount,
  deny umount,
  deny pivot_root,
  deny @{PROC}/sys/** wklx,
  deny @{PROC}/sysrq-trigger rwklx,
  deny @{PROC}/kcore rwklx,
  deny @{PROC}/kmem rwklx,
  deny @{PROC}/mem rwklx,
  deny /sys/** wklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/firmware/** rwklx,
"""

_FILES = """\
  # Scratch space: read, write, lock, link; not run, but for /workspace where said below.
  /tmp/ rw,
  /tmp/** rwkl,
  /workspace/ rw,
  /workspace/** rwkl,
  /dev/shm/ rw,
  /dev/shm/** rwkl,

  # The image: read, and run what it ships. /bin and /lib are links into /usr or copies of it.
  / r,
  /app/ r,
  /app/** r,
  /usr/ r,
  /usr/** mrix,
  /{bin,sbin,lib,lib32,lib64}/ r,
  /{bin,sbin,lib,lib32,lib64}/** mrix,
  /etc/ r,
  /etc/** r,

  # What programs read about themselves and the limits they run under.
  @{PROC}/ r,
  @{PROC}/{uptime,loadavg,version,mounts,self,thread-self} r,
  @{PROC}/sys/** r,
  @{PROC}/@{pid}/ r,
  @{PROC}/@{pid}/** r,
  /sys/devices/system/cpu/** r,
  /sys/devices/system/node/** r,
  /sys/fs/cgroup/ r,
  /sys/fs/cgroup/** r,
  /sys/kernel/mm/transparent_hugepage/** r,

  # Thread names, and the supervisor putting its child first in line when memory runs out.
  @{PROC}/@{pid}/task/@{tid}/comm rw,
  @{PROC}/@{pid}/oom_score_adj rw,
"""

_PROCESSES = """\
  # Signals within the container, and from the runtime that ends it.
  signal (send, receive) peer={name},
  signal (receive) peer=unconfined,
  signal (receive) peer=runc,
  signal (receive) peer=crun,
"""

_NETWORK = """\
  # TCP and local sockets; no raw packets, no netlink. Datagrams only where said below.
  network inet stream,
  network inet6 stream,
  unix (bind, listen),
  /run/agentcore/ r,
  /run/agentcore/** rw,

  # Programs and libraries that an agent brings along run, under the rules of who runs them.
  /workspace/** mix,

  # Pseudo-terminals for programs that drive other programs.
  /dev/ptmx rw,
  /dev/pts/ r,
  /dev/pts/[0-9]* rw,
"""

_RELAXATIONS = """\
  # The root file system is read/write here: programs may be installed and run, scratch space
  # included. The denials above hold, and so does this one for what is outside of any container.
  /** rwklm,
  /** ix,
  deny @{PROC}/{acpi,bus,fs,irq,scsi}/** wklx,

  # Datagrams too: a bridged network asks its own name servers.
  network inet dgram,
  network inet6 dgram,
"""


def apparmor_kernel_name(profile_name: str, apparmor_profile: str) -> str:
    """The name by which the kernel knows the profile; "privileged" has a relaxed text of its own.

    apparmor_profile: `Profile.apparmor_profile`, or the one that a request chose instead.
    """
    if (profile_name, apparmor_profile) == ("privileged", "agentcore-standard"):
        return _RELAXED
    return apparmor_profile


def render_apparmor(name: str) -> str:
    """The AppArmor text of the security profile `name`, under its `apparmor_kernel_name`.

    Raises UnknownProfileError.
    """
    profile = get_profile(name)
    kernel_name = apparmor_kernel_name(name, profile.apparmor_profile)
    return "\n".join(_sections(kernel_name)) + "}\n"


def _sections(kernel_name: str) -> Iterator[str]:
    yield _HEAD.format(name=kernel_name)
    yield _DENIED
    yield _FILES
    yield _PROCESSES.format(name=kernel_name)
    if kernel_name == "agentcore-minimal":
        return
    yield _NETWORK
    if kernel_name == _RELAXED:
        yield _RELAXATIONS
        yield _capabilities(_HARMLESS_CAPABILITIES)
    else:
        yield _capabilities(STANDARD_CAPABILITIES)


def _capabilities(names: Iterable[str]) -> str:
    return "".join(f"  capability {name.lower()},\n" for name in names)
