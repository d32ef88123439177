"""RestrictedPython through the whole stack: a policy inside the sandbox, never its boundary."""

import uuid

import pytest

from tests.harness import Api, refused_fields
from tests.restricted_programs import EXPECTED, ORDINARY

POLICY = "refused by RestrictedPython, a policy and no security boundary: "
REFUSED = ("rejected", "policy_violation")


def verdict(execution: dict) -> tuple[str, str | None]:
    return execution["status"], execution["reason"]


def test_an_ordinary_program_runs_under_the_policy(api: Api) -> None:
    execution = api.run(
        ORDINARY, security_profile="minimal", args=["x", "y z"], stdin='{"in": [1]}'
    )
    assert verdict(execution) == ("succeeded", None), execution
    assert execution["stdout"]["text"] == "printed-1!\n"
    assert execution["result"] == EXPECTED


def test_the_minimal_profile_has_it_on_and_a_request_turns_it_off(api: Api) -> None:
    source = "import os\nprint(os.getuid())"
    on = api.run(source, security_profile="minimal")
    assert verdict(on) == REFUSED
    assert on["message"] == POLICY + "line 1: import of os is not allowed"
    assert on["stdout"]["text"] == ""
    assert "line 1: import of os is not allowed" in on["stderr"]["text"]
    off = api.run(source, security_profile="minimal", restricted_python=False)
    assert (off["status"], off["stdout"]["text"]) == ("succeeded", "1000\n")


def test_the_standard_profile_has_it_off_and_a_request_turns_it_on(api: Api) -> None:
    source = "print(1)\n().__class__"
    assert api.run(source)["status"] == "succeeded"
    on = api.run(source, restricted_python=True)
    assert verdict(on) == REFUSED
    assert on["message"] == POLICY + "line 2: the attribute __class__ is not allowed; use type(...)"


def test_a_refusal_while_running_keeps_what_was_written_before(api: Api) -> None:
    execution = api.run(
        "open('output/part.txt', 'w').write('part')\nprint('begun')\n'{0.__class__}'.format(1)",
        security_profile="minimal",
    )
    assert verdict(execution) == REFUSED
    assert execution["message"] == POLICY + "line 3: the attribute __class__ is not allowed"
    assert (execution["stdout"]["text"], execution["exit_code"]) == ("begun\n", 1)
    assert [item["path"] for item in execution["artifacts"]] == ["part.txt"]
    events = api.events(execution["id"])
    assert events["items"][-1]["data"]["reason"] == "policy_violation"


def test_an_ordinary_failure_stays_one(api: Api) -> None:
    error = api.run("def f():\n    return {}['absent']\nf()", security_profile="minimal")
    assert verdict(error) == ("failed", "exit_nonzero")
    assert 'File "/workspace/main.py", line 2, in f' in error["stderr"]["text"]
    assert "agentcore" not in error["stderr"]["text"]
    broken = api.run("def broken(:\n", security_profile="minimal")
    assert verdict(broken) == ("failed", "exit_nonzero")
    assert "SyntaxError" in broken["stderr"]["text"]


def test_a_tool_of_an_agent_runs_under_the_policy(api: Api) -> None:
    name = f"tools-{uuid.uuid4().hex[:8]}"
    add = "import json, sys\nprint(sum(json.load(sys.stdin)['numbers']))"
    config = {
        "command": ["python3", "-c", "pass"],
        "tools": [
            {"name": "add", "source": add},
            {"name": "steal", "source": "import socket"},
        ],
        "security_profile": "minimal",
    }
    assert api.put(f"/v1/agents/{name}", json=config).is_success
    done = api.run(agent=name, tool={"name": "add", "arguments": {"numbers": [1, 2]}})
    assert (done["status"], done["stdout"]["text"]) == ("succeeded", "3\n"), done
    assert verdict(api.run(agent=name, tool={"name": "steal", "arguments": {}})) == REFUSED
    # The agent's own command is no Python source: the profile's default does not apply to it.
    assert api.run(agent=name)["status"] == "succeeded"


def test_a_command_cannot_be_run_under_it(api: Api) -> None:
    body = {"command": ["python3", "-c", "1"], "restricted_python": True}
    answer = api.post("/v1/executions", json=body)
    assert answer.status_code == 422
    assert refused_fields(answer) == {"restricted_python"}
    assert "needs source, not command" in answer.text


def test_nothing_that_the_request_brings_changes_what_an_import_means(api: Api) -> None:
    evil = "import os\nprint('imported', os.getuid())"
    execution = api.run(
        "import json, string\nprint(json.dumps([string.digits]))",
        security_profile="minimal",
        files=[{"path": name, "content": evil} for name in ("json.py", "RestrictedPython.py")],
        environment={
            "PYTHONPATH": "/workspace",
            "PYTHONSTARTUP": "/workspace/json.py",
            "PATH": "/workspace",
            "PYTHONHOME": "/nowhere",
        },
    )
    assert verdict(execution) == ("succeeded", None), execution
    assert execution["stdout"]["text"] == '["0123456789"]\n'


def test_no_variable_of_the_request_loads_native_code_or_reaches_the_program(api: Api) -> None:
    mean = {
        "LD_PRELOAD": "/workspace/x.so",
        "LD_AUDIT": "/workspace/x.so",
        "LD_DEBUG": "files",
        "GCONV_PATH": "/workspace",
        "OPENSSL_CONF": "/workspace/openssl.cnf",
    }
    execution = api.run(
        "import hashlib, time\nprint(time.localtime(0).tm_hour)",
        security_profile="standard",
        restricted_python=True,
        files=[{"path": "x.so", "content": "no library"}],
        environment=mean | {"TZ": "Etc/GMT-5"},
    )
    assert verdict(execution) == ("succeeded", None), execution
    # Unable to load such a file, the loader would say so, as it does without the policy.
    assert (execution["stdout"]["text"], execution["stderr"]["text"]) == ("5\n", "")
    without = api.run("print(1)", files=[{"path": "x.so", "content": ""}], environment=mean)
    assert "/workspace/x.so" in without["stderr"]["text"]


def test_source_that_takes_more_than_its_limits_to_check_ends_by_them(api: Api) -> None:
    execution = api.run(
        "x = 1\n" * 150_000,
        security_profile="minimal",
        execution_limits={"max_execution_time_seconds": 3, "max_memory_mb": 128},
    )
    assert verdict(execution) in [("failed", "oom_killed"), ("timed_out", "time_limit")], execution


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("a" + ".b" * 400_000, "RecursionError: "),
        ("x = " + "(" * 90_000 + ")" * 90_000, "SyntaxError: too many nested parentheses"),
        ("x = " + "-" * 500_000 + "1", "MemoryError"),
    ],
    ids=["long chain", "parentheses", "signs"],
)
def test_source_that_python_itself_cannot_compile_fails_with_its_error(
    api: Api, source: str, error: str
) -> None:
    execution = api.run(source, security_profile="minimal")
    assert verdict(execution) == ("failed", "exit_nonzero"), execution
    assert execution["stderr"]["text"].rpartition("\n")[0].rpartition("\n")[2].startswith(error)
