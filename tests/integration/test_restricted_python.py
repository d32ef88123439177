"""RestrictedPython through the whole stack: a policy inside the sandbox, never its boundary."""

import statistics
import time
import uuid

import pytest

from tests.harness import Api, refused_fields
from tests.restricted_escapes import ESCAPES
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
    assert on["message"] == POLICY + "line 2: the attribute __class__ is not allowed"


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


def test_every_known_escape_is_rejected(api: Api) -> None:
    accepted = [
        api.submit(
            escape.source,
            security_profile="minimal",
            execution_limits={"max_memory_mb": 64, "max_cpu_percent": 100},
        )["id"]
        for escape in ESCAPES
    ]
    through = []
    for escape, identifier in zip(ESCAPES, accepted, strict=True):
        execution = api.outcome(identifier, timeout=110)
        said = execution["message"] or ""
        if verdict(execution) != REFUSED or f"line {escape.line}: " not in said:
            through.append((escape.name, verdict(execution), said))
    assert through == []
    assert len(accepted) >= 25


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


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n" * 150_000,
        "a" + ".b" * 400_000,
        "x = " + "(" * 90_000 + ")" * 90_000,
        "x = " + "-" * 500_000 + "1",
    ],
    ids=["many lines", "long chain", "parentheses", "signs"],
)
def test_source_that_is_slow_to_check_ends_by_its_limits(api: Api, source: str) -> None:
    began = time.monotonic()
    execution = api.run(
        source, security_profile="minimal", execution_limits={"max_execution_time_seconds": 3}
    )
    assert time.monotonic() - began < 30
    assert verdict(execution) in [
        ("succeeded", None),
        ("timed_out", "time_limit"),
        ("failed", "oom_killed"),
        ("failed", "exit_nonzero"),
        ("failed", "signal"),
        REFUSED,
    ], execution
    assert (execution["usage"]["wall_seconds"] or 0) < 6


def test_the_policy_costs_little_time(api: Api) -> None:
    def seconds(policy: bool) -> float:
        runs = [
            api.run("print(1)", security_profile="minimal", restricted_python=policy)
            for _ in range(5)
        ]
        return statistics.median(run["usage"]["wall_seconds"] for run in runs)

    # Ten times what was measured; it shows a mistake such as a recompilation at each start.
    assert seconds(True) - seconds(False) < 2
