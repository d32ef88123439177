"""The processes of `python -m worker`, each with the options of Celery that it must have."""

import os
from pathlib import Path

import structlog
from celery import signals

from models import telemetry
from models.errors import SettingsError
from models.process import require_bindable
from models.session import engine
from models.settings import Settings, load_settings
from security_profiles import check_directory

CONTROL_THREADS = 4  # admissions and sweeps are a few milliseconds each


def _check_profile_directory(directory: Path | None) -> None:
    """Refuse to run beside profiles that are not what this release would enforce."""
    problems = check_directory(directory) if directory else []
    if problems:
        raise SettingsError(f"AGENTCORE_PROFILE_DIRECTORY: {'; '.join(problems[:5])}")


def check_settings() -> None:
    """Say that the settings are right, also together. Raises SettingsError."""
    from worker.app import app
    from worker.sandbox.client import check_environment

    check_environment()
    _check_profile_directory(load_settings().profile_directory)

    print(f"the settings are right; broker: {app.connection().as_uri()}")


def run() -> int:
    """Run a worker until it is stopped; return its exit code. Raises SettingsError."""
    from worker.sandbox.client import check_environment

    settings = load_settings()
    engine()
    check_environment()
    _check_profile_directory(settings.profile_directory)
    _warn_of_mismatches(settings)
    from worker import metrics, warmup
    from worker.app import QUEUE
    from worker.housekeeping import Housekeeping
    from worker.shutdown import Drain
    from worker.tasks import executor

    metrics.serve(settings, "worker_metrics_port")
    housekeeping = Housekeeping(executor())
    drain = Drain(executor(), settings.drain_seconds)
    # First the signals: work is taken from here on.
    signals.worker_ready.connect(lambda **_: drain.start(), weak=False)
    signals.worker_ready.connect(lambda **_: housekeeping.start(), weak=False)
    backend = executor().backend
    signals.worker_ready.connect(
        lambda **_: backend.warm_up(warmup.default_specs(settings)), weak=False
    )
    signals.worker_shutdown.connect(lambda **_: housekeeping.stop(), weak=False)
    signals.worker_shutdown.connect(lambda **_: backend.close(), weak=False)
    return celery_worker("worker", QUEUE, settings.worker_slots, "--task-events")


def _warn_of_mismatches(settings: Settings) -> None:
    if settings.worker_slots > settings.tenant_max_running:
        structlog.get_logger().warning(
            "one_tenant_cannot_fill_this_worker",
            worker_slots=settings.worker_slots,
            tenant_max_running=settings.tenant_max_running,
            do="raise AGENTCORE_TENANT_MAX_RUNNING where there are few tenants",
        )
    if settings.pool_size > settings.pool_max > 0:
        structlog.get_logger().warning(
            "pool_smaller_than_asked",
            pool_size=settings.pool_size,
            pool_max=settings.pool_max,
            do="raise AGENTCORE_POOL_MAX, or lower AGENTCORE_POOL_SIZE",
        )


def control() -> int:
    """Run a control process until it is stopped; return its exit code. Raises SettingsError."""
    from worker import metrics
    from worker.app import CONTROL_QUEUE

    engine()
    metrics.serve(load_settings(), "control_metrics_port", metrics.OF_CONTROL)
    # No task events, and no remote control that could turn them on: they would carry the
    # arguments of agentcore.run, its code among them.
    return celery_worker("control", CONTROL_QUEUE, CONTROL_THREADS, "--without-mingle")


def celery_worker(name: str, queue: str, threads: int, *options: str) -> int:
    """Run a worker of Celery until it ends; return its exit code, which Celery itself drops."""
    from worker.app import app

    exit_codes = [0]
    if name == "control":
        app.conf.update(worker_send_task_events=False, worker_enable_remote_control=False)
    signals.worker_shutdown.connect(lambda **_: telemetry.flush(), weak=False)
    signals.worker_shutdown.connect(
        lambda sender, **_: exit_codes.append(sender.exitcode or 0), weak=False
    )
    app.worker_main(
        [
            "--quiet",  # its banner is no log line
            "worker",
            f"--hostname={name}-{os.getpid()}@%h",
            f"--queues={queue}",
            "--pool=threads",
            f"--concurrency={threads}",
            "--without-gossip",  # workers have nothing to tell each other
            *options,
        ]
    )
    return exit_codes[-1]


def beat() -> None:
    """Send the periodic tasks until stopped."""
    from worker.app import app

    # In memory: the schedule is fixed, and a read-only file system has no place for a file.
    app.start(["--quiet", "beat", "--scheduler=celery.beat:Scheduler"])


def flower() -> None:
    """Serve Flower until stopped. Raises SettingsError."""
    from worker import flower_view
    from worker.app import app

    settings = load_settings()
    user, password = settings.flower_user, settings.flower_password
    if not user or not password:
        raise SystemExit("error: set AGENTCORE_FLOWER_USER and AGENTCORE_FLOWER_PASSWORD")
    # By environment, because a process list shows arguments.
    os.environ["FLOWER_BASIC_AUTH"] = f"{user}:{password.get_secret_value()}"
    require_bindable(
        settings.flower_host,
        settings.flower_port,
        host_setting="flower_host",
        port_setting="flower_port",
    )
    if not settings.flower_control:
        flower_view.only_show()
    app.start(["flower", f"--address={settings.flower_host}", f"--port={settings.flower_port}"])
