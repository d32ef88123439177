"""A short storm in every run of the tests; `python -m tests.chaos` makes longer ones."""

import os
from pathlib import Path

import docker
import pytest

from tests.chaos.storm import run_storm
from tests.harness import missing

SEED = int(os.environ.get("CHAOS_SEED", "6"))  # has each of the engine's own faults
FAULTS = int(os.environ.get("CHAOS_FAULTS", "20"))
# One fault each 1.5 s or so, and what the start and the end of a storm take.
TIMEOUT = 240 + 5 * FAULTS


@pytest.mark.timeout(TIMEOUT)
def test_nothing_is_lost_repeated_or_left_behind_in_a_storm(
    engine: docker.DockerClient, sandbox_image: str, tmp_path: Path
) -> None:
    result = run_storm(engine, sandbox_image, tmp_path, seed=SEED, faults=FAULTS)
    lines = "\n".join(result.lines())
    print(f"\n{lines}")
    assert result.faults.total() == FAULTS
    assert result.verdict.accepted > 0
    assert result.verdict.warm > 0, lines
    assert result.verdict.holds, lines
    if result.left_alone:
        missing(f"a storm that breaks the engine itself: {result.left_alone}")
