"""What a run of a batch leaves behind decides nothing of how the others are told."""

from collections.abc import Iterator

import pytest

from models.status import Reason, Status
from tests.integration.direct_backend import DirectBackend, direct_backend

# Where an interpreter that starts later would load it, before any program.
PLANT = """
import os, sys, time
word = sys.stdin.read()
site = f".local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
if word == "plant":
    os.makedirs(site)
    with open(f"{site}/usercustomize.py", "w") as file:
        file.write("import os\\ntry: os.fstat(3)\\nexcept OSError: pass\\n"
                   "else: print('has our pipes', flush=True)\\n")
    os.kill(os.getppid(), 9)
if word == "sleep":
    time.sleep(60)
print(word)
"""


@pytest.fixture(scope="module")
def backend(sandbox_image: str) -> Iterator[DirectBackend]:
    with direct_backend(sandbox_image) as made:
        yield made


def test_a_run_cannot_take_over_the_interpreter_of_later_ones(backend: DirectBackend) -> None:
    inputs = ["a", "plant", "b", "sleep", "c"]
    outcome, chunks = backend.run_batch(
        {"source": PLANT, "inputs": inputs, "input_timeout_seconds": 2}
    )
    runs = [run for chunk in chunks for run in chunk]
    assert [run.stdout.kept for run in runs] == [b"a\n", b"plant\n", b"b\n", b"", b"c\n"]
    assert outcome.batch == {"inputs": 5, "succeeded": 4, "failed": 0, "timed_out": 1}


def test_the_time_limit_in_the_last_run_is_the_batchs(backend: DirectBackend) -> None:
    limits = {"max_execution_time_seconds": 2}
    body = {"source": PLANT, "inputs": ["a", "sleep"], "execution_limits": limits}
    outcome, chunks = backend.run_batch(body)
    assert (outcome.status, outcome.reason) == (Status.TIMED_OUT, Reason.TIME_LIMIT)
    assert [run.index for chunk in chunks for run in chunk] == [0]


def test_a_run_may_have_as_many_processes_as_a_program_alone(backend: DirectBackend) -> None:
    source = "import threading\nthreading.Thread(target=print, args=['from a thread']).start()"
    body = {"source": source, "execution_limits": {"max_processes": 2}}
    assert backend.run(body).stdout.kept == b"from a thread\n"
    _, chunks = backend.run_batch(body | {"inputs": ["", ""]})
    assert [run.stdout.kept for chunk in chunks for run in chunk] == [b"from a thread\n"] * 2
