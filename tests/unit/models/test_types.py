"""What strangers may send, piece by piece: accepted as it is stored, or refused by name."""

import base64
import ipaddress
import os
import re
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from models.types import (
    MAX_JSON_CHARS,
    MAX_JSON_DEPTH,
    MAX_PATH_CHARS,
    MAX_PATH_DEPTH,
    AllowedHost,
    EnvironmentName,
    HostEntry,
    Json,
    LabelName,
    Name,
    Text,
    WorkspacePath,
    decode_content,
    json_depth,
)
from tests.unit.storable import assert_jsonb, assert_text

PATH = TypeAdapter(WorkspacePath)
HOST = TypeAdapter(AllowedHost)
JSON = TypeAdapter(Json)

any_text = st.text(st.characters(codec=None, exclude_categories=()))
path_text = st.lists(
    st.one_of(
        st.sampled_from(["..", ".", "", "a", "\\", "..\\", "~", "a\x00", "\ud800", "．．", "％2e"]),
        any_text,
    ),
    max_size=12,
).map("/".join)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=12,
)
host_text = st.one_of(
    any_text,
    st.text("aB0.-_*:/%[]xf１\u017f\u212a\u0130\u0131\u0663\n\x00 ", max_size=40),
    st.ip_addresses().map(str),
    st.builds("{}/{}".format, st.ip_addresses(), st.integers(-1, 130)),
    st.builds("{}%{}".format, st.ip_addresses(v=6), any_text),
    st.builds("{}:{}".format, st.sampled_from(["a.b", "*.c", "::1"]), st.integers(-1, 70_000)),
)


