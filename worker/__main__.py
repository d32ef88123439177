"""`python -m worker`: the worker's processes, each with the options that it must have."""

import argparse
import os
import sys
from collections.abc import Sequence

from celery import signals

from models.errors import SettingsError
from models.logs import configure_logging
from models.process import raise_descriptor_limit
from models.settings import load_settings

COMMANDS = {
    "run": "run executions in sandboxes (needs a container engine)",
    "control": "accept agentcore.run and sweep; short work, no container engine",
    "beat": "send the periodic sweep",
    "flower": "the web view of workers and tasks, on loopback",
}
CONTROL_THREADS = 4  # admissions and sweeps are a few milliseconds each


def main(argv: Sequence[str] | None = None) -> int:
    """Start the process that the first argument names; return its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    configure_logging(settings)
    raise_descriptor_limit()
    # Ours is set already; this keeps Celery from adding its own handlers.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    start = {"run": _run, "control": _control, "beat": _beat, "flower": _flower}
    start[arguments.command]()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker",
        description="Settings come from the environment: AGENTCORE_DATABASE_URL and "
        "AGENTCORE_BROKER_URL at least; see the README.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, description=text)
    return parser


def _run() -> None:
    from worker.app import QUEUE
    from worker.housekeeping import Housekeeping
    from worker.tasks import executor

    housekeeping = Housekeeping(executor())
    signals.worker_ready.connect(lambda **_: housekeeping.start(), weak=False)
    signals.worker_shutdown.connect(lambda **_: housekeeping.stop(), weak=False)
    _celery_worker("worker", QUEUE, load_settings().worker_slots, "--task-events")


def _control() -> None:
    from worker.app import CONTROL_QUEUE

    # No task events, and no remote control that could turn them on: they would carry the
    # arguments of agentcore.run, its code among them.
    _celery_worker("control", CONTROL_QUEUE, CONTROL_THREADS, "--without-mingle")


def _celery_worker(name: str, queue: str, threads: int, *options: str) -> None:
    from worker.app import app

    if name == "control":
        app.conf.update(worker_send_task_events=False, worker_enable_remote_control=False)
    level = load_settings().log_level
    app.worker_main(
        [
            "worker",
            f"--hostname={name}-{os.getpid()}@%h",
            f"--queues={queue}",
            "--pool=threads",
            f"--concurrency={threads}",
            f"--loglevel={level}",
            *options,
        ]
    )


def _beat() -> None:
    from worker.app import app

    # In memory: the schedule is fixed, and a read-only file system has no place for a file.
    app.start(["beat", "--scheduler=celery.beat:Scheduler"])


def _flower() -> None:
    from worker.app import app

    settings = load_settings()
    user, password = settings.flower_user, settings.flower_password
    if not user or not password:
        raise SystemExit("error: set AGENTCORE_FLOWER_USER and AGENTCORE_FLOWER_PASSWORD")
    # By environment, because a process list shows arguments.
    os.environ["FLOWER_BASIC_AUTH"] = f"{user}:{password.get_secret_value()}"
    app.start(["flower", f"--address={settings.flower_host}", f"--port={settings.flower_port}"])


if __name__ == "__main__":
    sys.exit(main())
