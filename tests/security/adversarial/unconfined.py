"""Runs a case's program in a plain container, without our filter and limits: what each can do.

Still user 1000 without capabilities, so that nothing that belongs to the host can change.
"""

import json
from typing import Any

import docker

from tests.security.adversarial.cases import HELPER, PROGRAMS

# Writes helper and program, runs the program, prints its report.
_BOOTSTRAP = (
    "import os, pathlib, subprocess, sys; os.chdir('/workspace');"
    "pathlib.Path('attempt.py').write_text(sys.argv[1]);"
    "pathlib.Path('main.py').write_text(sys.argv[2]);"
    "subprocess.run([sys.executable, 'main.py'], stdout=subprocess.DEVNULL, check=True);"
    "print(pathlib.Path('output/result.json').read_text())"
)
_SCRATCH = "rw,exec,size=128m,uid=1000,gid=1000"


def got_through(
    engine: docker.DockerClient, image: str, name: str, **options: Any
) -> tuple[str, ...]:
    """What the program of the case `name` gets through with; `options` go to the engine."""
    helper, program = ((PROGRAMS / file).read_text() for file in (HELPER, f"{name}.py"))
    plain: dict[str, Any] = {
        "entrypoint": ["python3"],
        "user": "1000:1000",
        "security_opt": ["seccomp=unconfined"],
        "cap_drop": ["ALL"],
        "network_mode": "none",
        "mem_limit": "512m",
        "pids_limit": 64,
        "tmpfs": {"/workspace": _SCRATCH, "/tmp": _SCRATCH},
        "remove": True,
    }
    output = engine.containers.run(image, ["-c", _BOOTSTRAP, helper, program], **plain | options)
    return tuple(json.loads(output)["escaped"])
