"""`agentcore batch` and `results`."""

import functools
import json
import sys
import threading

import httpx
import pytest
from agentcore_client.cli import progress
from rich.console import Console


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "job.py"
    path.write_text("print(input())")
    return str(path)


@pytest.fixture
def lines(tmp_path):
    """Write a file of inputs."""

    def write(content="a\nb\n"):
        path = tmp_path / "inputs.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


@pytest.fixture
def server(api, ended, path, result, results):
    """Let the server take a batch of two with these results."""

    def prepare(*told, **fields):
        counts = {"inputs": 2, "succeeded": 2, "failed": 0, "timed_out": 0}
        api.answer("POST", "/v1/executions", ended(status="queued", batch={"inputs": 2}))
        api.answer("GET", path("results", "stream"), results(*told))
        api.answer("GET", path(), ended(**{"batch": counts, **fields}))

    prepare(result(0, "a\n"), result(1, "b\n"))
    return prepare


@pytest.fixture
def terminals(monkeypatch):
    """Let these streams be screens."""

    def choose(*names):
        def chosen(stream):
            return any(stream is getattr(sys, name) for name in names)

        for module in ("output", "batches", "progress"):
            monkeypatch.setattr(f"agentcore_client.cli.{module}.is_terminal", chosen)

    return choose


def test_each_line_is_an_input_and_outputs_are_printed_in_order(
    agentcore, server, api, script, lines
):
    done = agentcore("batch", "--inputs", lines("a\n\nü\r\n"), script, "-v")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "a\nb\n", "")
    assert api.bodies() == [
        {
            "source": "print(input())",
            "args": ["-v"],
            "inputs": ["a", "", "ü"],
            "stdin_encoding": "utf-8",
        }
    ]


def test_inputs_come_from_stdin_and_every_limit_arrives(agentcore, server, api, script):
    args = ["--input-timeout", "2", "--max-output", "100", "--timeout", "60", "--memory", "64"]
    done = agentcore("batch", "--inputs", "-", *args, script, input="1\n2")
    assert done.exit_code == 0, done.stderr
    [body] = api.bodies()
    assert body["inputs"] == ["1", "2"]
    assert (body["input_timeout_seconds"], body["input_max_output_bytes"]) == (2, 100)
    assert body["execution_limits"] == {"max_execution_time_seconds": 60, "max_memory_mb": 64}


def test_bytes_that_are_no_text_travel_as_base64_all_of_them(agentcore, server, api, script, lines):
    agentcore("batch", "--inputs", lines(b"\xff\na\n"), script)
    [body] = api.bodies()
    assert (body["inputs"], body["stdin_encoding"]) == (["/w==", "YQ=="], "base64")


def test_what_failed_is_told_and_the_exit_code_says_so(
    agentcore, server, script, lines, result, stream
):
    failed = {"status": "failed", "reason": "exit_nonzero", "exit_code": 3}
    counts = {"inputs": 3, "succeeded": 1, "failed": 1, "timed_out": 0}
    server(result(0, "a\n"), result(1, stderr=stream("boom\x1b[1m\n"), **failed), batch=counts)
    done = agentcore("batch", "--inputs", lines(), script)
    assert (done.exit_code, done.stdout) == (1, "a\n")
    told = done.stderr.splitlines()
    assert told[0] == "boom\x1b[1m"  # to a pipe, the very bytes
    assert told[1] == "agentcore: input 1: failed (exit_nonzero, exit code 3)"
    assert "1 succeeded, 1 failed, 0 timed out, 1 without a result" in told[2]


def test_a_terminal_gets_no_escapes(agentcore, server, script, lines, result, terminals):
    terminals("stdout", "stderr")
    server(result(0, "\x1b]0;t\x07[bold]x\n"), result(1, status="timed_out", reason="time_limit"))
    done = agentcore("batch", "--inputs", lines(), script)
    assert done.stdout == "\\x1b]0;t\\x07[bold]x\n"
    assert "input 1: timed_out (time_limit)" in done.stderr


