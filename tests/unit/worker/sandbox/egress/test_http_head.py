"""Heads of HTTP messages: what is well formed is read, what two readers could read is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.egress import http_head
from worker.sandbox.egress.errors import BadRequestError


def request(*lines: bytes, first: bytes = b"GET http://a.test/ HTTP/1.1") -> http_head.Request:
    return http_head.parse_request(b"\r\n".join([first, *lines]))


def test_a_request_is_read():
    read = request(b"Host: a.test", b"X-One: \t two words \t", b"x-empty:")
    assert (read.method, read.target, read.minor) == ("GET", "http://a.test/", 1)
    assert read.fields == (("Host", "a.test"), ("X-One", "two words"), ("x-empty", ""))


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"GET",
        b"GET http://a.test/",
        b"GET  http://a.test/ HTTP/1.1",
        b"GET http://a.test/ HTTP/1.1 ",
        b" GET http://a.test/ HTTP/1.1",
        b"GET http://a.test/ x HTTP/1.1",
        b"GET\thttp://a.test/ HTTP/1.1",
        b"GET http://a.test/ HTTP/2.0",
        b"GET http://a.test/ HTTP/1.2",
        b"GET http://a.test/ http/1.1",
        b"GET http://a.test/ HTTP/1.1\x00",
        b"G\x00T http://a.test/ HTTP/1.1",
        b"G(T http://a.test/ HTTP/1.1",
        b"GET http://a.test/\x00 HTTP/1.1",
        b"GET http://a.test/\xc3\xa4 HTTP/1.1",
        b"GET http://a.test/\r HTTP/1.1",
        b"A" * 33 + b" http://a.test/ HTTP/1.1",
        b"GET http://a.test/" + b"a" * http_head.MAX_TARGET + b" HTTP/1.1",
    ],
)
def test_a_malformed_request_line_is_refused(first):
    with pytest.raises(BadRequestError):
        request(first=first)


@pytest.mark.parametrize(
    "line",
    [
        b"no colon",
        b": no name",
        b" folded: yes",
        b"\tfolded",
        b"",
        b"Space : before colon",
        b"Spa ce: inside",
        b"N\x00L: name",
        b"Value: with \x00",
        b"Value: with \r alone",
        b"Value: with \x0b",
        b"Value: with \x7f",
        b"N\xc3\xa4me: not ASCII",
        b"a" * 257 + b": too long a name",
    ],
)
def test_a_malformed_header_line_is_refused(line):
    with pytest.raises(BadRequestError):
        request(b"Host: a.test", line)


def test_more_header_lines_than_the_cap_are_refused():
    lines = [b"X-%d: 1" % number for number in range(http_head.MAX_FIELDS)]
    assert len(request(*lines).fields) == http_head.MAX_FIELDS
    with pytest.raises(BadRequestError):
        request(*lines, b"One: more")


def test_a_long_run_of_spaces_costs_no_time():
    # A pattern that backtracks would take minutes for this.
    with pytest.raises(BadRequestError):
        request(b"X: " + b" " * 30_000 + b"a" + b" " * 30_000 + b"\x00")


@pytest.mark.parametrize("data", [b"GET\n", b"\n", b"GET x\r\nA: b\nC: d\r\n\r\n", b"a\r\n\nb"])
def test_a_bare_line_feed_is_refused_as_soon_as_it_is_seen(data):
    with pytest.raises(BadRequestError):
        http_head.find_end(data, 0)


def test_the_end_is_found_however_the_bytes_arrive():
    head = b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n"
    for cut in range(len(head)):
        assert http_head.find_end(head[:cut], 0) == -1
        assert http_head.find_end(head + b"body\n", cut) == len(head) - 4


@pytest.mark.parametrize(
    ("lines", "length"),
    [
        ([], 0),
        ([b"Content-Length: 0"], 0),
        ([b"Content-Length: 12"], 12),
        ([b"Content-Length: 0012"], 12),
        ([b"Transfer-Encoding: chunked"], None),
        ([b"Transfer-Encoding: CHUNKED"], None),
    ],
)
def test_a_body_is_announced_once(lines, length):
    assert http_head.body_length(request(*lines).fields, 1) == length


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 1", b"Content-Length: 2"],
        [b"Content-Length: 1", b"content-length: 1"],
        [b"Content-Length: 1, 1"],
        [b"Content-Length: +1"],
        [b"Content-Length: -1"],
        [b"Content-Length: 0x1"],
        [b"Content-Length: 1 2"],
        [b"Content-Length: 1_000"],
        [b"Content-Length: \xb2"],
        [b"Content-Length:"],
        [b"Content-Length: " + b"9" * 19],
        [b"Content-Length: 1", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, identity"],
        [b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding: \x85chunked"],
        [b"Transfer-Encoding:"],
    ],
)
def test_a_body_that_two_readers_could_measure_in_two_ways_is_refused(lines):
    with pytest.raises(BadRequestError):
        http_head.body_length(request(*lines).fields, 1)


def test_http_1_0_knows_no_chunks():
    with pytest.raises(BadRequestError):
        http_head.body_length(request(b"Transfer-Encoding: chunked").fields, 0)


def test_lines_for_one_hop_are_not_passed_on():
    read = request(
        b"Connection: X-Mine, close",
        b"X-Mine: 1",
        b"Keep-Alive: 5",
        b"Proxy-Authorization: Basic x",
        b"Proxy-Connection: keep-alive",
        b"TE: trailers",
        b"Upgrade: h2c",
        b"Accept: */*",
        b"Cookie: a=b",
    )
    kept = http_head.end_to_end(read.fields, "cookie")
    assert kept == (("Accept", "*/*"),)


def test_a_client_cannot_have_the_framing_removed():
    read = request(b"Connection: Content-Length, Host, close", b"Content-Length: 5", b"Host: a")
    kept = dict(http_head.end_to_end(read.fields))
    assert kept == {"Content-Length": "5", "Host": "a"}


def test_a_response_is_read():
    read = http_head.parse_response(b"HTTP/1.1 404 Not Found\r\nA: b")
    assert (read.status, read.phrase, read.fields) == (404, "Not Found", (("A", "b"),))
    assert http_head.parse_response(b"HTTP/1.0 200").phrase == ""


@pytest.mark.parametrize(
    "head", [b"", b"HTTP/1.1", b"HTTP/1.1 20", b"HTTP/1.1 2000 OK", b"HTTP/2 200", b"ICY 200 OK"]
)
def test_a_malformed_status_line_is_refused(head):
    with pytest.raises(BadRequestError):
        http_head.parse_response(head)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data):
    for parse in (http_head.parse_request, http_head.parse_response):
        with contextlib.suppress(BadRequestError):
            parse(data)


FIELD_NAMES = st.from_regex(r"[A-Za-z0-9-]{1,20}", fullmatch=True)
FIELD_VALUES = st.from_regex(r"([!-~]([ -~]{0,20}[!-~])?)?", fullmatch=True)


@given(st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=20))
def test_what_is_written_is_read_back_the_same(fields):
    data = http_head.written("POST /x HTTP/1.1", tuple(fields))
    assert data.endswith(b"\r\n\r\n")
    assert http_head.parse_request(data[:-4]).fields == tuple(fields)
