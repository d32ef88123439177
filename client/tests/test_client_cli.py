"""The other commands, and what all have in common."""

import json
import os
import subprocess
import sys

import httpx
import pytest
from agentcore_client.cli import app

SECRET_PART = "s3cr3tpart"


def audit_json(identifier, **changes):
    event = {
        "execution_id": identifier,
        "sequence": 1,
        "kind": "submitted\x1b[2J",
        "recorded_at_us": 1_767_323_045_000_000,
        "data": {"note": "[bold]x[/bold]"},
        "hash": "ab" * 32,
        "previous_hash": "00" * 32,
    }
    return {"items": [event], "intact": True, "broken_at": None} | changes


def test_status_shows_hostile_words_in_one_harmless_line(agentcore, api, ended, path):
    api.answer("GET", path(), ended(message="[red]\x1b[2J\nfake: line", labels={"a": "[b]"}))
    result = agentcore("status", ended()["id"])
    assert result.exit_code == 0
    assert r"message    [red]\x1b[2J\nfake: line" in result.stdout
    assert "a=[b]" in result.stdout


def test_list_shows_a_table_and_how_to_go_on(agentcore, api, ended):
    page = {"items": [ended(labels={"k": "[bold]\x9b1m:smile:"})], "next_cursor": "next-1"}
    api.answer("GET", "/v1/executions", page)
    result = agentcore("list", "--status", "succeeded", "--profile", "standard", "--limit", "3")
    assert ended()["id"] in result.stdout
    assert r"k=[bold]\x9b1m:smile:" in result.stdout
    assert "--cursor next-1" in result.stderr
    sent = {"status": "succeeded", "security_profile": "standard", "limit": "3"}
    assert dict(api.requests[0].url.params) == sent


@pytest.mark.parametrize(
    ("option", "stdout", "stderr"),
    [([], "out", "err"), (["--stdout"], "out", ""), (["--stderr"], "", "err")],
)
def test_logs_prints_each_stream_where_it_belongs(
    agentcore, api, ended, path, stream, option, stdout, stderr
):
    api.answer("GET", path(), ended(stdout=stream("out"), stderr=stream("err")))
    result = agentcore("logs", ended()["id"], *option)
    assert (result.stdout, result.stderr) == (stdout, stderr)


