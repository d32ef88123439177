"""The Celery tasks: thin, each hands over at once to where the work is."""

import os
import random
import re
import socket
import threading
import time
from contextlib import suppress
from functools import lru_cache
from typing import Any
from uuid import UUID

import structlog
from celery import Task
from celery.exceptions import Ignore
from celery.worker.control import control_command, inspect_command
from opentelemetry.trace import SpanKind
from pydantic import ValidationError
from sqlalchemy import select

from models import telemetry
from models.errors import (
    AgentCoreError,
    ConflictError,
    NotFoundError,
    StoreUnavailableError,
    TenantBusyError,
)
from models.execution import ExecutionRequest
from models.permissions import EVERYTHING
from models.session import autocommit
from models.settings import load_settings
from models.tables import ExecutionRow, Tenant
from worker import janitor, metrics, replies, retention
from worker.app import AGE_OUT, CANCEL_COMMAND, EXECUTE, RUN, SWEEP, app
from worker.execution import Executor
from worker.sandbox.docker_backend import DockerBackend
from worker.submit import Caller, Submitted, cancel_any, submit

log = structlog.get_logger()

TENANT_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")

LATE_REVOKE_TRIES, LATE_REVOKE_PAUSE = 20, 0.5  # and seconds between them
_late_revokes = threading.Semaphore(32)  # at once; who can write to the broker can name any id

STORE_TRIES = 10  # of agentcore.run while the database is away; half a minute or so


@lru_cache(maxsize=1)
def executor() -> Executor:
    """Return this process's executor, made at first use."""
    settings = load_settings()
    worker_id = f"{socket.gethostname()}:{os.getpid()}"
    return Executor(DockerBackend(settings, worker_id), settings, worker_id)


@app.task(name=EXECUTE, ignore_result=True)
def execute(execution_id: str) -> None:
    """Run one queued execution. The message holds its id and nothing else."""
    executor().execute(UUID(execution_id))


@app.task(name=RUN, bind=True, throws=(ValueError,))
def run(self: Task[Any, Any], /, *given: Any, **named: Any) -> None:
    """Accept an execution; its outcome becomes this task's result once it has ended.

    Takes `request`, a dict, and `tenant`, a name or None. The task id becomes the execution's id.
    Raises ValueError, which `.get()` raises at the caller, when the request is refused.
    """
    try:
        request, tenant = _arguments(*given, **named)
    except TypeError:
        raise ValueError("agentcore.run takes request and tenant, and nothing else") from None
    try:
        task_id = _canonical(self.request.id)
        parsed = ExecutionRequest.model_validate(request)
        with telemetry.span(RUN, parent=_traceparent(self), kind=SpanKind.CONSUMER):
            submitted = _submit(parsed, tenant, task_id)
    except ValidationError as error:
        raise ValueError(_summary(error)) from None
    except StoreUnavailableError as error:
        raise ValueError(f"unavailable, not refused; send it again: {error}") from None
    except ConflictError as error:
        if not _exists(task_id):
            raise ValueError(str(error)) from None
        # The id's answer is that of the execution that has it; a failure would take its place.
        log.warning("task_id_reused", task=str(task_id))
        raise Ignore from None
    except (AgentCoreError, ValueError) as error:
        raise ValueError(str(error)) from None
    if not submitted.is_new:
        replies.send_if_ended(submitted.id)
    # No result now: whoever ends the execution stores it under this id.
    raise Ignore


@app.task(name=SWEEP, ignore_result=True)
def sweep() -> None:
    """Find and move on what was lost; beat sends this."""
    try:
        counts = janitor.sweep(load_settings())
    except StoreUnavailableError as error:
        log.warning("store_unavailable", task=SWEEP, error=str(error))
        return
    for what, number in counts.items():
        metrics.SWEPT.labels(what).inc(number)
    if any(counts.values()):
        log.info("swept", **counts)


@app.task(name=AGE_OUT, ignore_result=True)
def age_out() -> None:
    """Delete what is older than the settings keep; beat sends this."""
    try:
        counts = retention.age_out(load_settings())
    except StoreUnavailableError as error:
        log.warning("store_unavailable", task=AGE_OUT, error=str(error))
        return
    if any(counts.values()):
        log.info("aged_out", **counts)


