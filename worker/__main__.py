"""`python -m worker`: the worker's processes, each with the options that it must have."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import structlog
from celery import signals

from models import telemetry
from models.errors import SettingsError
from models.logs import configure_logging
from models.process import raise_descriptor_limit, require_bindable
from models.session import engine
from models.settings import load_settings
from security_profiles import check_directory

COMMANDS = {
    "run": "run executions in sandboxes (needs a container engine)",
    "control": "accept agentcore.run, sweep and age out; short work, no container engine",
    "beat": "send the periodic tasks",
    "flower": "the web view of workers and tasks, on loopback",
}
FULL_NETWORK, EGRESS_PROXY = "full-network", "egress-proxy"
ON_THEIR_OWN = {  # they need no settings, and read their own options
    FULL_NETWORK: "this host's firewall rules for sandboxes with `full` network access (root)",
    EGRESS_PROXY: "the egress proxy by itself, for a pod",
}
AUDIT = "security-audit"
AUDIT_HELP = "what defends this host, what does not, and what to do about it"
AUDIT_TEXT = """\
Looks at the Docker daemon, AppArmor, seccomp, capabilities, file permissions and profile files,
and starts a sandbox under each enabled profile to read off it what is in force. Changes nothing.
Needs neither database nor broker. Run it as the worker's user; as root it sees a little more.
"""
AUDIT_END = """\
verdicts:
  ✓  enforced
  ⚠  not enforceable on this host, or not looked at; the line below says what to do
  ✗  misconfigured: it could be in force, or the settings require it

exit code: 0 when nothing is misconfigured, 1 when something is, 2 for wrong options or settings
"""
SETTINGS = "settings"
SETTINGS_HELP = (
    "check the settings, start nothing; 2 and a line that names the variable if one is wrong"
)
CONTROL_THREADS = 4  # admissions and sweeps are a few milliseconds each


def main(argv: Sequence[str] | None = None) -> int:
    """Start the process that the first argument names; return its exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == [FULL_NETWORK]:
        from worker.full_network_rules import command

        return command.main(words[1:])
    if words[:1] == [EGRESS_PROXY]:
        from worker.sandbox.egress import sidecar

        return sidecar.main(words[1:], f"python -m worker {EGRESS_PROXY}")
    arguments = _parser().parse_args(words)
    if arguments.command == AUDIT:
        _stand_in_for_services()
    try:
        settings = load_settings()
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    configure_logging(settings)
    if arguments.command == AUDIT:
        from worker.security_audit.command import run

        return run(settings, as_json=arguments.json)
    raise_descriptor_limit()
    # Ours is set already; this keeps Celery from adding its own handlers.
    signals.setup_logging.connect(lambda **_: None, weak=False)
    start = {
        "run": _run,
        "control": _control,
        "beat": _beat,
        "flower": _flower,
        SETTINGS: _check_settings,
    }
    try:
        name = "worker" if arguments.command == "run" else arguments.command
        telemetry.configure(f"agentcore-{name}")
        return start[arguments.command]() or 0
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worker",
        description="Settings come from the environment: AGENTCORE_DATABASE_URL and "
        "AGENTCORE_BROKER_URL at least; see the README.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text, description=text)
    for name, text in ON_THEIR_OWN.items():
        commands.add_parser(name, help=text, add_help=False)
    commands.add_parser(SETTINGS, help=SETTINGS_HELP, description=SETTINGS_HELP)
    audit = commands.add_parser(
        AUDIT,
        help=AUDIT_HELP,
        description=AUDIT_TEXT,
        epilog=AUDIT_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    audit.add_argument("--json", action="store_true", help="JSON on standard output, for programs")
    return parser


def _stand_in_for_services() -> None:
    """Let the settings load where the two services are not configured: the audit uses neither."""
    for name in ("AGENTCORE_DATABASE_URL", "AGENTCORE_BROKER_URL"):
        if f"{name}_FILE" not in os.environ:
            os.environ.setdefault(name, "unused://")


def _check_profile_directory(directory: Path | None) -> None:
    """Refuse to run beside profiles that are not what this release would enforce."""
    problems = check_directory(directory) if directory else []
    if problems:
        raise SettingsError(f"AGENTCORE_PROFILE_DIRECTORY: {'; '.join(problems[:5])}")


def _check_settings() -> None:
    engine()
    from worker.app import app

    print(f"the settings are right; broker: {app.connection().as_uri()}")


def _run() -> int:
    from worker.sandbox.client import check_environment

    settings = load_settings()
    engine()
    check_environment()
    _check_profile_directory(settings.profile_directory)
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
    return _celery_worker("worker", QUEUE, settings.worker_slots, "--task-events")


def _control() -> int:
    from worker import metrics
    from worker.app import CONTROL_QUEUE

    engine()
    metrics.serve(load_settings(), "control_metrics_port", metrics.OF_CONTROL)
    # No task events, and no remote control that could turn them on: they would carry the
    # arguments of agentcore.run, its code among them.
    return _celery_worker("control", CONTROL_QUEUE, CONTROL_THREADS, "--without-mingle")


def _celery_worker(name: str, queue: str, threads: int, *options: str) -> int:
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


def _beat() -> None:
    from worker.app import app

    # In memory: the schedule is fixed, and a read-only file system has no place for a file.
    app.start(["--quiet", "beat", "--scheduler=celery.beat:Scheduler"])


def _flower() -> None:
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


if __name__ == "__main__":
    sys.exit(main())
