"""The three security profiles: what each is for and what it grants."""

from dataclasses import dataclass
from typing import Literal

from security_profiles.errors import UnknownProfileError

NetworkDefault = Literal["none", "restricted", "full"]

STANDARD_CAPABILITIES = (
    "NET_BIND_SERVICE",  # serve on ports under 1024
    "CHOWN",  # change owners of files in the own tree
    "SETGID",  # drop to another group
    "SETUID",  # drop to another user
    "DAC_OVERRIDE",  # read and write files in the own tree whatever their mode
    "FOWNER",  # change modes and times of files of other owners in the own tree
)
"""Names without the CAP_ prefix. A container that runs as UID 1000 holds none of them in force
unless the image grants them; they bound what a program that starts as root can keep."""


COMPUTING_MODULES = (
    *("math", "cmath", "decimal", "fractions", "numbers", "statistics", "random"),  # numbers
    *("collections", "collections.abc", "heapq", "bisect", "array", "enum"),  # containers
    *("itertools", "functools", "operator", "copy", "contextlib"),  # functions
    *("dataclasses", "typing", "abc", "types"),  # classes; of types, two that hold values
    *("string", "re", "textwrap", "unicodedata", "pprint"),  # text
    *("datetime", "time", "calendar", "zoneinfo"),  # time; a program may well sleep
    *("json", "csv", "base64", "binascii", "struct", "zlib"),  # data, in text and in bytes
    *("hashlib", "hmac", "secrets", "uuid"),  # digests and identifiers
    *("io", "sys"),  # files in memory; arguments and standard streams, and no more of either
)
"""What computes and neither reaches the system nor writes code. Not here, with reasons: os,
pathlib, subprocess, socket, threading (the system), inspect, importlib, ctypes, gc, pickle (the
interpreter), logging (formats with fields that reach any attribute)."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a sandbox may do. Values only; applying them is the sandbox's work.

    allowed_capabilities: names without the CAP_ prefix.
    network_default: what a request gets that does not say: no interface but loopback ("none"),
        listed hosts through a proxy ("restricted"), or a bridge ("full").
    restricted_python_default: whether RestrictedPython is on unless the request says otherwise.
    restricted_python_imports: modules that a program may import while RestrictedPython is on.
    why: whom the profile is for, in one sentence.
    """

    profile_name: str
    description: str
    seccomp_profile: str
    apparmor_profile: str
    allowed_capabilities: tuple[str, ...]
    read_only_filesystem: bool
    no_new_privileges: bool
    user_namespace: bool
    network_default: NetworkDefault
    restricted_python_default: bool
    restricted_python_imports: tuple[str, ...]
    why: str


_MINIMAL = Profile(
    profile_name="minimal",
    description="Untrusted code: maximum security",
    seccomp_profile="agentcore-minimal",
    apparmor_profile="agentcore-minimal",
    allowed_capabilities=(),
    read_only_filesystem=True,
    no_new_privileges=True,
    user_namespace=True,
    network_default="none",
    restricted_python_default=True,
    restricted_python_imports=COMPUTING_MODULES,
    why="Code nobody has read computes on its input and returns a result; it needs no network.",
)

_STANDARD = Profile(
    profile_name="standard",
    description="Most agents: ordinary programs, the network through the allowlist",
    seccomp_profile="agentcore-standard",
    apparmor_profile="agentcore-standard",
    allowed_capabilities=STANDARD_CAPABILITIES,
    read_only_filesystem=True,
    no_new_privileges=True,
    user_namespace=True,
    network_default="restricted",
    restricted_python_default=False,
    restricted_python_imports=COMPUTING_MODULES,
    why="Agents use ordinary libraries and call a few services; nothing they need is privileged.",
)

_PRIVILEGED = Profile(
    profile_name="privileged",
    description="Trusted agents that need more: the request may add calls and capabilities",
    seccomp_profile="agentcore-standard",
    apparmor_profile="agentcore-standard",  # relaxed: see apparmor_kernel_name
    allowed_capabilities=STANDARD_CAPABILITIES,
    read_only_filesystem=False,
    no_new_privileges=False,
    user_namespace=False,
    network_default="full",
    restricted_python_default=False,
    restricted_python_imports=COMPUTING_MODULES,
    why="Code of your own that installs packages or serves; never Docker's --privileged.",
)

_PROFILES = {profile.profile_name: profile for profile in (_MINIMAL, _STANDARD, _PRIVILEGED)}

PROFILE_NAMES = ("minimal", "standard", "privileged")
DEFAULT_PROFILE = "standard"


def get_profile(name: str) -> Profile:
    """The profile called `name`.

    Raises UnknownProfileError, which names the valid ones.
    """
    try:
        return _PROFILES[name]
    except KeyError as error:
        valid = ", ".join(PROFILE_NAMES)
        raise UnknownProfileError(f"no profile is called {name!r}: use one of {valid}") from error