@control_command(name=CANCEL_COMMAND, args=[("execution_id", str)])
def cancel(_state: Any, execution_id: str) -> dict[str, bool]:
    """End an execution if it runs in this worker; broadcast to all of them."""
    return {"cancelled": executor().backend.cancel(UUID(execution_id))}


@inspect_command(name="stats")
def stats(state: Any) -> dict[str, Any]:
    """Celery's own statistics without the broker's address, which may hold its password."""
    facts: dict[str, Any] = state.consumer.controller.stats()
    facts.pop("broker", None)
    return facts


@control_command(name="revoke", args=[("task_id", str)])
def revoke(_state: Any, task_id: str | list[str], **_options: Any) -> dict[str, str]:
    """Cancel what an id of `agentcore.run` stands for, in place of Celery's own revoke.

    Celery's would drop the message that tells of the execution, which has the same id, for hours:
    the execution would stay queued and keep its place in the tenant's share.
    """
    for one in task_id if isinstance(task_id, list) else [task_id]:
        try:
            cancel_any(UUID(one))
        except NotFoundError:
            _revoke_later(UUID(one))
        except (AgentCoreError, ValueError, TypeError, AttributeError) as error:
            log.info("revoke_without_effect", task=str(one)[:64], why=str(error)[:200])
    return {"ok": "executions are cancelled; other tasks of this server cannot be revoked"}


def _revoke_later(execution_id: UUID) -> None:
    """Cancel what is not known yet: a broadcast outruns the task that was sent before it."""
    if not _late_revokes.acquire(blocking=False):
        log.info("revoke_without_effect", task=str(execution_id), why="too many unknown ids")
        return

    def try_for_a_while() -> None:
        try:
            for _ in range(LATE_REVOKE_TRIES):
                time.sleep(LATE_REVOKE_PAUSE)
                with suppress(NotFoundError):
                    return cancel_any(execution_id)
            log.info("revoke_without_effect", task=str(execution_id), why="no such execution")
        except AgentCoreError as error:
            log.info("revoke_without_effect", task=str(execution_id), why=str(error)[:200])
        finally:
            _late_revokes.release()

    threading.Thread(target=try_for_a_while, name="revoke", daemon=True).start()


def _traceparent(task: Task[Any, Any]) -> str | None:
    """Return the header by which whoever sent the message lets its trace go on here."""
    given = task.request.get("traceparent")
    return given if isinstance(given, str) else None


def _arguments(request: Any = None, tenant: str | None = None) -> tuple[Any, str | None]:
    return request, tenant


def _submit(request: ExecutionRequest, tenant: str | None, task_id: UUID) -> Submitted:
    """Submit, outlasting a short outage of the database."""
    for _ in range(STORE_TRIES - 1):
        try:
            return submit(request, _tenant_caller(tenant), execution_id=task_id, reply=True)
        except TenantBusyError:
            raise  # its threads are the sweep's and all other tenants', too
        except StoreUnavailableError:
            time.sleep(random.uniform(1, 3))  # noqa: S311 - jitter, not a secret
    return submit(request, _tenant_caller(tenant), execution_id=task_id, reply=True)


def _exists(execution_id: UUID) -> bool:
    with autocommit() as session:
        found = select(ExecutionRow.id).where(ExecutionRow.id == execution_id)
        return session.scalar(found) is not None


def _canonical(task_id: str | None) -> UUID:
    try:
        found = UUID(task_id)
    except (ValueError, AttributeError, TypeError):
        raise ValueError("task id: must be a UUID") from None
    if str(found) != task_id:
        # The result is stored under the canonical form: the caller would wait for ever.
        raise ValueError("task id: must be a UUID in lower case with dashes")
    return found


def _tenant_caller(tenant: str | None) -> Caller:
    name = tenant or load_settings().celery_tenant
    if not isinstance(name, str) or not TENANT_NAME.fullmatch(name):
        raise ValueError("tenant: must be a tenant's name")
    with autocommit() as session:
        tenant_id = session.scalar(select(Tenant.id).where(Tenant.name == name))
    if tenant_id is None:
        raise ValueError(f"tenant: there is no tenant {name!r}")
    return Caller(tenant_id=tenant_id, permissions=EVERYTHING)


def _summary(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)[:5]
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc']) or 'request'}: {item['msg']}"
        for item in problems
    )
