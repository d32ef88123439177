"""`python -m deploy.compose up|down`: the stack of docker-compose.yml on this host."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy import compose_secrets
from deploy.compose import checks, dotenv, host, program, unwell
from deploy.engine import ensure_engine
from deploy.entry import run_main
from deploy.errors import ComposeError
from deploy.imagecontext import ROOT
from deploy.local.stack import LocalStack
from deploy.progress import console, step
from deploy.stackimages import PARTS, SERVICES, ensure_images

ENV = ROOT / ".env"
ROLE_SCRIPT = ROOT / "deploy/docker/create_app_role.sh"
START_LIMIT_SECONDS = 300
SPARE = ("AGENTCORE_REGISTRY_IMAGE",)  # for the profile `dev` alone
READY = """
API     http://{api}/health/ready
Flower  http://{flower}, user agentcore, password in {password}

A key:  {compose} exec api python -m api keys create
Stop:   make compose-down   (keeps the data; {compose} down --volumes does not)"""


def up() -> None:
    """Make what is missing, start everything and wait until it is well; raises `DeployError`."""
    state = LocalStack().state
    with step("Docker engine") as say:
        ensure_engine(state, say)
    config = program.config()
    folder = Path(config["secrets"]["database_url"]["file"]).parent
    checks.settings_file(config)
    checks.secrets_are_there(config, folder)
    images = _images(state)
    checks.image_is_there(config)
    compose_secrets.main(folder)
    dotenv.write(ENV, host.facts(images) | host.fingerprint(config))
    checks.readable(ROLE_SCRIPT)
    with step("Settings"):
        checks.settings_are_right(config)
    _start(config["name"])
    compose = " ".join(program.words())
    places = {"api": program.address("api", 8002), "flower": program.address("flower", 5555)}
    console.print(
        READY.format(compose=compose, password=folder / "flower_password", **places), markup=False
    )


def _images(state: Path) -> dict[str, str]:
    """Make what people do not bring themselves; stay with the stand-ins of the last time."""
    kept = {name: value for name, value in dotenv.written(ENV).items() if name in SERVICES}
    asked = dotenv.asked(ENV)
    return kept | ensure_images(PARTS, state, asked=asked, kept=kept, spare=SPARE)


def _start(project: str) -> None:
    try:
        program.run("up", "--detach", "--wait", "--wait-timeout", str(START_LIMIT_SECONDS))
    except ComposeError:
        unwell.tell(project)
        raise


def main() -> int:
    """Start or stop the stack; returns 0."""
    parser = argparse.ArgumentParser(prog="python -m deploy.compose", description=__doc__)
    parser.add_argument("action", choices=("up", "down"))
    if parser.parse_args().action == "up":
        up()
    else:
        program.run("--profile", "dev", "down")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
