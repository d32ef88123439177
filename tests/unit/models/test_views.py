"""From rows to what is shown; rows that no database has seen."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.limits import ExecutionLimits, ResourceLimits, tighter
from models.status import Reason, Status
from models.tables import AuditEventRow, ExecutionRow
from models.views import event_view, execution_view, stream_view


def row(**changes):
    limits = tighter(ResourceLimits(), ExecutionLimits()).model_dump(mode="json")
    values = {
        "id": UUID(int=1),
        "status": "queued",
        "attempt": 0,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "labels": {},
        "priority": 4,
        "security_profile": "standard",
        "image": "python",
        "network_access": "none",
        "limits": limits,
        "max_attempts": 1,
    }
    return ExecutionRow(**values | changes)


def test_a_queued_row_is_shown_without_an_outcome():
    shown = execution_view(row())
    assert shown.status is Status.QUEUED
    assert shown.reason is shown.exit_code is shown.stdout is shown.isolation is None
    assert shown.warnings == shown.artifacts == ()


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("reason", [None, *Reason])
def test_every_status_and_reason_of_a_row_can_be_shown(status, reason):
    shown = execution_view(row(status=str(status), reason=reason and str(reason)))
    assert (shown.status, shown.reason) == (status, reason)
    assert shown.model_dump(mode="json")["status"] == status.value


@given(st.binary())
def test_the_bytes_of_a_stream_can_be_had_back(kept):
    shown = stream_view(row(stdout=kept, stdout_bytes=len(kept)), "stdout")
    assert shown is not None
    data = shown.text.encode() if shown.base64 is None else base64.b64decode(shown.base64)
    assert data == kept
    assert shown.total_bytes == len(kept)
    assert not shown.truncated


def test_a_stream_that_was_cut_says_so():
    shown = stream_view(row(stderr=b"x", stderr_bytes=9, output_truncated=["stderr"]), "stderr")
    assert shown is not None
    assert (shown.total_bytes, shown.truncated) == (9, True)


def test_a_stream_that_was_never_read_is_absent():
    assert stream_view(row(), "stdout") is None


def test_an_event_is_shown_with_hashes_in_hexadecimal():
    event = AuditEventRow(
        execution_id=UUID(int=1),
        sequence=1,
        kind="submitted",
        recorded_at_us=5,
        data='{"a": 1}',
        previous_hash=bytes(32),
        hash=b"\xff" * 32,
    )
    shown = event_view(event)
    assert (shown.hash, shown.previous_hash, shown.data) == ("ff" * 32, "00" * 32, {"a": 1})
