"""Loads the rendered AppArmor profiles into the kernel."""

import shutil
import subprocess
from pathlib import Path

from security_profiles.apparmor import apparmor_kernel_name, render_apparmor
from security_profiles.errors import LoadError
from security_profiles.profiles import PROFILE_NAMES, get_profile

KERNEL_SWITCH = Path("/sys/module/apparmor/parameters/enabled")
"""Holds "Y" where the kernel enforces AppArmor; absent where it was built without."""

LOADED = Path("/sys/kernel/security/apparmor/profiles")
"""The kernel's list, a line each: NAME (MODE). Root's to read; often not mounted in a container."""

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"  # sbin is not on the PATH of every shell
_TIMEOUT = 60  # seconds; compiling all profiles takes about one


def load_apparmor(*, switch: Path = KERNEL_SWITCH, path: str = _PATH) -> list[str]:
    """Load every profile with `apparmor_parser -r`; return the names that the kernel knows them by.

    The text comes from the data itself, not from a file that someone may have changed.
    Raises LoadError, which says what is missing and what to do.
    """
    parser = shutil.which("apparmor_parser", path=path)
    if parser is None:
        raise LoadError("apparmor_parser is not installed: run `apt-get install apparmor`")
    if not switch.is_file() or switch.read_text().strip() != "Y":
        raise LoadError(
            "this kernel does not enforce AppArmor: start it with `apparmor=1 security=apparmor`; "
            "until then sandboxes rely on seccomp, capabilities and namespaces"
        )
    return [_load(parser, name) for name in PROFILE_NAMES]


def loaded_profiles(path: Path = LOADED) -> dict[str, str] | None:
    """What the kernel has: name to mode, as in "enforce"; None where the list cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return dict(line.rstrip(")").rpartition(" (")[::2] for line in text.splitlines())


def _load(parser: str, name: str) -> str:
    kernel_name = apparmor_kernel_name(name, get_profile(name).apparmor_profile)
    try:
        done = subprocess.run(
            [parser, "-r"],
            input=render_apparmor(name),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"apparmor_parser did not load {kernel_name}: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise LoadError(f"apparmor_parser refused {kernel_name} (it must run as root): {said}")
    return kernel_name
