"""The talk with one sandbox: its report, the job, frames until the end."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import structlog

from models.sandbox import MAX_ARTIFACT_DEPTH, SandboxConfig
from security_profiles import get_profile
from worker.sandbox import isolation, judge
from worker.sandbox.collector import Collector
from worker.sandbox.connection import Connection, kill_frame
from worker.sandbox.errors import (
    IsolationRefusedError,
    ProtocolError,
    SandboxCancelledError,
    SandboxStartError,
    WeakerIsolationError,
)
from worker.sandbox.guest import protocol
from worker.sandbox.report import InsideReport, parse
from worker.sandbox.runs import MOST_RESULT

log = structlog.get_logger()

START_TIMEOUT = 20  # seconds until the supervisor must have reported; well above a busy host's need
JOB_PATIENCE = 120  # seconds that a supervisor waits for its job before it ends itself
INPUTS_PIECE = 262_144  # bytes of a batch's inputs that are sent at once, or one more input
COLLECT_TIMEOUT = 10  # seconds to stream artifacts after we ended the program


def verified_isolation(
    spec: SandboxConfig,
    connection: Connection,
    inspect: Callable[[], dict[str, Any]],
    *,
    cancelled: threading.Event,
    patience_seconds: float = JOB_PATIENCE,
) -> dict[str, Any]:
    """Return the isolation in force, from inside and from the engine (`inspect`).

    The supervisor then waits `patience_seconds` for the next word before it ends itself.

    Raises SandboxStartError when it is weaker than asked, or unknown; IsolationRefusedError when
    a layer that the settings require is missing; SandboxCancelledError.
    """
    ask = json.dumps({"patience_seconds": patience_seconds}).encode()
    with contextlib.suppress(ProtocolError):  # what is at its end is told below
        connection.send(protocol.frame(protocol.INSPECT, ask), time.monotonic() + START_TIMEOUT)
    told_by_engine = inspect()  # while the supervisor reads
    frame = connection.next_frame(time.monotonic() + START_TIMEOUT)
    if cancelled.is_set():
        raise SandboxCancelledError
    if frame is None or frame[0] != protocol.REPORT:
        log.warning("supervisor_did_not_report", guest=connection.diagnostics.strip()[-2000:])
        raise SandboxStartError("the supervisor did not report; the worker's log has what it said")
    in_force = isolation.describe(parse(InsideReport, frame[1]), told_by_engine)
    missing = isolation.missing_layers(spec, in_force)
    in_force |= {"asked": isolation.asked(spec), "missing": list(missing.values())}
    if weaker := isolation.weaker_than_asked(spec, in_force):
        raise WeakerIsolationError(weaker, in_force)
    if needed := isolation.required(spec, missing):
        raise IsolationRefusedError((missing[layer] for layer in needed), in_force)
    return in_force


def send_job(spec: SandboxConfig, connection: Connection) -> None:
    """Hand the job over. Raises ProtocolError when the sandbox does not take it."""
    deadline = time.monotonic() + START_TIMEOUT
    for piece in _pieces(spec):
        connection.send(piece, deadline)


def follow(
    spec: SandboxConfig,
    connection: Connection,
    collector: Collector,
    *,
    cancelled: threading.Event,
    grace_seconds: float,
) -> str | None:
    """Take frames until the end; return why we ended the program, if we did."""
    ended_by_us: str | None = None
    latest = float("inf")  # when our patience with an ended program's report is over
    # Placing the input files counts for nothing: the clock starts with the program.
    deadline = time.monotonic() + START_TIMEOUT
    while collector.exit is None and not connection.ended:
        frame = connection.next_frame(min(deadline, collector.due))
        collector.pass_on()
        now = time.monotonic()
        if frame is not None:
            if frame[0] == protocol.STARTED and not collector.started:
                deadline = now + spec.limits.execution_time_seconds
            elif ended_by_us is not None:
                deadline = min(now + grace_seconds, latest)
            collector.take(*frame)
        if ended_by_us is None and (cancelled.is_set() or now >= deadline):
            ended_by_us = judge.CANCEL if cancelled.is_set() else judge.TIME_LIMIT
            deadline, latest = now + grace_seconds, now + COLLECT_TIMEOUT
            # A sandbox that ended this very moment takes no input, but its report is there.
            with contextlib.suppress(ProtocolError):
                connection.send(kill_frame(ended_by_us), deadline)
        elif now >= deadline:
            break  # it does not even report; the container is removed next
    return ended_by_us


def encode_job(spec: SandboxConfig) -> bytes:
    """Return the job and its input as frames."""
    return b"".join(_pieces(spec))


def _pieces(spec: SandboxConfig) -> Iterator[bytes]:
    """Yield the frames of a job: all at once, but the inputs of a batch one by one."""
    contents = [*spec.files.values(), spec.stdin]
    frames = [protocol.frame(protocol.JOB, json.dumps(_job(spec)).encode())]
    frames += [protocol.frame(protocol.DATA, content) for content in contents]
    yield b"".join(frames)
    held = bytearray()
    for data in spec.inputs:
        held += data
        if len(held) >= INPUTS_PIECE:
            yield protocol.frame(protocol.DATA, bytes(held))
            held.clear()
    if held:
        yield protocol.frame(protocol.DATA, bytes(held))


def _job(spec: SandboxConfig) -> dict[str, Any]:
    restricted = spec.restricted_python
    job: dict[str, Any] = {
        "argv": _restricted_argv(spec) if restricted else spec.argv,
        "restricted_python": restricted,
        "egress": spec.uses_egress_proxy,
        "environment": _restricted_environment(spec) if restricted else spec.environment,
        "files": list(spec.files),
        "file_descriptors": spec.limits.file_descriptors,
        "timeout_seconds": spec.limits.execution_time_seconds,
        "max_output_bytes": spec.max_output_bytes,
        "max_output_total_bytes": spec.max_output_total_bytes,
        "artifacts": {
            "count": spec.max_artifacts,
            "bytes": spec.max_artifact_bytes,
            "total_bytes": spec.max_artifacts_bytes,
            "depth": MAX_ARTIFACT_DEPTH,
        },
    }
    if spec.inputs:
        job["batch"] = {
            "inputs": [len(data) for data in spec.inputs],
            "timeout_seconds": spec.input_timeout_seconds,
            "max_output_bytes": spec.input_max_output_bytes,
            "result_bytes": MOST_RESULT,
        }
    return job


def _restricted_environment(spec: SandboxConfig) -> dict[str, str]:
    """Return the variables that cannot change what is loaded into the program's process.

    The loader (`LD_PRELOAD`), the C library (`GCONV_PATH`) and OpenSSL (`OPENSSL_CONF`) load native
    code before the policy stands, and a program under it can read no variable.
    """
    return {name: spec.environment[name] for name in ("TZ",) if name in spec.environment}


def _restricted_argv(spec: SandboxConfig) -> tuple[str, ...]:
    """Return the command that runs the source under RestrictedPython."""
    profile = get_profile(spec.profile.profile_name)
    python, *program = spec.argv
    # Isolated: no variable and no file beside the source changes what its imports mean.
    options = ("-I", "-S", "-B")
    imports = ",".join(profile.restricted_python_imports)
    return (python, *options, protocol.POLICY_RUNNER, imports, *program)
