"""`python -m tests.chaos`: a storm of any length, a table, one closing line."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import docker

from tests.chaos.storm import run_storm

IMAGE = "agentcore/sandbox:dev"


def main() -> int:
    """Run one storm; return 1 when an invariant does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="the default is drawn, and told")
    arguments = parser.parse_args()
    seed = random.randrange(2**31) if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    directory = Path(tempfile.mkdtemp(prefix="agentcore-chaos-"))
    engine = docker.from_env(timeout=30)
    result = run_storm(engine, IMAGE, directory, seed=seed, faults=arguments.faults)
    for line in result.lines():
        print(line)
    if result.verdict.holds:
        shutil.rmtree(directory)
        return 0
    print(f"error: an invariant does not hold; the logs are in {directory}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
