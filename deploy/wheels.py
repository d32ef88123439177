"""The service's packages as files, fetched with this machine's own pip settings, hashes checked.

A build container may reach no network, and never has the settings of this machine's package index.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from packaging.markers import Marker

from deploy.errors import ImageError
from deploy.piplog import explain
from deploy.progress import Progress

DOWNLOAD_LIMIT_SECONDS = 600
# Run by the Python that the packages are for: what the markers of a lock file may ask about.
TELL_ENVIRONMENT = """
import json, os, platform, sys
print(json.dumps({
    "implementation_name": sys.implementation.name,
    "os_name": os.name,
    "platform_machine": platform.machine(),
    "platform_python_implementation": platform.python_implementation(),
    "platform_system": platform.system(),
    "python_full_version": platform.python_version(),
    "python_version": "{}.{}".format(*sys.version_info),
    "sys_platform": sys.platform,
}))
"""


def wheels(
    lock: Path, environment: Mapping[str, str], state: Path, say: Progress
) -> dict[str, bytes]:
    """Return the wheels that `lock` names for a Python of this environment, by their file names.

    They are kept below `state`, those of older lock files are removed. Raises `ImageError`.
    """
    wanted = requirements_of(lock.read_text(encoding="utf-8"), environment)
    told = json.dumps([wanted, dict(environment)], sort_keys=True)
    shelf = state / "wheels"
    folder = shelf / hashlib.sha256(told.encode()).hexdigest()[:16]
    if not folder.is_dir():
        say(f"downloading the packages for Python {environment['python_full_version']}")
        shutil.rmtree(shelf, ignore_errors=True)
        unfinished = folder.with_suffix(".part")
        unfinished.mkdir(parents=True)
        (unfinished / "requirements.txt").write_text(wanted)
        _download(unfinished, environment["python_version"], state / "logs" / "wheels.log")
        unfinished.rename(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.whl"))}


def requirements_of(lock: str, environment: Mapping[str, str]) -> str:
    """Return the requirements of `lock` whose markers hold in `environment`, without markers.

    pip judges markers by the Python that it runs on, which is another one here.
    """
    blocks = re.findall(r"^[^#\s].*\n(?:[ \t].*\n)*", lock, re.MULTILINE)
    return "".join(filter(None, (_required(block, environment) for block in blocks)))


def _required(block: str, environment: Mapping[str, str]) -> str:
    first, newline, rest = block.partition("\n")
    requirement, separator, marker = first.removesuffix("\\").partition(" ; ")
    if separator and not Marker(marker).evaluate(dict(environment)):
        return ""
    return f"{requirement.strip()} \\{newline}{rest}"


def _download(folder: Path, python: str, log: Path) -> None:
    """Fill `folder` with what its requirements.txt names."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", f"--python-version={python}"),
        *("-r", str(folder / "requirements.txt"), "-d", str(folder)),
    ]
    try:
        with log.open("wb") as output:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                timeout=DOWNLOAD_LIMIT_SECONDS,
            )
    except subprocess.TimeoutExpired as error:
        raise ImageError(f"the packages did not come in {DOWNLOAD_LIMIT_SECONDS} s") from error
    if done.returncode != 0:
        raise ImageError(explain(log.read_text(errors="replace"), log))
