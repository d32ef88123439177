"""Runs one Python file in a container under a profile's seccomp filter."""

import json
from pathlib import Path
from typing import Any

import docker

from security_profiles import get_profile, render_seccomp

PROGRAMS = Path(__file__).parent / "programs"

# Writes the program into the sandbox and becomes it: multiprocessing's spawn needs a real file.
_BOOTSTRAP = (
    "import os, sys; open('/workspace/main.py', 'w').write(sys.argv[1]);"
    "os.execv(sys.executable, [sys.executable, '-B', '/workspace/main.py'])"
)
# Owned by the user: where the image has the directory, runc 1.1 gives the mount that one's mode.
_SCRATCH = "size=64m,uid=1000,gid=1000,nosuid,nodev"


def run_program(
    client: docker.DockerClient, image: str, profile: str, program: str, **changes: Any
) -> Any:
    """The JSON that `programs/{program}.py` prints; profile "unconfined" runs without a filter.

    changes: arguments of `render_seccomp`.
    Raises docker.errors.ContainerError with the program's stderr when it fails.
    """
    output = client.containers.run(
        image,
        ["-c", _BOOTSTRAP, (PROGRAMS / f"{program}.py").read_text()],
        entrypoint=["python3"],
        security_opt=_security_options(profile, changes),
        cap_drop=["ALL"],
        read_only=True,
        tmpfs={"/tmp": _SCRATCH, "/workspace": _SCRATCH},
        network_mode="none",
        user="1000:1000",
        pids_limit=128,
        mem_limit="512m",
        environment={"HOME": "/workspace"},
        remove=True,
    )
    return json.loads(output)


def _security_options(profile: str, changes: dict[str, Any]) -> list[str]:
    if profile == "unconfined":
        return ["seccomp=unconfined", "no-new-privileges"]
    options = [f"seccomp={json.dumps(render_seccomp(profile, **changes))}"]
    return [*options, "no-new-privileges"] if get_profile(profile).no_new_privileges else options
