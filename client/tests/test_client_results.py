"""Results of a batch: yielded as they come, each once, whatever happens to the connection."""

import httpx
import pytest
from agentcore_client import (
    ConflictError,
    ConnectionFailedError,
    InvalidArgumentError,
    NotFoundError,
    Status,
    UnexpectedAnswerError,
)


@pytest.fixture
def stream(path):
    return path("results", "stream")


@pytest.fixture
def execution_id(path):
    return path().rsplit("/", 1)[1]


def asked_after(api):
    return [request.url.params["after"] for request in api.requests]


def test_inputs_are_sent_and_the_summary_is_read(api, client, ended):
    counts = {"inputs": 2, "succeeded": 1, "failed": 0, "timed_out": 0}
    api.answer("POST", "/v1/executions", ended(batch=counts))
    execution = client.submit(source="x", inputs=["a", "é"], input_timeout_seconds=2)
    assert api.bodies() == [{"source": "x", "inputs": ["a", "é"], "input_timeout_seconds": 2}]
    assert (execution.batch.inputs, execution.batch.ended) == (2, 1)


@pytest.mark.parametrize("inputs", [[], ["a"] * 10_001, ["\x00"], "abc"])
def test_wrong_inputs_are_refused_before_they_are_sent(api, client, inputs):
    with pytest.raises(InvalidArgumentError, match="inputs"):
        client.submit(source="x", inputs=inputs)
    assert api.requests == []


def test_results_come_in_order_until_the_batch_is_complete(
    api, client, stream, execution_id, result, results
):
    failed = result(1, status="failed", reason="exit_nonzero", exit_code=3, result={"a": [1]})
    api.answer("GET", stream, results(result(0, "zero\n"), failed))
    one, other = client.results(execution_id)
    assert (one.index, one.stdout.text, one.succeeded) == (0, "zero\n", True)
    assert (other.status, other.exit_code, other.result) == (Status.FAILED, 3, {"a": [1]})
    assert other.raw == failed
    assert asked_after(api) == ["-1"]


def test_only_a_line_feed_ends_a_line(api, client, stream, execution_id, result, results):
    text = "a\u2028b\x85c\u2029d"
    api.answer("GET", stream, results(result(0, text)))
    assert [item.stdout.text for item in client.results(execution_id)] == [text]


def test_a_line_may_come_in_pieces_between_empty_ones(
    api, client, stream, execution_id, result, results
):
    whole = results(result(0), result(1)).content

    def pieces():
        yield b"\n\n"
        yield from (whole[place : place + 7] for place in range(0, len(whole), 7))

    api.answer("GET", stream, lambda _: httpx.Response(200, content=pieces()))
    assert [item.index for item in client.results(execution_id)] == [0, 1]


def test_a_connection_that_breaks_is_made_again_from_there(
    api, client, clock, stream, execution_id, result, results
):
    def broken():
        yield results(result(0), result(1), complete=None).content
        raise httpx.ReadError("reset")

    api.answer(
        "GET",
        stream,
        lambda _: httpx.Response(200, content=broken()),
        results(result(2), complete=None),
        httpx.Response(503, json={"title": "Unavailable"}),
        results(result(3), complete=None),
        httpx.ConnectError("refused"),
        results(result(4)),
    )
    assert [item.index for item in client.results(execution_id)] == [0, 1, 2, 3, 4]
    assert asked_after(api) == ["-1", "1", "2", "2", "3", "3"]


def test_a_server_that_ends_a_stream_is_asked_again_as_often_as_it_takes(
    api, client, clock, stream, execution_id, result, results
):
    unfinished = [results(complete=False) for _ in range(9)]
    api.answer("GET", stream, *unfinished, results(result(0)))
    assert [item.index for item in client.results(execution_id)] == [0]
    assert clock.pauses == [0.5] * 9


def test_a_server_that_stays_away_is_given_up(api, client, clock, stream, execution_id):
    api.answer("GET", stream, httpx.ConnectError("refused"))
    with pytest.raises(ConnectionFailedError, match="cannot reach"):
        list(client.results(execution_id))
    assert len(api.requests) == 3


@pytest.mark.parametrize(("status", "kind"), [(404, NotFoundError), (409, ConflictError)])
def test_a_refusal_is_raised(api, client, stream, execution_id, status, kind):
    api.answer("GET", stream, httpx.Response(status, json={"title": "No", "detail": "no batch"}))
    with pytest.raises(kind, match="no batch"):
        list(client.results(execution_id))


@pytest.mark.parametrize("line", [b"<html>\n", b"[]\n", b'{"index": "x"}\n', b"[" * 99_999])
def test_what_is_no_stream_of_results_is_no_answer(api, client, stream, execution_id, line):
    api.answer("GET", stream, httpx.Response(200, content=line))
    with pytest.raises(UnexpectedAnswerError):
        list(client.results(execution_id))


def test_a_wrong_id_is_refused_at_once(client):
    with pytest.raises(InvalidArgumentError):
        client.results("../x")


def test_a_page_is_asked_for_with_its_bounds(api, client, path, execution_id, result):
    told = {"items": [result(5)], "next": 5, "complete": False}
    api.answer("GET", path("results"), told)
    page = client.result_page(execution_id, after=4, limit=1, wait=2)
    assert ([item.index for item in page.items], page.next, page.complete) == ([5], 5, False)
    assert dict(api.requests[0].url.params) == {"after": "4", "limit": "1", "wait": "2"}