def test_json_prints_one_line_for_each_result_as_the_server_told_it(
    agentcore, server, script, lines, result
):
    told = [result(0, "\u2028\x9b"), result(1, result={"a": None}, news=1)]
    server(*told)
    done = agentcore("batch", "--json", "--inputs", lines(), script)
    assert [json.loads(line) for line in done.stdout.splitlines()] == told
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"status": "timed_out", "reason": "time_limit"}, 124),
        ({"status": "cancelled"}, 130),
        ({"status": "lost", "reason": "worker_lost"}, 125),
    ],
)
def test_a_batch_that_did_not_end_well_exits_as_run_does(
    agentcore, server, script, lines, result, fields, code
):
    server(result(0), **fields)
    done = agentcore("batch", "--inputs", lines(), script)
    assert done.exit_code == code
    assert f"{fields['status']}" in done.stderr


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["job.py"], "--inputs"),
        (["job.py", "--inputs", "x"], "comes before FILE"),
        (["--inputs", "/no/such/file", "-"], "cannot read /no/such/file"),
        (["--inputs", "-", "-"], "--inputs"),
        (["--inputs", "/dev/null", "-"], "has 0 lines"),
        (["--inputs", "-"], "FILE"),
        (["--inputs", "-", "--stdin", "x", "y"], "No such option"),
        (["--inputs", "-", "--agent", "a", "--tool", "t"], "No such option"),
        (["--inputs", "-", "--input-timeout", "0", "x"], "--input-timeout"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_names_what(agentcore, api, args, named):
    done = agentcore("batch", *args, input="a\n")
    assert done.exit_code == 2
    assert named in done.stderr
    assert api.requests == []


def test_too_many_lines_are_refused_before_anything_is_sent(agentcore, api, script, lines):
    done = agentcore("batch", "--inputs", lines("x\n" * 10_001), script)
    assert done.exit_code == 2
    assert "has 10001 lines; a batch takes 1 to 10000" in done.stderr.replace("\n", " ")
    assert api.requests == []


def test_detach_prints_the_id_and_results_follow_it_later(
    agentcore, server, api, ended, script, lines
):
    done = agentcore("batch", "--detach", "--inputs", lines(), script)
    assert (done.exit_code, done.stdout) == (0, f"{ended()['id']}\n")
    assert len(api.requests) == 1
    later = agentcore("results", ended()["id"], "--after", "0")
    assert (later.exit_code, later.stdout) == (0, "a\nb\n")
    [stream] = [request for request in api.requests if request.url.path.endswith("/stream")]
    assert stream.url.params["after"] == "0"


def test_ctrl_c_cancels_the_batch(agentcore, server, api, ended, path, script, lines):
    api.answer("GET", path("results", "stream"), KeyboardInterrupt())
    api.answer("POST", path("cancel"), httpx.Response(202, json=ended(status="running")))
    done = agentcore("batch", "--inputs", lines(), script)
    assert done.exit_code == 130
    assert f"cancelled execution {ended()['id']}" in done.stderr


def test_a_lost_server_names_the_execution(agentcore, server, api, ended, path, script, lines):
    api.answer("GET", path("results", "stream"), httpx.ConnectError("refused"))
    done = agentcore("batch", "--inputs", lines(), script)
    assert done.exit_code == 125
    assert ended()["id"] in done.stderr


def test_a_bar_counts_on_a_screen_while_results_go_elsewhere(
    agentcore, server, api, path, script, lines, result, results, terminals, monkeypatch
):
    shown = threading.Event()
    terminals("stderr")
    monkeypatch.setattr(progress, "SLOW_SECONDS", 0)
    screen = functools.partial(Console, force_terminal=True, width=100)
    monkeypatch.setattr(progress, "console", lambda stream: screen(file=stream))
    start = progress.Progress.start
    monkeypatch.setattr(progress.Progress, "start", lambda bar: (start(bar), shown.set()))

    def slow(_):
        assert shown.wait(30)
        return results(result(0, "a\n"), result(1, status="failed", reason="signal", signal=9))

    api.answer("GET", path("results", "stream"), slow)
    done = agentcore("batch", "--inputs", lines(), script)
    assert done.stdout == "a\n"
    assert "2/2" in done.stderr
    assert "1 not succeeded" in done.stderr
    assert "input 1: failed (signal, signal 9)" in done.stderr


def test_status_tells_how_far_a_batch_is(agentcore, server, ended):
    done = agentcore("status", ended()["id"])
    assert "2 inputs: 2 succeeded, 0 failed, 0 timed out" in done.stdout
    assert f"agentcore results {ended()['id']}" in agentcore("logs", ended()["id"]).stderr


def test_the_help_teaches(agentcore):
    told = agentcore("batch", "--help").stdout
    for words in ("--inputs", "Examples:", "Exit codes:", "is for all runs together"):
        assert words in told