def test_logs_of_a_running_execution_say_so(agentcore, api, ended, path):
    running = ended(status="running", finished_at=None, stdout=None, stderr=None)
    api.answer("GET", path(), running)
    result = agentcore("logs", ended()["id"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "is running" in result.stderr


def test_cancel_of_an_ended_execution_tells_its_status(agentcore, api, ended, path):
    problem = {"title": "Conflict", "execution_status": "succeeded"}
    api.answer("POST", path("cancel"), httpx.Response(409, json=problem))
    result = agentcore("cancel", ended()["id"])
    assert result.exit_code == 125
    assert "it is succeeded" in result.stderr


def test_an_intact_audit_trail_exits_with_0(agentcore, api, ended, path):
    api.answer("GET", path("events"), audit_json(ended()["id"]))
    result = agentcore("audit", ended()["id"])
    assert result.exit_code == 0
    assert "chain intact: 1 events" in result.stdout
    assert r"submitted\x1b[2J" in result.stdout
    assert "[bold]x[/bold]" in result.stdout


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_broken_audit_trail_exits_with_1(agentcore, api, ended, path, option):
    api.answer("GET", path("events"), audit_json(ended()["id"], intact=False, broken_at=1))
    result = agentcore("audit", ended()["id"], *option)
    assert result.exit_code == 1
    assert "BROKEN at event 1" in result.stderr


def test_artifacts_are_listed(agentcore, api, ended, path):
    item = {"path": "[b]\x1b", "size": 3, "sha256": "ab" * 32}
    api.answer("GET", path("artifacts"), {"items": [item]})
    result = agentcore("artifacts", ended()["id"])
    assert r"[b]\x1b" in result.stdout
    assert "ab" * 32 in result.stdout


def test_profiles_tell_which_are_enabled(agentcore, api):
    item = {"profile_name": "minimal", "enabled": False, "description": "[i]d"}
    api.answer("GET", "/v1/profiles", {"items": [item]})
    row = agentcore("profiles").stdout.splitlines()[1]
    assert row.split()[:2] == ["minimal", "no"]
    assert "[i]d" in row


def test_an_agent_is_put_from_toml_and_json_and_deleted(agentcore, api, tmp_path):
    stored = {"name": "a", "version": 1, "config": {"source": "1"}, "created_at": "2026-01-02"}
    api.answer("PUT", "/v1/agents/a", httpx.Response(201, json=stored))
    api.answer("DELETE", "/v1/agents/a", httpx.Response(204))
    (tmp_path / "a.toml").write_text('source = "1"\n')
    assert agentcore("agents", "put", "a", str(tmp_path / "a.toml")).stdout == "a version 1\n"
    assert agentcore("agents", "put", "a", "-", input='{"source": "1"}').exit_code == 0
    assert api.bodies() == [{"source": "1"}] * 2
    assert agentcore("agents", "delete", "a").exit_code == 2
    assert agentcore("agents", "delete", "a", "--yes").exit_code == 0


def test_get_prints_a_configuration_that_put_takes(agentcore, api):
    stored = {"name": "a", "version": 1, "config": {"source": "é\x9b"}, "created_at": "2026-01-02"}
    api.answer("GET", "/v1/agents/a", stored)
    result = agentcore("agents", "get", "a")
    assert json.loads(result.stdout) == stored["config"]
    assert result.stdout.isascii()


@pytest.mark.parametrize(
    ("args", "answer"),
    [
        (["status", "ID"], {}),
        (["list"], {"items": [], "next_cursor": None, "new": 1}),
        (["cancel", "ID"], {}),
        (["artifacts", "ID"], {"items": [], "new": 1}),
        (["audit", "ID"], {"items": [], "intact": True, "broken_at": None, "new": 1}),
        (["profiles"], {"items": [], "new": 1}),
        (["agents", "list"], {"items": [], "new": 1}),
    ],
)
def test_json_is_the_servers_own(agentcore, api, ended, args, answer):
    answer = answer or ended(new=1)
    paths = {"status": "", "cancel": "/cancel", "audit": "/events", "artifacts": "/artifacts"}
    place = f"/v1/executions/{ended()['id']}{paths.get(args[0], '')}"
    if "ID" not in args:
        place = {"list": "/v1/executions", "agents": "/v1/agents"}.get(args[0], "/v1/profiles")
    api.answer("POST" if args[0] == "cancel" else "GET", place, answer)
    words = [ended()["id"] if word == "ID" else word for word in args]
    result = agentcore(*words, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == answer
    assert result.stderr == ""


def test_config_masks_the_key_and_names_the_source(agentcore):
    result = agentcore("config", "--url", "http://other.test")
    assert "ac_public_********" in result.stdout
    assert "AGENTCORE_API_KEY" in result.stdout
    assert "unencrypted" in result.stderr
    assert SECRET_PART not in result.output
    assert json.loads(agentcore("config", "--json").stdout)["key"] == "ac_public_********"


def test_a_key_file_that_others_can_read_is_refused(agentcore, tmp_path):
    file = tmp_path / "key"
    file.write_text("ac_x_hunter2")
    file.chmod(0o644)
    result = agentcore("list", "--key-file", str(file))
    assert result.exit_code == 125
    assert f"chmod 600 {file}" in result.stderr
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "AGENTCORE_API_KEY"),
        (403, "a key that may"),
        (404, "check the id"),
        (422, "try again"),
    ],
)
def test_an_error_is_one_harmless_line_that_says_what_to_do(agentcore, api, status, advice):
    problem = {"title": "No", "detail": "\x1b[2J[bold]\nfake", "errors": [{"field": "f"}]}
    api.answer("GET", "/v1/executions", httpx.Response(status, json=problem))
    result = agentcore("list")
    assert result.exit_code == 125
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert r"\x1b[2J[bold]\nfake" in result.stderr
    assert advice in result.stderr
    assert SECRET_PART not in result.stderr


def test_a_bug_of_ours_is_one_line_too(agentcore, api):
    api.answer("GET", "/v1/executions", ZeroDivisionError("oops"))
    result = agentcore("list")
    assert result.exit_code == 125
    assert "internal error (ZeroDivisionError: oops)" in result.stderr
    assert "Traceback" not in result.stderr


def test_every_command_explains_itself(agentcore):
    top = agentcore("--help")
    for name in app.registered_commands:
        assert f"\n  {name.name} " in top.stdout
        help_text = agentcore(str(name.name), "--help")
        assert help_text.exit_code == 0
        assert "--json" in help_text.stdout
        assert "--key-file" in help_text.stdout
    assert "Exit codes" in agentcore("run", "--help").stdout


def test_the_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "agentcore_client", "--version"], capture_output=True, check=True
    )
    assert done.stdout.startswith(b"agentcore-client ")


def test_a_reader_that_goes_away_is_no_error_worth_words():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "agentcore_client", "config"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_the_package_imports_nothing_of_the_server():
    ours = ("models", "api", "worker", "security_profiles", "deploy")
    code = "import agentcore_client.cli, sys; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert not set(ours) & set(done.stdout.split())
