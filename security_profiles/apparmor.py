"""Renders a profile as AppArmor text for `apparmor_parser -r`."""

from collections.abc import Iterator

from security_profiles.profiles import STANDARD_CAPABILITIES, get_profile

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
  # Scratch space: read, write, lock, link; not run, so that nothing written becomes a program.
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
  # Network: TCP and local sockets only; no datagrams, raw packets or netlink.
  network inet stream,
  network inet6 stream,
  unix (bind, listen),
  /run/agentcore/ r,
  /run/agentcore/** rw,

  # Pseudo-terminals for programs that drive other programs.
  /dev/ptmx rw,
  /dev/pts/ r,
  /dev/pts/[0-9]* rw,
"""


def render_apparmor(name: str) -> str:
    """The AppArmor profile of `name` as text; the kernel knows it by `Profile.apparmor_profile`.

    "privileged" shares the text of "standard", because a name in the kernel has one text.
    Raises UnknownProfileError.
    """
    return "\n".join(_sections(get_profile(name).apparmor_profile)) + "}\n"


def _sections(kernel_name: str) -> Iterator[str]:
    yield _HEAD.format(name=kernel_name)
    yield _DENIED
    yield _FILES
    yield _PROCESSES.format(name=kernel_name)
    if kernel_name == "agentcore-standard":
        yield _NETWORK
        yield "".join(f"  capability {name.lower()},\n" for name in STANDARD_CAPABILITIES)
