"""`make compose-up` as people use it, in a checkout of its own: what it refuses, and what
docs/compose.md tells to renew secrets, back up and restore, word for word."""

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import httpx
import pytest

from deploy.compose import dotenv, program
from deploy.stackimages import SERVICES
from tests.harness import ROOT, Api, free_port, wait_until

PARTS = ("deploy", "models", "security_profiles", "worker")
FILES = ("docker-compose.yml", "pyproject.toml")
UP_SECONDS = 300
READY_SECONDS = 60
# The words of docs/compose.md, whatever is installed here.
DOCKER = '#!/bin/sh\n[ "$1" = compose ] && shift\nexec {compose} "$@"\n'
MAKE = "#!/bin/sh\ncase $1 in\n{cases}esac\n"
TARGETS = {"compose-up": "deploy.compose up", "secrets": "deploy.compose_secrets"}


class Checkout:
    """A copy of what `make compose-up` needs, with images that are there."""

    def __init__(self, folder: Path, images: dict[str, str]) -> None:
        self.project = f"agentcore-up-{secrets.token_hex(4)}"
        self.url = f"http://127.0.0.1:{free_port()}"
        self.folder = folder / "checkout"
        self.settings = folder / "mine.env"
        self.settings.touch()
        for name in PARTS:
            shutil.copytree(ROOT / name, self.folder / name)
        for name in FILES:
            shutil.copy(ROOT / name, self.folder)
        own = {
            "COMPOSE_PROJECT_NAME": self.project,
            "AGENTCORE_DEPLOYMENT": self.project,
            "AGENTCORE_API_PORT": self.url.rpartition(":")[2],
            "AGENTCORE_FLOWER_PORT": str(free_port()),
            "AGENTCORE_SETTINGS": str(self.settings),
            "AGENTCORE_IMAGE": images["runtime"],
            "AGENTCORE_SANDBOX_IMAGE": images["sandbox"],
            **{name: images[name] for name in SERVICES},
        }
        (self.folder / ".env").write_text("".join(f"{k}={v}\n" for k, v in own.items()))
        self._write_commands(folder / "bin")

    def _write_commands(self, folder: Path) -> None:
        folder.mkdir()
        cases = "".join(
            f"{name}) exec {sys.executable} -m {words} ;;\n" for name, words in TARGETS.items()
        )
        texts = {"docker": DOCKER.format(compose=" ".join(program.words())), "make": MAKE}
        for name, text in texts.items():
            (folder / name).write_text(text.replace("{cases}", cases))
            (folder / name).chmod(0o755)
        shell = {k: v for k, v in os.environ.items() if not k.startswith(("AGENTCORE", "COMPOSE"))}
        self._shell = shell | {"PATH": f"{folder}:{shell['PATH']}"}

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines of a shell in the checkout."""
        return subprocess.run(
            ["sh", "-ec", script], cwd=self.folder, env=self._shell,
            capture_output=True, text=True, timeout=UP_SECONDS, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def must(self, script: str) -> str:
        """Run it; it succeeds; return what it printed."""
        done = self.run(script)
        assert done.returncode == 0, f"{script}: {done.stderr[-3000:]}\n{done.stdout[-3000:]}"
        return done.stdout

    def refused(self) -> tuple[str, str]:
        """Return the last line of a `make compose-up` that fails, and all that it printed."""
        done = self.run("make compose-up")
        assert done.returncode == 1, done.stdout
        return done.stderr.splitlines()[-1], done.stdout

    def services(self, engine: docker.DockerClient) -> dict[str, str]:
        """Return the containers' ids by service."""
        label = f"com.docker.compose.project={self.project}"
        found = engine.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return {item.labels["com.docker.compose.service"]: str(item.id) for item in found}

    def wait_ready(self) -> None:
        """Wait until executions can run."""

        def ready() -> bool:
            try:
                return httpx.get(f"{self.url}/health/ready", timeout=10).status_code == 200
            except httpx.HTTPError:
                return False

        wait_until(ready, READY_SECONDS, "readiness")


