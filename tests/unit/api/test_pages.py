"""Cursors: what was given comes back, anything else is refused."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.pages import decode_cursor, encode_cursor
from models.errors import RequestRefusedError

MAX_CURSOR = 200  # characters that the route takes

# Named zones would compare unequal in an hour that comes twice; the database gives offsets.
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.just(UTC) | offsets), st.uuids())
def test_a_cursor_comes_back_as_it_was(moment, execution_id):
    cursor = encode_cursor(moment, execution_id)
    assert decode_cursor(cursor) == (moment, execution_id)
    assert len(cursor) <= MAX_CURSOR
    assert cursor.isascii()
    assert not set(cursor) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def wrapped(text):
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


pieces = st.one_of(
    st.text(max_size=30),
    st.text("0123456789-:+TZ.W ", max_size=30),
    st.datetimes().map(str),
    st.uuids().map(str),
)


@given(
    st.one_of(
        st.text(st.characters(codec=None, exclude_categories=()), max_size=60),
        st.text("ABCabc0189-_+/=", max_size=60),
        st.builds(lambda one, other: wrapped(f"{one}|{other}"), pieces, pieces),
    )
)
@example("")
@example("A")
@example("\ud800")
@example(wrapped("2026-01-01T00:00:00|" + "0" * 32))
@example(wrapped("2026-01-01T00:00:00+00:00|"))
@example(wrapped("9999-12-31T23:59:59-23:59|" + "0" * 32))
def test_a_random_cursor_is_refused_or_has_its_time_zone(cursor):
    try:
        moment, execution_id = decode_cursor(cursor)
    except RequestRefusedError as error:
        assert error.field == "cursor"
        return
    assert moment.utcoffset() is not None
    assert isinstance(execution_id, UUID)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "!!!!", "====", "\x00", "é", "\ud800", wrapped(""), wrapped("|"),
     wrapped("2026-01-01T00:00:00|" + "0" * 32), wrapped("now|" + "0" * 32),
     wrapped("2026-01-01T00:00:00+00:00|x"), wrapped("2026-01-01T00:00:00+00:00"),
     wrapped("2026-01-01T00:00:00+00:00|" + "0" * 32 + "|x")],
)  # fmt: skip
def test_a_cursor_that_was_never_given_is_refused(cursor):
    with pytest.raises(RequestRefusedError) as refused:
        decode_cursor(cursor)
    assert refused.value.field == "cursor"


def test_two_executions_of_one_moment_have_different_cursors():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert encode_cursor(moment, UUID(int=1)) != encode_cursor(moment, UUID(int=2))
