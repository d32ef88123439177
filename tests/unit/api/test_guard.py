"""Bodies are measured before they are parsed."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.guard import MAX_DEPTH, MAX_TOKENS, measure

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


@given(json_values)
def test_an_ordinary_body_passes(value):
    assert measure(json.dumps(value).encode()) is None
    assert measure(json.dumps(value, ensure_ascii=False).encode()) is None


@given(st.text())
def test_brackets_in_a_string_do_not_count(text):
    body = json.dumps({text + "[" * 100: "{" * 100 + text + '\\"[' * 50}).encode()
    assert measure(body) is None


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_depth_is_refused_just_over_its_limit(opening):
    assert measure(opening * MAX_DEPTH) is None
    assert "deeper" in (measure(opening * (MAX_DEPTH + 1)) or "")


def test_an_escaped_backslash_ends_before_the_quote():
    assert "deeper" in (measure(b'{"a":"\\\\"' + b"[" * 40) or "")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_json_in_another_encoding_is_refused(encoding):
    # One U+0122 holds a byte that looks like a quote: what follows would not be counted.
    text = '{"source":"1","\u0122":[' + "[]," * 100 + "1]}"
    assert "UTF-8" in (measure(text.encode(encoding)) or "")
    assert "UTF-8" in (measure(b'{"a":"\xff"}') or "")


@pytest.mark.parametrize("unit", [b"[],", b"1,", b'"a",', b'"":1,', b'"" '])
def test_many_values_are_refused(unit):
    assert "more than" in (measure(unit * (MAX_TOKENS + 2)) or "")


@pytest.mark.parametrize("unit", [b'\\"', b"x", b'"', b"\\", b"[]", b"[,"])
def test_no_body_takes_long_to_measure(unit):
    started = time.process_time()
    measure(b'"' + unit * (12_000_000 // len(unit)))
    # Quadratic work would take hours here, a parser several seconds.
    assert time.process_time() - started < 2
