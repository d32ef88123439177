"""The invariants, judged from the database, the engine and the witness alone."""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import docker
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, undefer

from models import audit
from models.status import TERMINAL, Status
from models.tables import AuditEventRow, ExecutionRow
from tests.chaos.witness import LABEL, SHORT, WARM, Witness


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of the accepted executions."""

    accepted: int
    terminal: int  # that ended, and once
    duplicated: int  # whose user code started more often than max_attempts allows
    leaked: int  # containers that are still there, and programs that still run
    warm: int = 0  # programs that started in a sandbox which had waited for them
    statuses: Counter[str] = field(default_factory=Counter)
    violations: Sequence[str] = ()

    @property
    def holds(self) -> bool:
        """Whether every invariant does."""
        return not (self.violations or self.duplicated or self.leaked) and (
            self.accepted == self.terminal
        )


def check(
    owner_url: str,
    engine: docker.DockerClient,
    deployment: str,
    accepted: Mapping[str, str],
    witness: Witness,
    keepers: Collection[int] = (),
) -> Verdict:
    """Judge everything that the database holds; `accepted` is key by execution id.

    `keepers` are the processes that may keep sandboxes ready for jobs to come.
    """
    rows, trails = _load(owner_url)
    problems = [f"{item}: accepted, but the database does not know it"
                for item in accepted if item not in rows]  # fmt: skip
    programs, duplicated, terminal = witness.programs, 0, 0
    for item, row in rows.items():
        trail = trails.get(item, [])
        problems += (f"{item}: {what}" for what in trail_problems(row, trail))
        terminal += len(_ends(trail)) == 1 and row.status in TERMINAL
        starts = {n: count for (of, n), count in witness.containers.items() if of == item}
        repeats = start_problems(row, trail, programs[row.idempotency_key or ""], starts)
        duplicated += bool(repeats)
        problems += (f"{item}: {what}" for what in repeats)
    uses = Counter(used_by(trails.values()))
    problems += reuse_problems(uses, witness.ahead)
    left = [f"container {item['Names']} is {item['Status']}"
            for item in not_kept(leftovers(engine, deployment), uses, keepers)]  # fmt: skip
    running = witness.running()
    left += [f"{item}: its program still runs"
             for item, row in rows.items() if row.idempotency_key in running]  # fmt: skip
    problems += left
    return Verdict(
        accepted=len(rows.keys() | accepted.keys()),
        terminal=terminal,
        duplicated=duplicated,
        leaked=len(left),
        warm=sum(uses[name] for name in witness.ahead),
        statuses=Counter(f"{row.status} {row.reason or ''}".strip() for row in rows.values()),
        violations=tuple(problems),
    )


def leftovers(engine: docker.DockerClient, deployment: str) -> list[dict[str, Any]]:
    """Return the deployment's containers as the engine tells them, ended ones too."""
    filters = {"label": f"{LABEL}deployment={deployment}"}
    found: list[dict[str, Any]] = engine.api.containers(all=True, filters=filters)
    return found


def not_kept(
    found: Iterable[dict[str, Any]], used: Collection[str], keepers: Collection[int]
) -> list[dict[str, Any]]:
    """Return the containers that no living process keeps for a job to come."""
    return [
        item
        for item in found
        if WARM not in item["Labels"]
        or item["Id"][:SHORT] in used
        or int(item["Labels"][f"{LABEL}worker"].rpartition(":")[2]) not in keepers
    ]


def used_containers(owner_url: str) -> set[str]:
    """Return the short ids of the containers in which programs have started."""
    return set(used_by(_load(owner_url)[1].values()))


def used_by(trails: Iterable[Sequence[AuditEventRow]]) -> list[str]:
    """Return the short id of the container of each recorded start of user code."""
    return [
        facts["isolation"]["engine"]["container"]
        for trail in trails
        for facts in _facts(trail, audit.USER_CODE_STARTED)
    ]


def reuse_problems(uses: Mapping[str, int], started: Mapping[str, int]) -> list[str]:
    """Return which containers ran more than one program, or were started more than once."""
    return [
        *(f"container {name} ran {times} programs" for name, times in uses.items() if times > 1),
        *(f"container {name} was started {times} times"
          for name, times in started.items() if times > 1),
    ]  # fmt: skip


def trail_problems(row: ExecutionRow, trail: Sequence[AuditEventRow]) -> list[str]:
    """Return where an execution and its audit trail break an invariant."""
    problems = []
    if (broken := audit.broken_at(trail)) is not None or not trail:
        problems.append(f"the audit chain is broken at {broken}")
    if row.status not in TERMINAL:
        problems.append(f"is still {row.status}, attempt {row.attempt}")
    if len(_ends(trail)) > 1:
        problems.append(f"ended {len(_ends(trail))} times")
    status, attempt = str(Status.QUEUED), 0
    for change in _facts(trail, "status_changed"):
        # Each claim takes the next token, and nothing else changes it.
        expected = attempt + (change["to"] == Status.RUNNING)
        if change["from"] != status or change["attempt"] != expected:
            problems.append(f"after {status}, attempt {attempt} the trail says {change}")
        status, attempt = change["to"], change["attempt"]
    if (status, attempt) != (row.status, row.attempt):
        problems.append(f"is {row.status}, attempt {row.attempt}; the trail ends {status}, "
                        f"attempt {attempt}")  # fmt: skip
    if row.status == Status.CANCELLED and not _facts(trail, audit.CANCEL_REQUESTED):
        problems.append("cancelled, and nobody asked for it")
    return problems


def start_problems(
    row: ExecutionRow, trail: Sequence[AuditEventRow], seen: int, containers: Mapping[int, int]
) -> list[str]:
    """Return what says that user code or an attempt's container started too often."""
    recorded = [facts["attempt"] for facts in _facts(trail, audit.USER_CODE_STARTED)]
    problems = []
    if len(recorded) != row.user_starts or len(set(recorded)) != len(recorded):
        problems.append(f"{row.user_starts} starts, but the trail has them in attempts {recorded}")
    if not seen <= len(recorded) <= row.max_attempts:
        problems.append(f"{seen} programs were seen, {len(recorded)} starts are recorded and "
                        f"{row.max_attempts} allowed")  # fmt: skip
    if row.status == Status.SUCCEEDED and not recorded:
        problems.append("succeeded without a start")
    for attempt, count in containers.items():
        if count > 1 or attempt > row.attempt:
            problems.append(f"the container of attempt {attempt} started {count} times")
    return problems


def _load(owner_url: str) -> tuple[dict[str, ExecutionRow], dict[str, list[AuditEventRow]]]:
    engine = create_engine(owner_url)
    try:
        with Session(engine, expire_on_commit=False) as session:
            rows = session.scalars(select(ExecutionRow).options(undefer("*"))).all()
            order = (AuditEventRow.execution_id, AuditEventRow.sequence)
            events = session.scalars(select(AuditEventRow).order_by(*order)).all()
    finally:
        engine.dispose()
    trails: dict[str, list[AuditEventRow]] = {}
    for event in events:
        trails.setdefault(str(event.execution_id), []).append(event)
    return {str(row.id): row for row in rows}, trails


def _ends(trail: Iterable[AuditEventRow]) -> list[dict[str, Any]]:
    return [change for change in _facts(trail, "status_changed") if change["to"] in TERMINAL]


def _facts(trail: Iterable[AuditEventRow], kind: str) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in trail if event.kind == kind]
