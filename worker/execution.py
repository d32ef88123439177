"""One execution from its claim to its recorded outcome."""

import random
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from opentelemetry.trace import Span, SpanKind, get_current_span

from models import telemetry
from models.audit import HANDED_BACK, START_FAILED
from models.errors import RequestRefusedError, StoreUnavailableError
from models.resolve import resolve, stored_request
from models.sandbox import Outcome, SandboxConfig, build_spec
from models.settings import Settings
from models.status import Reason, Status
from worker import claims, fault_points, metrics, outcomes, replies
from worker.batches import ResultWriter
from worker.claims import CancelledError, Claim, LeaseLostError
from worker.sandbox.backend import Backend
from worker.sandbox.errors import (
    AbandonedError,
    EngineUnavailableError,
    ImageUnavailableError,
    IsolationRefusedError,
    SandboxCancelledError,
    SandboxError,
    SandboxVanishedError,
)

log = structlog.get_logger()

RECORD_PATIENCE = 600  # seconds to keep trying to record an outcome while the database is away
MAX_RETRY_WAIT = 10  # seconds between two tries


class Executor:
    """Runs executions on one backend; safe to call from many threads."""

    def __init__(self, backend: Backend, settings: Settings, worker_id: str) -> None:
        self.backend = backend
        self.settings = settings
        self.worker_id = worker_id
        # Why sandboxes cannot be started now; set by whoever watches the engine.
        self.engine_error: str | None = None
        # Set when this worker is to end: it claims nothing more.
        self.draining = False
        self._handing_over = False
        self._lock = threading.Lock()
        self._running: dict[UUID, Claim] = {}

    @property
    def running(self) -> dict[UUID, Claim]:
        """What this process runs, as of now."""
        with self._lock:
            return dict(self._running)

    def execute(self, execution_id: UUID) -> None:
        """Claim and run one execution; nothing happens when there is nothing to claim."""
        if self.draining:
            claims.decline(execution_id, 0)
            return
        if self.engine_error is not None:
            # Leave it to a worker that can, or to later; a claim here would only burn time.
            claims.decline(execution_id, self.settings.resend_seconds)
            return
        fault_points.reach("before_claim")
        claim = claims.claim(execution_id, self.worker_id, self.settings.lease_seconds)
        if claim is None:
            log.info("nothing_to_claim", execution=str(execution_id))
            return
        metrics.count_claim(claim.attempt, claim.age)
        names = {"execution": str(execution_id), "attempt": claim.attempt}
        if claim.request_id is not None:
            names["request_id"] = claim.request_id
        with structlog.contextvars.bound_contextvars(**names), _span(claim):
            self._own(claim)

    def hand_over(self) -> None:
        """End what still runs, so that it goes back to others, or is lost with a reason."""
        self._handing_over = True
        for execution_id, claim in self.running.items():
            self.backend.abandon(execution_id, claim.attempt)

    def _own(self, claim: Claim) -> None:
        with self._lock:
            self._running[claim.execution_id] = claim
        try:
            self._run(claim)
        except LeaseLostError:
            log.warning("lease_lost")
        finally:
            with self._lock:
                self._running.pop(claim.execution_id, None)

    def _run(self, claim: Claim) -> None:
        user_code = threading.Event()
        results = ResultWriter(claim, self.settings.max_batch_bytes)
        try:
            outcome = self._outcome(claim, user_code, results)
        except AbandonedError as error:
            if not self._handing_over:
                raise LeaseLostError from error
            if self._is_repeatable(claim, user_code):
                why = "its worker was shut down"
                self._hand_back(claim, HANDED_BACK, why, error.so_far, counts=False, at_once=True)
                return
            message = "its worker was shut down while the program ran"
            outcome = _lost(error.so_far, Reason.WORKER_LOST, message)
        except (LeaseLostError, StoreUnavailableError):
            raise
        except Exception as error:
            # Whatever failed, it was ours: the execution must move on, not wait for its lease.
            ours = not isinstance(error, SandboxError)
            metrics.count_failure("Internal" if ours else type(error).__name__)
            log.warning(
                "sandbox_failed",
                error=str(error),
                user_code_started=user_code.is_set(),
                exc_info=error if ours else None,
            )
            away = isinstance(error, EngineUnavailableError)
            so_far = error.so_far if isinstance(error, SandboxError) else None
            if self._is_repeatable(claim, user_code):
                kind = HANDED_BACK if user_code.is_set() else START_FAILED
                self._hand_back(claim, kind, str(error), so_far, counts=not away)
                return
            if isinstance(error, SandboxVanishedError):
                self._record(claim, so_far or error.outcome, results)
                return
            message = (
                f"the {'container engine' if away else 'sandbox'} failed while the program ran"
            )
            outcome = _lost(so_far, Reason.SANDBOX_ERROR, message)
        self._record(claim, outcome, results)

    def _outcome(self, claim: Claim, user_code: threading.Event, results: ResultWriter) -> Outcome:
        def before_user_code(isolation: dict[str, Any]) -> None:
            if self._handing_over:
                raise AbandonedError  # claimed just before the end
            claims.start_user_code(claim, isolation)
            user_code.set()
            get_current_span().add_event("user_code_started")

        try:
            if claim.cancelled:
                raise CancelledError
            return self.backend.run(self._spec(claim), before_user_code, results.take)
        except RequestRefusedError as error:
            return Outcome(
                status=Status.REJECTED, reason=Reason.POLICY_VIOLATION, message=str(error)
            )
        except ImageUnavailableError as error:
            return Outcome(
                status=Status.FAILED,
                reason=Reason.IMAGE_UNAVAILABLE,
                message=f"the container engine has no image {error}",
            )
        except IsolationRefusedError as error:
            claims.refuse_isolation(claim, error.isolation)
            return Outcome(
                status=Status.REJECTED,
                reason=Reason.POLICY_VIOLATION,
                message=str(error),
                isolation=error.isolation,
            )
        except (CancelledError, SandboxCancelledError):
            return Outcome(
                status=Status.CANCELLED,
                reason=Reason.CANCEL_REQUESTED,
                message="cancelled before the program started",
            )

    def _spec(self, claim: Claim) -> SandboxConfig:
        request = stored_request(claim.request)
        effective = resolve(request, self.settings)
        return build_spec(claim.execution_id, claim.attempt, request, effective, self.settings)

    def _is_repeatable(self, claim: Claim, user_code: threading.Event) -> bool:
        return not user_code.is_set() or claim.user_starts + 1 < claim.max_attempts

    def _hand_back(
        self,
        claim: Claim,
        kind: str,
        why: str,
        so_far: Outcome | None,
        *,
        counts: bool,
        at_once: bool = False,
    ) -> None:
        status = claims.hand_back(
            claim,
            kind,
            why,
            counts=counts,
            max_failed_starts=self.settings.max_failed_starts,
            at_once=at_once,
            so_far=so_far,
        )
        log.warning("handed_back", status=status)
        if so_far is not None:
            metrics.count_network(so_far)

    def _record(self, claim: Claim, outcome: Outcome, results: ResultWriter) -> None:
        """Record the outcome, outlasting an outage of the database."""
        give_up = time.monotonic() + RECORD_PATIENCE
        wait, tries = 0.1, 0
        while True:
            try:
                fault_points.reach("before_outcome")
                # After the first try, it may be that only the answer was lost.
                known = outcomes.recorded(claim, outcome) if tries else None
                tries += 1
                if known is None:
                    known = outcomes.record(claim, outcome, results.unwritten)
                break
            except StoreUnavailableError:
                if time.monotonic() > give_up:
                    log.error("outcome_not_recorded", status=outcome.status)
                    raise
                log.warning("store_unavailable", waiting_to_record=outcome.status)
                time.sleep(random.uniform(wait / 2, wait))  # noqa: S311 - jitter, not a secret
                wait = min(MAX_RETRY_WAIT, wait * 2)
        log.info("finished", status=outcome.status, reason=outcome.reason)
        for name, value in (("status", outcome.status), ("reason", outcome.reason)):
            get_current_span().set_attribute(f"agentcore.{name}", value or "")
        if known:
            replies.send(claim.execution_id)
        metrics.count(outcome, time.monotonic() - claim.claimed_at)


def _span(claim: Claim) -> AbstractContextManager[Span]:
    return telemetry.span(
        "agentcore.execute",
        parent=claim.trace_parent,
        kind=SpanKind.CONSUMER,
        execution=str(claim.execution_id),
        attempt=str(claim.attempt),
    )


def _lost(so_far: Outcome | None, reason: Reason, message: str) -> Outcome:
    """Return the outcome of what did not end by itself; its output so far is kept."""
    left = so_far or Outcome(status=Status.LOST)
    return replace(left, status=Status.LOST, reason=reason, message=message)
