"""The check of an audit chain, held against a second way to compute it."""

import hashlib
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.audit import GENESIS, broken_at, event_hash
from models.tables import AuditEventRow

EXECUTION = UUID("12345678-1234-5678-1234-567812345678")


def chain(length):
    events, previous = [], GENESIS
    for number in range(1, length + 1):
        data = f'{{"n": {number}, "word": "é"}}'
        text = f"{EXECUTION}|{number}|kind|{1000 + number}|{data}"
        digest = hashlib.sha256(previous + text.encode("utf-8")).digest()
        events.append(
            AuditEventRow(
                execution_id=EXECUTION,
                sequence=number,
                kind="kind",
                recorded_at_us=1000 + number,
                data=data,
                previous_hash=previous,
                hash=digest,
            )
        )
        previous = digest
    return events


def test_an_untouched_chain_is_intact():
    assert broken_at(chain(5)) is None
    assert broken_at([]) is None


def test_the_hash_covers_the_stored_characters():
    event = chain(1)[0]
    assert event_hash(event) == event.hash
    event.data = event.data.replace(" ", "")
    assert event_hash(event) != event.hash


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("data", "{}"),
        ("kind", "other"),
        ("recorded_at_us", 1),
        ("previous_hash", bytes(32)),
        ("hash", bytes(32)),
        ("execution_id", UUID(int=0)),
    ],
)
def test_a_changed_event_breaks_the_chain_there(field, value):
    events = chain(5)
    setattr(events[2], field, value)
    assert broken_at(events) == 3


@given(st.integers(0, 4), st.integers(2, 5))
def test_a_missing_event_breaks_the_chain_unless_it_was_the_last(missing, length):
    events = chain(length)
    if missing >= length - 1:
        return
    del events[missing]
    assert broken_at(events) is not None


def test_swapped_events_break_the_chain():
    events = chain(4)
    events[1], events[2] = events[2], events[1]
    assert broken_at(events) is not None


def test_an_event_rehashed_after_a_change_breaks_the_next_one():
    events = chain(3)
    events[0].data = '{"forged": true}'
    events[0].hash = event_hash(events[0])
    assert broken_at(events) == 2
