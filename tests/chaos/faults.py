"""What can go wrong, one function a kind; each returns how it is made good, or None."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import docker
import redis

from deploy.local.handles import living_in, wait_until_dead
from tests.chaos.checker import leftovers
from tests.chaos.scene import Fault, NothingToBreakError, Repair, Scene, need
from tests.harness import wait_until

WORKERS = ("run-1", "run-2")
QUEUES = "agentcore*"  # lists of the broker, one a queue and priority
DEATH_SECONDS = 10
CONTAINER_SECONDS = 4  # to wait for one that runs
ENGINE = "engine"


def _kill(scene: Scene, name: str) -> Repair:
    process = scene.stack.processes[name]
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(DEATH_SECONDS)
    return lambda: scene.start(name)


def _both_killed(scene: Scene) -> Repair:
    repairs = [_kill(scene, name) for name in WORKERS]

    def repair() -> None:
        for start in repairs:
            start()

    return repair


def _freeze(scene: Scene, name: str) -> Repair:
    process = scene.stack.processes[name]
    os.killpg(process.pid, signal.SIGSTOP)

    def thaw() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)

    return thaw


def _restart(scene: Scene, name: str) -> Repair:
    """As a deployment does it; whoever takes too long to end is killed."""
    process = scene.stack.processes[name]
    process.terminate()

    def replace() -> None:
        try:
            process.wait(DEATH_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEATH_SECONDS)
        scene.start(name)

    return replace


def _postgres_killed(scene: Scene) -> Repair:
    handle = scene.postgres.handle()
    assert handle is not None
    os.kill(handle.pid, signal.SIGKILL)
    return scene.postgres.start


def _postgres_restarted(scene: Scene) -> Repair:
    scene.postgres.stop()
    return scene.postgres.start


def _postgres_frozen(scene: Scene) -> Repair:
    """With all its connections, as when its disk hangs."""
    handles = living_in(scene.postgres.data.resolve())

    def send(number: signal.Signals) -> None:
        for handle in handles:
            if handle.is_alive():
                os.kill(handle.pid, number)

    send(signal.SIGSTOP)
    return lambda: send(signal.SIGCONT)


def _valkey_lost(scene: Scene) -> Repair:
    """It holds nothing on disk: every message is gone."""
    handle = scene.valkey.handle()
    assert handle is not None
    os.kill(handle.pid, signal.SIGKILL)
    wait_until_dead(handle, DEATH_SECONDS)
    shutil.rmtree(scene.valkey.directory / "appendonlydir", ignore_errors=True)
    return scene.valkey.start


def _valkey_hangs(scene: Scene) -> Repair:
    handle = scene.valkey.handle()
    assert handle is not None
    os.kill(handle.pid, signal.SIGSTOP)
    return lambda: os.kill(handle.pid, signal.SIGCONT)


def _messages_dropped(scene: Scene) -> None:
    with scene.valkey.client() as client, _broker_answers():
        need(sum(client.delete(name) for name in client.scan_iter(QUEUES, _type="list")))


def _messages_duplicated(scene: Scene) -> None:
    """Waiting ones, and those that are being worked on: the broker hands out either again."""
    with scene.valkey.client() as client, _broker_answers():
        names = client.scan_iter(QUEUES, _type="list")
        waiting = [(name, text) for name in list(names) for text in client.lrange(name, 0, -1)]
        held = [("agentcore", _payload(entry)) for entry in client.hvals("unacked")]
        for name, text in need(waiting + held):
            client.lpush(name, text)


@contextmanager
def _broker_answers() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise NothingToBreakError from error


def _payload(held: bytes) -> bytes:
    """Return the message in an entry of kombu's list of what is not acknowledged yet."""
    return json.dumps(json.loads(held)[0]).encode()


def _container(scene: Scene, action: Callable[[str], None]) -> None:
    def running() -> list[str]:
        found = leftovers(scene.engine, scene.deployment)
        return sorted(item["Id"] for item in found if item["State"] == "running")

    try:
        action(scene.choose.choice(wait_until(running, CONTAINER_SECONDS)))
    except (AssertionError, docker.errors.APIError) as error:  # none, or it has ended meanwhile
        raise NothingToBreakError from error


def _container_killed(scene: Scene) -> None:
    _container(scene, scene.engine.api.kill)


def _container_paused(scene: Scene) -> None:
    """For good: its time limit must end it all the same."""
    _container(scene, scene.engine.api.pause)


def _engine_killed(scene: Scene) -> Repair:
    scene.own_engine.kill()
    # Before it answers it gives what still runs ten seconds to end.
    return lambda: scene.mend(ENGINE, scene.own_engine.start)


def _engine_restarted(scene: Scene) -> Repair:
    scene.own_engine.terminate()

    def replace() -> None:
        scene.own_engine.stopped()
        scene.own_engine.start()

    return lambda: scene.mend(ENGINE, replace)


def _engine_frozen(scene: Scene) -> Repair:
    scene.own_engine.hang()
    return scene.own_engine.resume


def _cancelled(scene: Scene) -> None:
    newest = need(list(scene.load.accepted)[-2:])  # the older ones have mostly ended
    need([item for item in newest if scene.load.cancel(item)])


def _on_worker(fault: Callable[[Scene, str], Repair]) -> Fault:
    return lambda scene: fault(scene, scene.choose.choice(WORKERS))


def _on(name: str, fault: Callable[[Scene, str], Repair]) -> Fault:
    return lambda scene: fault(scene, name)


# What it needs, beside its kind: nothing is broken again before it was made good.
FAULTS: dict[str, tuple[str, Fault]] = {
    "worker killed": ("workers", _on_worker(_kill)),
    "worker frozen": ("workers", _on_worker(_freeze)),
    "worker restarted": ("workers", _on_worker(_restart)),
    "both workers killed": ("workers", _both_killed),
    "control killed": ("control", _on("control", _kill)),
    "control frozen": ("control", _on("control", _freeze)),
    "control restarted": ("control", _on("control", _restart)),
    "beat killed": ("beat", _on("beat", _kill)),
    "beat frozen": ("beat", _on("beat", _freeze)),
    "API killed": ("api", _on("api", _kill)),
    "API frozen": ("api", _on("api", _freeze)),
    "API restarted": ("api", _on("api", _restart)),
    "Valkey killed, data lost": ("valkey", _valkey_lost),
    "Valkey frozen": ("valkey", _valkey_hangs),
    "PostgreSQL killed": ("postgres", _postgres_killed),
    "PostgreSQL frozen": ("postgres", _postgres_frozen),
    "PostgreSQL restarted": ("postgres", _postgres_restarted),
    "messages dropped": ("valkey", _messages_dropped),
    "messages duplicated": ("valkey", _messages_duplicated),
    "container killed": (ENGINE, _container_killed),
    "container paused": (ENGINE, _container_paused),
    "cancel": ("api", _cancelled),
}
# Only of an engine that is the storm's own.
ENGINE_FAULTS: dict[str, tuple[str, Fault]] = {
    "engine killed": (ENGINE, _engine_killed),
    "engine frozen": (ENGINE, _engine_frozen),
    "engine restarted": (ENGINE, _engine_restarted),
}
