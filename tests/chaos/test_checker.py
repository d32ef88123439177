"""The judge itself: each invariant that is broken on paper is found."""

import json
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from models import audit
from models.tables import AuditEventRow, ExecutionRow
from tests.chaos.checker import not_kept, reuse_problems, start_problems, trail_problems, used_by
from tests.chaos.witness import LABEL, WARM

ID = UUID("00000000-0000-4000-8000-000000000001")
START = (audit.USER_CODE_STARTED, {"attempt": 1})


def _change(before: str, after: str, attempt: int) -> tuple[str, dict[str, Any]]:
    return "status_changed", {"from": before, "to": after, "attempt": attempt}


CLAIMED, ENDED = _change("queued", "running", 1), _change("running", "succeeded", 1)
GOOD = [("submitted", {}), CLAIMED, START, ENDED]


def _trail(*events: tuple[str, dict[str, Any]]) -> list[AuditEventRow]:
    trail: list[AuditEventRow] = []
    for number, (kind, data) in enumerate(events, start=1):
        event = AuditEventRow(
            execution_id=ID, sequence=number, kind=kind, recorded_at_us=number,
            data=json.dumps(data), previous_hash=trail[-1].hash if trail else audit.GENESIS,
        )  # fmt: skip
        event.hash = audit.event_hash(event)
        trail.append(event)
    return trail


def _row(**values: Any) -> ExecutionRow:
    good = {"id": ID, "status": "succeeded", "attempt": 1, "user_starts": 1, "max_attempts": 1}
    return ExecutionRow(**good | values)


def test_a_good_execution_has_no_problems() -> None:
    assert trail_problems(_row(), _trail(*GOOD)) == []
    assert start_problems(_row(), _trail(*GOOD), 1, {1: 1}) == []
    # A program that was killed at once may be missed.
    assert start_problems(_row(), _trail(*GOOD), 0, {1: 1}) == []


@pytest.mark.parametrize(
    ("row", "events", "said"),
    [
        ({"status": "running"}, GOOD[:3], "is still running"),
        ({}, [*GOOD, _change("succeeded", "lost", 1)], "ended 2 times"),
        ({}, [*GOOD, ENDED], "ended 2 times"),
        ({"status": "failed"}, GOOD, "the trail ends succeeded"),
        ({"attempt": 2}, GOOD, "is succeeded, attempt 2"),
        ({}, [GOOD[0], _change("queued", "running", 2), START, ENDED], "attempt 0 the trail says"),
        ({}, [*GOOD[:3], _change("running", "queued", 1), CLAIMED, ENDED], "the trail says"),
        ({"status": "cancelled"}, [*GOOD[:3], _change("running", "cancelled", 1)], "nobody asked"),
        ({}, [], "the audit chain is broken"),
    ],
)
def test_a_trail_that_breaks_an_invariant_is_found(
    row: dict[str, Any], events: list[tuple[str, dict[str, Any]]], said: str
) -> None:
    assert said in "; ".join(trail_problems(_row(**row), _trail(*events)))


def test_a_changed_event_is_found() -> None:
    trail = _trail(*GOOD)
    trail[2].data = '{"attempt": 1, "more": 1}'
    assert "the audit chain is broken at 3" in trail_problems(_row(), trail)


@pytest.mark.parametrize(
    ("row", "events", "seen", "containers", "said"),
    [
        ({}, GOOD, 2, {1: 1}, "2 programs were seen"),
        ({"user_starts": 2}, [*GOOD, START], 1, {1: 1}, "in attempts [1, 1]"),
        ({"user_starts": 2}, [*GOOD, (START[0], {"attempt": 2})], 1, {}, "and 1 allowed"),
        ({"user_starts": 0}, [CLAIMED, ENDED], 0, {1: 1}, "succeeded without a start"),
        ({}, GOOD, 1, {1: 2}, "attempt 1 started 2 times"),
        ({}, GOOD, 1, {1: 1, 2: 1}, "attempt 2 started 1 times"),
    ],
)
def test_a_start_too_many_is_found(
    row: dict[str, Any],
    events: list[tuple[str, dict[str, Any]]],
    seen: int,
    containers: dict[int, int],
    said: str,
) -> None:
    assert said in "; ".join(start_problems(_row(**row), _trail(*events), seen, containers))


def _started_in(container: str) -> tuple[str, dict[str, Any]]:
    facts = {"attempt": 1, "isolation": {"engine": {"container": container}}}
    return audit.USER_CODE_STARTED, facts


def test_a_container_that_runs_a_second_program_or_starts_again_is_found() -> None:
    trails = [_trail(CLAIMED, _started_in(container), ENDED) for container in ("one", "two", "one")]
    uses = Counter(used_by(trails))
    assert reuse_problems(uses, {}) == ["container one ran 2 programs"]
    assert reuse_problems({}, {"a": 1, "b": 2}) == ["container b was started 2 times"]


@pytest.mark.parametrize(
    ("labels", "is_kept"),
    [
        ({WARM: "x", f"{LABEL}worker": "host:1"}, True),
        ({WARM: "x", f"{LABEL}worker": "host:2"}, False),  # of a worker that is dead
        ({f"{LABEL}execution": "x", f"{LABEL}worker": "host:1"}, False),
    ],
)
def test_what_waits_is_kept_by_its_living_worker_and_until_it_is_used(
    labels: dict[str, str], is_kept: bool
) -> None:
    container = {"Id": "0123456789abcdef", "Labels": labels}
    assert not_kept([container], set(), {1}) == ([] if is_kept else [container])
    assert not_kept([container], {"0123456789ab"}, {1}) == [container]
    assert not_kept([container], set(), ()) == [container]
