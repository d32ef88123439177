"""Workers that are told to stop: in bounded time, and nothing is lost or run twice."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import docker
import pytest

from deploy.local.services import Services
from tests.harness import Api, Stack, wait_until
from tests.integration.facts import bare_stack, column, containers, is_on_duty, start_worker

LONG = {"execution_limits": {"max_execution_time_seconds": 120}}
SLEEP = "import time; print('here', flush=True); time.sleep(100)"
EXIT_TIMEOUT = 25  # seconds for a worker to end once nothing holds it


@pytest.fixture(scope="module")
def own(
    sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Stack, Services]]:
    """A stack without workers, whose leases outlast each test's patience."""
    directory = tmp_path_factory.mktemp("own")
    settings = {"lease_seconds": "60", "drain_seconds": "60"}
    with bare_stack(directory, sandbox_image, **settings) as (stack, services):
        stack.start("api", "control", "beat")
        start_worker(stack, "run-first")
        stack.wait_ready()
        _stop(stack, "run-first")
        yield stack, services


@pytest.fixture(scope="module")
def pair(own: tuple[Stack, Services]) -> Stack:
    """The stack alone."""
    return own[0]


@pytest.fixture(scope="module")
def rolling(pair: Stack) -> Api:
    """A tenant's client."""
    return pair.client("rolling")


def _stop(stack: Stack, name: str, *signals: signal.Signals) -> int:
    process = stack.processes[name]
    for number in signals or (signal.SIGTERM,):
        process.send_signal(number)
        # Two signals at once may arrive as one.
        wait_until(lambda: process.poll() is not None or not is_on_duty(stack, name), 10, "a stop")
    code = process.wait(EXIT_TIMEOUT)
    del stack.processes[name]
    return code


def test_a_stopped_worker_lets_its_executions_finish(pair: Stack, rolling: Api) -> None:
    start_worker(pair, "run-a")
    running = rolling.submit("import time; time.sleep(3); print('finished')")
    rolling.wait_started(running["id"])
    worker = pair.processes["run-a"]
    worker.terminate()
    # It signs off first: whoever asks must not count on it any more.
    wait_until(lambda: not is_on_duty(pair, "run-a"), 10, "the worker to sign off")
    waiting = rolling.submit("print('later')")
    execution = rolling.outcome(running["id"])
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "finished\n")
    assert worker.wait(EXIT_TIMEOUT) == 0
    del pair.processes["run-a"]
    assert column(pair, "attempt", waiting["id"]) == 0
    start_worker(pair, "run-b")
    assert rolling.outcome(waiting["id"])["status"] == "succeeded"
    assert _stop(pair, "run-b") == 0


def test_what_outlasts_the_drain_is_handed_back_or_lost_with_a_reason(
    pair: Stack, rolling: Api, engine: docker.DockerClient
) -> None:
    start_worker(pair, "run-a", drain_seconds="1")
    once = rolling.submit(SLEEP, **LONG)
    rolling.wait_started(once["id"])
    # It has only just started when the worker is stopped, and so outlasts the drain.
    twice = rolling.submit("import time; time.sleep(4); print('done')", max_attempts=2, **LONG)
    rolling.wait_started(twice["id"])
    started = time.monotonic()
    assert _stop(pair, "run-a") == 0
    assert time.monotonic() - started < 10
    assert containers(engine, pair) == []
    lost = rolling.outcome(once["id"], timeout=1)
    assert (lost["status"], lost["reason"]) == ("lost", "worker_lost")
    assert "shut down" in lost["message"]
    start_worker(pair, "run-b")
    # Far sooner than its lease would have run out.
    retried = rolling.outcome(twice["id"], timeout=20)
    assert (retried["status"], retried["attempt"]) == ("succeeded", 2)
    assert _stop(pair, "run-b") == 0


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGHUP])
def test_the_signals_of_a_terminal_drain_as_a_term_does(
    pair: Stack, rolling: Api, engine: docker.DockerClient, number: signal.Signals
) -> None:
    drain = 5
    start_worker(pair, "run-a", drain_seconds=str(drain))
    outlasts = rolling.submit(SLEEP, **LONG)
    rolling.wait_started(outlasts["id"])
    ends = rolling.submit("import time; time.sleep(1); print('finished')")
    rolling.wait_started(ends["id"])
    started = time.monotonic()
    # Left to Celery, SIGHUP starts the program anew, and SIGQUIT waits for nothing.
    assert _stop(pair, "run-a", number) == 0
    assert drain - 1 < time.monotonic() - started < drain + 10
    execution = rolling.outcome(ends["id"], timeout=1)
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "finished\n")
    lost = rolling.outcome(outlasts["id"], timeout=1)
    assert (lost["status"], lost["reason"]) == ("lost", "worker_lost")
    assert containers(engine, pair) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_waiting(
    pair: Stack, rolling: Api, engine: docker.DockerClient, number: signal.Signals
) -> None:
    start_worker(pair, "run-a")
    running = rolling.submit(SLEEP, **LONG)
    rolling.wait_started(running["id"])
    started = time.monotonic()
    assert _stop(pair, "run-a", signal.SIGTERM, number) == 0
    assert time.monotonic() - started < 10
    assert rolling.outcome(running["id"], timeout=1)["reason"] == "worker_lost"
    assert containers(engine, pair) == []


def test_rolling_two_workers_under_load_loses_nothing_and_repeats_nothing(
    pair: Stack, rolling: Api, engine: docker.DockerClient
) -> None:
    for name in ("run-a", "run-b"):
        start_worker(pair, name)
    accepted: list[str] = []
    enough = threading.Event()

    def stream() -> None:
        with pair.client("rolling") as client:
            while not enough.is_set():
                accepted.append(client.submit("import time; time.sleep(0.5); print('ok')")["id"])
                enough.wait(0.25)

    thread = threading.Thread(target=stream)
    thread.start()
    try:
        for round_ in range(2):
            for name in ("run-a", "run-b"):
                before = len(accepted)
                wait_until(lambda before=before: len(accepted) > before + 4, 30, "some load")
                assert _stop(pair, name) == 0, (round_, pair.log(name))
                start_worker(pair, name)
    finally:
        enough.set()
        thread.join()
    outcomes = [rolling.outcome(item) for item in accepted]
    assert {item["status"] for item in outcomes} == {"succeeded"}
    assert {column(pair, "user_starts", item) for item in accepted} == {1}
    assert {column(pair, "attempt", item) for item in accepted} == {1}
    assert len(accepted) > 20
    wait_until(lambda: not containers(engine, pair), 10, "the containers to be gone")
    for name in ("run-a", "run-b"):
        assert _stop(pair, name) == 0


def test_a_shutdown_beside_a_hanging_broker_still_ends(
    own: tuple[Stack, Services], pair: Stack, rolling: Api
) -> None:
    start_worker(pair, "run-a", drain_seconds="1")
    running = rolling.submit(SLEEP, **LONG)
    rolling.wait_started(running["id"])
    assert own[1].valkey is not None
    broker = own[1].valkey.handle()
    assert broker is not None
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        pair.processes["run-a"].terminate()
        assert pair.processes["run-a"].wait(EXIT_TIMEOUT) == 0
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    del pair.processes["run-a"]
    assert rolling.outcome(running["id"], timeout=5)["reason"] == "worker_lost"