def recipe(heading: str) -> list[str]:
    """Return the blocks of commands that docs/compose.md has under a heading."""
    text = (ROOT / "docs/compose.md").read_text(encoding="utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def checkout(
    images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Checkout]:
    """A stack that `make compose-up` has started."""
    made = Checkout(tmp_path_factory.mktemp("up"), images)
    script = made.folder / "deploy/docker/create_app_role.sh"
    script.chmod(0o700)  # as a checkout with a strict umask has it
    try:
        made.must("make compose-up")
        assert script.stat().st_mode & 0o777 == 0o744
        made.wait_ready()
        yield made
    finally:
        made.must("docker compose --profile dev down --volumes")


@pytest.fixture(scope="module")
def client(checkout: Checkout) -> Api:
    words = "python -m api keys create --tenant tests --all-permissions"
    return Api(checkout.url, checkout.must(f"docker compose exec -T api {words}").strip())


def test_only_facts_and_a_fingerprint_are_written(checkout: Checkout) -> None:
    assert set(dotenv.written(checkout.folder / ".env")) == {
        "DOCKER_GROUP_ID", "AGENTCORE_VOLUMES", "AGENTCORE_SECRETS_HASH",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("AGENTCORE_WORKER_SLOTS=abc", "error: AGENTCORE_WORKER_SLOTS: "),
        ("AGENTCORE_DEPLOYMENT=mine", "set AGENTCORE_DEPLOYMENT in .env"),
    ],
)
def test_a_wrong_setting_is_told_and_nothing_is_replaced(
    checkout: Checkout, engine: docker.DockerClient, line: str, told: str
) -> None:
    before = checkout.services(engine)
    checkout.settings.write_text(f"{line}\n")
    try:
        said, _ = checkout.refused()
    finally:
        checkout.settings.write_text("")
    assert told in said
    assert checkout.services(engine) == before
    assert httpx.get(f"{checkout.url}/health/ready").status_code == 200


def test_lost_secrets_are_told_and_no_others_are_made(
    checkout: Checkout, engine: docker.DockerClient
) -> None:
    before = checkout.services(engine)
    kept = checkout.folder.parent / "kept"
    (checkout.folder / "secrets").rename(kept)
    try:
        said, _ = checkout.refused()
        assert not (checkout.folder / "secrets").exists()
    finally:
        kept.rename(checkout.folder / "secrets")
    assert f"{checkout.project}_postgres knows its passwords alone: restore the folder" in said
    assert checkout.services(engine) == before


@pytest.mark.usefixtures("client")  # its key is made while there is an API
def test_a_service_that_fails_is_shown_with_its_last_lines(checkout: Checkout) -> None:
    url = checkout.folder / "secrets/database_owner_url"
    right = url.read_text()
    url.unlink()
    url.write_text(right.replace("agentcore_owner:", "agentcore_owner:x"))
    try:
        said, shown = checkout.refused()
    finally:
        url.write_text(right)
        url.chmod(0o444)
    assert "docker compose up" in said
    assert "\nmigrate: exit code 1\n" in shown
    assert "password authentication failed" in shown.partition("\nmigrate: exit code 1\n")[2]
    assert right.strip() not in shown


def test_renewed_secrets_reach_every_service(
    checkout: Checkout, client: Api, engine: docker.DockerClient
) -> None:
    before = checkout.services(engine)
    (words,) = recipe("Renewing the secrets")
    checkout.must(words)
    checkout.wait_ready()
    after = checkout.services(engine)
    assert not set(before.values()) & set(after.values())
    assert client.run("print('renewed')")["status"] == "succeeded"


def test_what_was_backed_up_is_restored(checkout: Checkout, client: Api) -> None:
    back_up, restore = recipe("Back up and restore")
    kept = client.run("print('kept')")
    checkout.must(back_up)
    later = client.run("print('later')")
    checkout.must(restore)
    checkout.wait_ready()
    assert client.outcome(kept["id"])["stdout"]["text"] == "kept\n"
    assert client.events(kept["id"])["intact"] is True
    assert client.get(f"/v1/executions/{later['id']}").status_code == 404
    assert client.run("print('again')")["status"] == "succeeded"