def accepted(adapter, value):
    """Return the validated value, or None when it was refused in the proper way."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        assert error.error_count() > 0
        return None


# --- Paths -----------------------------------------------------------------------------------


@given(path_text)
@example("a/../../etc/passwd")
@example("/etc/passwd")
@example("a/./b")
@example("a//b")
@example("a/")
def test_an_accepted_path_never_leaves_the_workspace(value):
    path = accepted(PATH, value)
    if path is not None:
        joined = "/workspace/" + path
        assert os.path.normpath(joined) == joined
        assert joined.startswith("/workspace/")
        assert len(joined.split("/")) - 2 <= MAX_PATH_DEPTH
        assert len(path.encode()) <= MAX_PATH_CHARS
        assert_text(path)
        assert accepted(PATH, path) == value


@pytest.mark.parametrize(
    "value",
    ["", ".", "..", "/", "/a", "a/", "a//b", "./a", "a/.", "a/..", "../a", "a/../b", "a\x00b",
     "a\nb", "a\x1b[31m", "a\x7f", "\ud800", "a/" * MAX_PATH_DEPTH + "b", "a" * 256, "é" * 128],
)  # fmt: skip
def test_a_path_that_is_no_plain_relative_one_is_refused(value):
    with pytest.raises(ValidationError):
        PATH.validate_python(value)


@pytest.mark.parametrize(
    "value",
    ["a", "a b", "-rf", "~", "..a", "a..", "...", "a\\..\\b", "C:\\x", "é" * 127, "a" * 255,
     "a/" * (MAX_PATH_DEPTH - 1) + "b", "．．/a"],
)  # fmt: skip
def test_a_path_that_only_looks_odd_is_kept_as_it_is(value):
    assert PATH.validate_python(value) == value


def test_no_control_character_is_accepted_in_a_path():
    controls = [chr(code) for code in range(256) if unicodedata.category(chr(code)) == "Cc"]
    assert [char for char in controls if accepted(PATH, f"a{char}b") is not None] == []


# --- JSON values -----------------------------------------------------------------------------


def recursive_depth(value):
    """The plain definition."""
    if isinstance(value, dict):
        return 1 + max(map(recursive_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(recursive_depth, value), default=0)
    return 0


@given(json_values)
def test_json_depth_is_that_of_the_recursive_definition(value):
    assert json_depth(value) == recursive_depth(value)


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def test_json_depth_measures_what_would_overflow_the_stack():
    depth = 10 * sys.getrecursionlimit()
    assert json_depth(nested(depth)) == depth


def test_json_nests_up_to_the_limit_and_no_deeper():
    assert JSON.validate_python(nested(MAX_JSON_DEPTH)) == nested(MAX_JSON_DEPTH)
    for depth in (MAX_JSON_DEPTH + 1, 150, 5_000):
        with pytest.raises(ValidationError):
            JSON.validate_python(nested(depth))


@given(json_values)
@example({"a\x00": 1})
@example({"a": {"b\x00": 1}})
@example("\ud800")
@example({"\udfff": 1})
@example([float("nan")])
@example(float("-inf"))
@example(-0.0)
@example(1e308)
@example(10**4000)
@example(10**5000)
def test_an_accepted_json_value_can_be_stored_and_read_back(value):
    try:
        kept = JSON.validate_python(value)
    except ValidationError:
        return
    assert_jsonb(kept)
    dumped = JSON.dump_python(kept, mode="json")
    assert dumped == value
    assert JSON.validate_python(dumped) == value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), [float("-inf")], "a\x00", ["\x00"], {"\x00": 1}, {"a": "\x00"},
     pytest.param(10**5000, id="5001 digits"), "x" * MAX_JSON_CHARS, {1: 2}, (1,), {1}, b"a",
     object()],
)  # fmt: skip
def test_a_value_that_json_or_the_database_cannot_hold_is_refused(value):
    with pytest.raises(ValidationError):
        JSON.validate_python(value)


@pytest.mark.parametrize("value", ["\ud800", ["\udc00"], {"\ud800": 1}, {"a": {"b": "\udfff"}}])
def test_a_lone_surrogate_in_a_json_value_is_refused(value):
    with pytest.raises(ValidationError):
        JSON.validate_python(value)


def test_the_six_characters_of_an_escaped_nul_are_plain_text():
    assert JSON.validate_python("a regular expression: \\u0000") is not None


# --- Hosts -----------------------------------------------------------------------------------


@given(host_text)
@example("example.com\n")
@example("fe80::1%eth0\n")
@example("::1%\ud800")
@example("\u0130.com")
@example("example.com:\u0663")
@example("a.example.com.:443")
def test_an_accepted_host_is_plain_text_and_survives_being_stored(value):
    host = accepted(HOST, value)
    if host is not None:
        assert host.isascii()
        assert host.isprintable()
        assert " " not in host
        assert_text(host)
        assert accepted(HOST, host) == host


@given(host_text)
def test_an_accepted_host_with_digits_at_its_end_is_an_address(value):
    host = accepted(HOST, value)
    if host is None:
        return
    try:
        ipaddress.ip_network(host)
    except ValueError:
        name = host.rpartition(":")[0] if ":" in host else host
        try:
            ipaddress.ip_network(name.strip("[]"))
        except ValueError:
            last = name.rpartition(".")[2]
            assert not last.isdigit()
            assert not re.fullmatch("0x[0-9a-f]*", last)


@pytest.mark.parametrize(
    "value",
    ["", "*", "*.", ".", "a..b", "-a.com", "a-.com", "a b", "a/b", "http://a.com", "a.com/x",
     "1", "127.1", "0x7f.1", "0X7F000001", "2130706433", "1.2.3.4.5", "1.2.3.4:0", "[::1]:",
     "10.0.0.1/8", "10.0.0.0/33", "::/129", "a.com:0", "a.com:65536", "a.com:", "a.com:80:80",
     "*.*.com", "a.*.com", "a" * 64, "exämple.com", "０.com", "user@a.com", "a.com\x00", "a.com "],
)  # fmt: skip
def test_what_is_no_host_is_refused(value):
    with pytest.raises(ValidationError):
        HOST.validate_python(value)


@pytest.mark.parametrize(
    ("value", "kept"),
    [("API.Example.com", "api.example.com"), ("*.example.com", "*.example.com"),
     ("Example.com.", "example.com"), ("*.Example.com.:8443", "*.example.com:8443"),
     ("1.2.3.4:80", "1.2.3.4:80"), ("[0::1]:80", "[::1]:80"), ("[0::1]", "::1"),
     ("10.0.0.0/8:5432", "10.0.0.0/8:5432"), ("1.2.3.4/32", "1.2.3.4"),
     ("a.com:443", "a.com:443"), ("10.0.0.0/8", "10.0.0.0/8"), ("::1", "::1"), ("1.2.3.4",) * 2,
     ("2001:db8::/32", "2001:db8::/32"), ("db", "db"), ("a_b.com", "a_b.com")],
)  # fmt: skip
def test_a_host_an_address_or_a_block_is_accepted(value, kept):
    assert HOST.validate_python(value) == kept


def test_every_name_at_once_is_for_the_operators_lists_alone():
    for value in ("*", "*:8443"):
        with pytest.raises(ValidationError, match="operator"):
            HOST.validate_python(value)
        assert TypeAdapter(HostEntry).validate_python(value) == value
    assert TypeAdapter(HostEntry).validate_python("API.Example.com.") == "api.example.com"


@pytest.mark.parametrize("value", ["a.com\n", "*.a.com\n", "a.com:443\n", "fe80::1%eth0\n"])
def test_a_host_with_a_line_end_is_refused(value):
    with pytest.raises(ValidationError):
        HOST.validate_python(value)


@pytest.mark.parametrize(
    "value", ["\u017f.com", "\u212a.com", "\u0131.com", "\u0130.com", "a.com:\u0663", "::1%é"]
)
def test_a_host_outside_ascii_is_refused(value):
    with pytest.raises(ValidationError):
        HOST.validate_python(value)


# --- Words and texts -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Name, LabelName, EnvironmentName])
@pytest.mark.parametrize(
    "value", ["", "a\n", "\na", "a\x00", "a b", "é", "\u212a", "\ud800", "a" * 300, 1, True, None]
)
def test_a_word_of_another_alphabet_is_refused(kind, value):
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize("value", ["A", "-a", "a-", "_a", "a.b", "a/b", "a" * 64])
def test_a_name_is_a_lower_case_word(value):
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(value)


@given(any_text)
@example("a\x00")
@example("\ud800")
@example("a\udc80b")
def test_an_accepted_text_can_be_stored(value):
    text = accepted(TypeAdapter(Text), value)
    if text is not None:
        assert text == value
        assert_text(text)


# --- Contents --------------------------------------------------------------------------------


@given(st.binary())
def test_base64_content_decodes_to_the_bytes_it_was_made_from(data):
    assert decode_content(base64.b64encode(data).decode(), "base64") == data


@given(st.text(st.characters(codec="utf-8")))
def test_text_content_is_its_utf8(text):
    assert decode_content(text, "utf-8") == text.encode()


@given(any_text)
@example("QQ==\n")
@example("QQ=")
@example("é===")
def test_content_that_cannot_be_decoded_raises_value_error(text):
    for encoding in ("utf-8", "base64"):
        try:
            assert isinstance(decode_content(text, encoding), bytes)
        except ValueError:
            continue


@pytest.mark.parametrize("text", ["QQ", "Q", "QQ==\n", " QQ==", "QQ==QQ==", "Q-_=", "!!!!", "é==="])
def test_base64_that_is_not_strict_is_refused(text):
    with pytest.raises(ValueError, match="base64"):
        decode_content(text, "base64")
