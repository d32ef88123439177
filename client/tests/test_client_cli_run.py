"""`agentcore run` and `submit`."""

import hashlib
import json

import httpx
import pytest


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "job.py"
    path.write_text("print(1)")
    return str(path)


@pytest.fixture
def server(api, ended, path):
    """Let the server take an execution that ends as the given fields say."""

    def prepare(**fields):
        api.answer("POST", "/v1/executions", ended(status="queued", finished_at=None))
        api.answer("GET", path(), ended(**fields))

    prepare()
    return prepare


@pytest.fixture
def on_a_terminal(monkeypatch):
    monkeypatch.setattr("agentcore_client.cli.output.is_terminal", lambda stream: True)
    monkeypatch.setattr("agentcore_client.cli.running.is_terminal", lambda stream: True)


def test_a_pipe_gets_the_very_bytes_on_each_stream(agentcore, server, script, stream):
    server(stdout=stream("\x1b[31m\ufffd", base64="G1szMW3/"), stderr=stream("[bold]e\r"))
    result = agentcore("run", script)
    assert result.exit_code == 0
    assert result.stdout_bytes == b"\x1b[31m\xff"
    assert result.stderr_bytes == b"[bold]e\r"


def test_a_terminal_gets_no_escapes(agentcore, server, script, stream, on_a_terminal):
    server(
        stdout=stream("\x1b]0;t\x07[bold]x\n", base64="G10wO3QHW2JvbGRdeP8K"),
        stderr=stream("\x9b31m:boom:"),
        message="\x1b[1mdone",
    )
    result = agentcore("run", script)
    assert result.stdout == "\\x1b]0;t\\x07[bold]x\\xff\n"
    assert "\\x9b31m:boom:" in result.stderr
    assert "\\x1b[1mdone" in result.stderr
    assert "\x9b" not in result.stderr


def test_the_programs_exit_code_is_ours(agentcore, server, script):
    server(status="failed", reason="exit_nonzero", exit_code=3)
    result = agentcore("run", script)
    assert (result.exit_code, result.stderr) == (3, "")


def test_an_outcome_that_the_code_does_not_tell_is_told(agentcore, server, script):
    server(status="timed_out", reason="time_limit", message="30 s were\nover", exit_code=None)
    result = agentcore("run", script)
    assert result.exit_code == 124
    assert "timed_out (time_limit): 30 s were\\nover" in result.stderr
    assert result.stderr.count("\n") == 1


def test_cut_output_is_told(agentcore, server, script, stream):
    server(stdout=stream("ab", total_bytes=9000, truncated=True))
    assert "stdout was cut: 2 of 9000 bytes" in agentcore("run", script).stderr


def test_json_prints_the_servers_json_and_nothing_else(agentcore, server, script, ended, stream):
    server(stdout=stream("\x9b"), status="failed", exit_code=7, from_the_future=[1])
    result = agentcore("run", "--json", script)
    assert result.exit_code == 7
    told = json.loads(result.stdout)
    assert told == ended(stdout=stream("\x9b"), status="failed", exit_code=7, from_the_future=[1])
    assert result.stdout.isascii()


def test_everything_after_the_file_is_the_programs(agentcore, server, api, script):
    agentcore("run", "--timeout", "5", script, "--timeout", "9", "-x", "--", "y")
    [body] = api.bodies()
    assert body["args"] == ["--timeout", "9", "-x", "--", "y"]
    assert body["execution_limits"] == {"max_execution_time_seconds": 5}
    assert body["resource_limits"] == {"max_execution_time_seconds": 5}


def test_a_plain_run_sends_no_more_than_the_source(agentcore, server, api, script):
    agentcore("run", script)
    assert api.bodies() == [{"source": "print(1)"}]


def test_a_command_is_run_without_a_shell(agentcore, server, api):
    assert agentcore("run", "--command", "--", "echo", "-n", "$HOME").exit_code == 0
    assert api.bodies() == [{"command": ["echo", "-n", "$HOME"]}]


def test_source_comes_from_stdin(agentcore, server, api):
    agentcore("run", "-", "a", input="print(2)")
    assert api.bodies() == [{"source": "print(2)", "args": ["a"]}]


