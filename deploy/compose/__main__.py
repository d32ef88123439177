"""`python -m deploy.compose up|down`: the stack of docker-compose.yml on this host."""

from __future__ import annotations

import argparse
import sys

from deploy import compose_secrets
from deploy.compose import host, program
from deploy.engine import ensure_engine
from deploy.entry import run_main
from deploy.imagecontext import ROOT
from deploy.local.stack import LocalStack
from deploy.progress import console, step
from deploy.stackimages import PARTS, ensure_images

START_LIMIT_SECONDS = 300
READY = """
API     http://{api}/health/ready
Flower  http://{flower}, user agentcore, password in secrets/flower_password

A key:  {compose} exec api python -m api keys create
Stop:   make compose-down   (keeps the data; {compose} down --volumes does not)"""


def up() -> None:
    """Make what is missing, start everything and wait until it is well; raises `DeployError`."""
    state = LocalStack().state
    with step("Docker engine") as say:
        ensure_engine(state, say)
    images = ensure_images(PARTS, state)
    compose_secrets.main()
    host.write(ROOT / ".env", host.facts(images))
    program.run("up", "--detach", "--wait", "--wait-timeout", str(START_LIMIT_SECONDS))
    compose = " ".join(program.words())
    places = {"api": program.address("api", 8002), "flower": program.address("flower", 5555)}
    console.print(READY.format(compose=compose, **places), markup=False)


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
