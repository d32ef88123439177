"""What the images are: small, without root, without what an intruder would like to find."""

import json
import re
import tomllib

import docker
import pytest

from deploy.stackimages import LIMIT_MEGABYTES, MEGABYTE
from tests.e2e.compose.deployment import Deployment
from tests.harness import ROOT

OCI = "org.opencontainers.image."
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
RUNTIME, SANDBOX = "agentcore/runtime:dev", "agentcore/sandbox:dev"
LOOK = """
import importlib.util, json, os, shutil, stat
special = []
for folder, folders, names in os.walk("/"):
    folders[:] = [n for n in folders if os.path.join(folder, n) not in ("/proc", "/sys", "/dev")]
    for name in names:
        mode = os.lstat(os.path.join(folder, name)).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            special.append(os.path.join(folder, name))
print(json.dumps({
    "user": [os.getuid(), os.getgid()],
    "special": special,
    "tools": [n for n in ("gcc", "cc", "make", "pip", "pip3", "ld") if shutil.which(n)],
    "modules": [n for n in ("pip", "ensurepip", "setuptools") if importlib.util.find_spec(n)],
}))
"""
NOTHING = {"user": [1000, 1000], "special": [], "tools": [], "modules": []}


@pytest.mark.usefixtures("deployment")
@pytest.mark.parametrize("image", [RUNTIME, SANDBOX])
class TestImages:
    def test_is_no_larger_than_promised(self, engine: docker.DockerClient, image: str) -> None:
        assert engine.images.get(image).attrs["Size"] / MEGABYTE < LIMIT_MEGABYTES[image]

    def test_has_no_root_no_tools_and_no_pip(self, engine: docker.DockerClient, image: str) -> None:
        found = engine.containers.run(
            image, ["-c", LOOK], entrypoint="python3", remove=True, network_mode="none",
            read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges:true"],
        )  # fmt: skip
        assert json.loads(found) == NOTHING

    def test_says_what_it_is(self, engine: docker.DockerClient, image: str) -> None:
        labels = engine.images.get(image).labels
        assert labels["dev.agentcore.security.user"] == "1000:1000"
        assert labels["dev.agentcore.security.read-only-root"] == "supported"
        told = {name.removeprefix(OCI): text for name, text in labels.items() if OCI in name}
        assert told["version"] == VERSION
        assert all(told[name] for name in ("title", "description", "revision"))
        # Of what it was built, and not where that came from.
        assert re.fullmatch(r"[a-z0-9/-]+:[a-z0-9.-]+", told["base.name"])
        assert "source" not in told


def test_id_shows_the_user(deployment: Deployment) -> None:
    said = deployment.engine.containers.run(RUNTIME, ["id"], remove=True, network_mode="none")
    assert said.decode().startswith("uid=1000(agentcore) gid=1000(agentcore)")


def test_the_service_image_has_a_health_check(engine: docker.DockerClient) -> None:
    check = engine.images.get(RUNTIME).attrs["Config"]["Healthcheck"]["Test"]
    assert check == ["CMD", "python", "-m", "deploy.healthcheck", "http://127.0.0.1:8002/health"]