def test_every_option_arrives(agentcore, server, api, script, tmp_path):
    (tmp_path / "in.bin").write_bytes(b"\xff")
    (tmp_path / "env").write_text("# comment\n\nA=1=2\r\nB= x \n")
    args = ["run", "--profile", "minimal", "--image", "python", "--memory", "64", "--cpu", "0.25"]
    args += ["--processes", "3", "--network", "restricted", "--allow-host", "a.test"]
    args += ["--network-requests", "7"]
    args += ["--allow-host", "10.0.0.0/8", "--env", "C=3", "--env-from-file", f"{tmp_path}/env"]
    args += ["--file", f"{tmp_path}/in.bin:data/in.bin", "--file", script, "--label", "team=x=y"]
    args += ["--stdin", f"{tmp_path}/in.bin", "--priority", "0", "--no-restricted-python"]
    args += ["--security-options", '{"blocked_syscalls": ["link"]}']
    args += ["--max-attempts", "2", script]
    result = agentcore(*args)
    assert result.exit_code == 0, result.stderr
    assert api.bodies() == [
        {
            "source": "print(1)",
            "security_profile": "minimal",
            "security_options": {"blocked_syscalls": ["link"]},
            "image": "python",
            "execution_limits": {
                "max_memory_mb": 64,
                "max_cpu_percent": 25,
                "max_processes": 3,
                "max_network_requests": 7,
            },
            "resource_limits": {
                "max_memory_mb": 64,
                "max_cpu_cores": 0.25,
                "network_access": "restricted",
            },
            "allowed_hosts": ["a.test", "10.0.0.0/8"],
            "environment": {"A": "1=2", "B": " x ", "C": "3"},
            "files": [
                {"path": "data/in.bin", "content": "/w==", "encoding": "base64"},
                {"path": "job.py", "content": "print(1)", "encoding": "utf-8"},
            ],
            "labels": {"team": "x=y"},
            "stdin": "/w==",
            "stdin_encoding": "base64",
            "priority": 0,
            "restricted_python": False,
            "max_attempts": 2,
        }
    ]


def test_an_agents_tool_is_run_with_arguments(agentcore, server, api):
    result = agentcore("run", "--agent", "a", "--tool", "t", "--tool-arguments", '{"x": [1]}')
    assert result.exit_code == 0, result.stderr
    assert api.bodies() == [{"agent": "a", "tool": {"name": "t", "arguments": {"x": [1]}}}]


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["run"], "FILE"),
        (["run", "/no/such/file"], "cannot read /no/such/file"),
        (["run", "--env", "SECRETVALUE", "-"], "--env"),
        (["run", "--stdin", "-", "-"], "--stdin"),
        (["run", "--tool", "t", "-"], "--agent"),
        (["run", "--command", "--agent", "a", "x"], "--command"),
        (["run", "--priority", "10", "-"], "--priority"),
        (["run", "--security-options", "{", "-"], "--security-options"),
        (["run", "--security-options", "[]", "-"], "--security-options"),
        (["run", "--agent", "a", "--tool", "t", "--tool-arguments", "1"], "--tool-arguments"),
        (["run", "--key", "ac_a_b", "-"], "No such option"),
    ],
)
def test_a_wrong_command_line_exits_with_2_and_names_what(agentcore, api, args, named):
    result = agentcore(*args, input="1")
    assert result.exit_code == 2
    assert named in result.stderr
    assert "SECRETVALUE" not in result.stderr
    assert "Traceback" not in result.stderr
    assert api.requests == []


def test_a_wrong_value_is_refused_before_sending(agentcore, api, script):
    result = agentcore("run", "--env", "1X=hunter2", script)
    assert result.exit_code == 125
    assert "1X" in result.stderr
    assert "hunter2" not in result.stderr
    assert api.requests == []


@pytest.mark.parametrize("args", [["run", "--detach"], ["submit"]])
def test_submitting_prints_the_id_and_does_not_wait(agentcore, server, api, ended, script, args):
    result = agentcore(*args, script)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{ended()['id']}\n", "")
    assert len(api.requests) == 1


def test_ctrl_c_cancels_the_execution_and_exits_with_130(
    agentcore, server, api, ended, path, script
):
    api.answer("GET", path(), KeyboardInterrupt())
    api.answer("POST", path("cancel"), httpx.Response(202, json=ended(status="running")))
    result = agentcore("run", script)
    assert result.exit_code == 130
    assert f"cancelled execution {ended()['id']}" in result.stderr
    assert [request.url.path for request in api.requests][-1] == path("cancel")


def test_ctrl_c_after_the_end_says_so(agentcore, server, api, path, script):
    api.answer("GET", path(), KeyboardInterrupt())
    api.answer("POST", path("cancel"), httpx.Response(409, json={"title": "ended"}))
    result = agentcore("run", script)
    assert result.exit_code == 130
    assert "had ended already" in result.stderr


def test_a_lost_server_exits_with_125_and_names_the_execution(
    agentcore, server, api, ended, path, script
):
    api.answer("GET", path(), httpx.ConnectError("refused"))
    result = agentcore("run", script)
    assert result.exit_code == 125
    assert ended()["id"] in result.stderr
    assert "cannot reach" in result.stderr
    assert "Traceback" not in result.stderr


def test_artifacts_are_saved(agentcore, server, api, ended, path, script, tmp_path):
    item = {"path": "out/a", "size": 1, "sha256": hashlib.sha256(b"1").hexdigest()}
    server(artifacts=[item])
    api.answer("GET", path("artifacts"), {"items": [item]})
    api.answer("GET", path("artifacts", "out/a"), httpx.Response(200, content=b"1"))
    out = tmp_path / "results"
    assert agentcore("run", "--output-dir", str(out), script).exit_code == 0
    assert (out / "out/a").read_bytes() == b"1"
    again = agentcore("run", "--output-dir", str(out), script)
    assert again.exit_code == 2
    assert "not an empty folder" in again.stderr
    assert agentcore("run", "--overwrite", "--output-dir", str(out), script).exit_code == 0
