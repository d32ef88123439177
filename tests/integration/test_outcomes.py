"""Every status and reason that a program can reach, reached by a real one."""

import base64
import hashlib
from typing import Any

import pytest

from tests.harness import Api


def test_a_program_that_ends_well_succeeds(api: Api) -> None:
    execution = api.run("import sys; print('hello', sys.argv[1:], sys.stdin.read())",
                        args=["a", "b c"], stdin="in")  # fmt: skip
    assert (execution["status"], execution["reason"], execution["exit_code"]) == (
        "succeeded", None, 0,
    )  # fmt: skip
    assert execution["stdout"]["text"] == "hello ['a', 'b c'] in\n"
    assert execution["stdout"]["total_bytes"] == len(execution["stdout"]["text"])


def test_usage_is_measured(api: Api) -> None:
    execution = api.run(
        "import time\nblock = bytearray(60 * 2**20)\nend = time.process_time() + 0.3\n"
        "while time.process_time() < end: pass"
    )
    usage = execution["usage"]
    assert 60 * 2**20 < usage["peak_memory_bytes"] < 256 * 2**20
    assert 0.3 <= usage["cpu_seconds"] < 2
    assert usage["wall_seconds"] >= 0.3


def test_a_traceback_is_a_failure_with_its_exit_code(api: Api) -> None:
    execution = api.run("def f():\n    return {}['absent']\nf()")
    assert (execution["status"], execution["reason"], execution["exit_code"]) == (
        "failed", "exit_nonzero", 1,
    )  # fmt: skip
    assert "KeyError: 'absent'" in execution["stderr"]["text"]
    assert 'File "/workspace/main.py", line 2, in f' in execution["stderr"]["text"]


def test_source_that_does_not_parse_is_a_result(api: Api) -> None:
    execution = api.run("def broken(:\n")
    assert (execution["status"], execution["reason"]) == ("failed", "exit_nonzero")
    assert "SyntaxError" in execution["stderr"]["text"]


def test_a_signal_ends_the_program(api: Api) -> None:
    execution = api.run("import os; os.kill(os.getpid(), 11)")
    assert (execution["status"], execution["reason"], execution["signal"]) == (
        "failed", "signal", 11,
    )  # fmt: skip


def test_too_much_memory_ends_the_program(api: Api) -> None:
    execution = api.run("block = bytearray(400 * 2**20)", execution_limits={"max_memory_mb": 64})
    assert (execution["status"], execution["reason"]) == ("failed", "oom_killed")


def test_memory_in_a_child_ends_the_child_and_warns(api: Api) -> None:
    execution = api.run(
        "import os\npid = os.fork()\n"
        "if pid == 0:\n    block = bytearray(400 * 2**20)\n    os._exit(0)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
        execution_limits={"max_memory_mb": 64},
    )
    assert execution["status"] == "succeeded"
    assert execution["stdout"]["text"] == "-9\n"
    assert execution["warnings"] == ["a process of the program was ended for memory"]


def test_the_time_limit_ends_the_program_and_keeps_its_output(api: Api) -> None:
    execution = api.run(
        "print('begun', flush=True)\nopen('output/partial.txt', 'w').write('part')\n"
        "while True: pass",
        execution_limits={"max_execution_time_seconds": 1},
    )
    assert (execution["status"], execution["reason"]) == ("timed_out", "time_limit")
    assert execution["stdout"]["text"] == "begun\n"
    assert [item["path"] for item in execution["artifacts"]] == ["partial.txt"]
    assert 1 <= execution["usage"]["wall_seconds"] < 5
    # It span all the time, on half a core as the default limit says.
    assert execution["usage"]["cpu_seconds"] < 0.8 * execution["usage"]["wall_seconds"]


def test_a_running_program_is_cancelled_with_its_output_kept(api: Api) -> None:
    accepted = api.submit("import time\nprint('begun', flush=True)\ntime.sleep(60)")
    api.wait_started(accepted["id"])
    assert api.post(f"/v1/executions/{accepted['id']}/cancel").status_code == 202
    execution = api.outcome(accepted["id"], timeout=10)
    assert (execution["status"], execution["reason"]) == ("cancelled", "cancel_requested")
    assert execution["stdout"]["text"] in ("begun\n", "")


def test_a_cancel_after_the_end_is_refused_with_the_status(api: Api) -> None:
    execution = api.run("pass")
    answer = api.post(f"/v1/executions/{execution['id']}/cancel")
    assert answer.status_code == 409
    assert answer.json()["execution_status"] == "succeeded"


def test_an_absent_command_says_so(api: Api) -> None:
    execution = api.run(command=["no-such-program"])
    assert (execution["status"], execution["reason"]) == ("failed", "command_not_found")
    assert "No such file" in execution["message"]


def test_a_command_runs_without_a_shell(api: Api) -> None:
    execution = api.run(command=["python3", "-c", "import sys; print(sys.argv)", "$HOME;ls"])
    assert execution["stdout"]["text"] == "['-c', '$HOME;ls']\n"


def test_an_image_that_the_engine_lacks_is_a_failure(api: Api) -> None:
    execution = api.run("pass", image="gone")
    assert (execution["status"], execution["reason"]) == ("failed", "image_unavailable")


def test_a_result_file_becomes_the_result(api: Api) -> None:
    execution = api.run("import json; json.dump({'x': [1, None]}, open('output/result.json', 'w'))")
    assert execution["result"] == {"x": [1, None]}


@pytest.mark.parametrize(
    "write",
    ["'{'", "'[' * 2000", "'NaN'", "'[' * 40 + ']' * 40", "'\"\\\\ud800\"'", "'1' * 300000"],
)
def test_a_bad_result_file_fails_the_execution(api: Api, write: str) -> None:
    execution = api.run(f"open('output/result.json', 'w').write({write})")
    assert (execution["status"], execution["reason"]) == ("failed", "result_invalid")


def test_input_files_and_environment_arrive(api: Api) -> None:
    execution = api.run(
        "import os\nprint(open('in/a.bin', 'rb').read(), os.environ['SECRET'], os.getcwd())",
        files=[{"path": "in/a.bin", "content": base64.b64encode(b"\x00\xff").decode(),
                "encoding": "base64"}],
        environment={"SECRET": "s3cret"},
    )  # fmt: skip
    assert execution["stdout"]["text"] == "b'\\x00\\xff' s3cret /workspace\n"
    assert "s3cret" not in str(api.events(execution["id"]))


def test_artifacts_come_out_byte_for_byte(api: Api) -> None:
    execution = api.run(
        "import os\nos.makedirs('output/a/b')\n"
        "open('output/a/b/c.bin', 'wb').write(bytes(range(256)) * 1000)"
    )
    answer = api.get(f"/v1/executions/{execution['id']}/artifacts/a/b/c.bin")
    assert answer.content == bytes(range(256)) * 1000
    assert answer.headers["etag"].strip('"') == execution["artifacts"][0]["sha256"]
    assert answer.headers["content-type"] == "application/octet-stream"
    missing = api.get(f"/v1/executions/{execution['id']}/artifacts/a/b/none")
    assert missing.status_code == 404


def test_the_isolation_in_force_is_recorded(api: Api) -> None:
    execution = api.run("pass", execution_limits={"max_memory_mb": 100, "max_processes": 7})
    inside = execution["isolation"]["inside"]
    assert inside["seccomp_mode"] == 2
    assert inside["no_new_privileges"] is True
    assert inside["capabilities"]["effective"] == []
    assert inside["uid"] == 1000
    assert inside["interfaces"] == ["lo"]
    assert inside["cgroup"]["memory_limit"] == str(100 * 2**20)
    assert inside["mounts"]["/"].split()[-1].startswith("ro")
    assert execution["isolation"]["engine"]["pids"] == 8
    assert execution["isolation"]["engine"]["network_mode"] == "none"
    for layer in execution["isolation"]["missing"]:
        assert layer.startswith(("AppArmor:", "user namespace:"))


def test_the_audit_trail_tells_the_whole_story(api: Api) -> None:
    execution = api.run("print(1)")
    trail = api.events(execution["id"])
    told = [(event["kind"], event["data"].get("to")) for event in trail["items"]]
    # A host that lacks a layer of the profile has that told as well, and nothing else.
    weaker = [("isolation_weaker", None)] if execution["isolation"]["missing"] else []
    assert told == [
        ("submitted", None),
        ("status_changed", "running"),
        *weaker,
        ("user_code_started", None),
        ("status_changed", "succeeded"),
    ]
    assert trail["intact"] is True
    assert [event["sequence"] for event in trail["items"]] == list(range(1, len(told) + 1))


def test_the_final_event_covers_output_result_and_artifacts(api: Api) -> None:
    execution = api.run(
        "print('out')\nopen('output/a', 'w').write('x')\nopen('output/result.json', 'w').write('1')"
    )
    final = api.events(execution["id"])["items"][-1]["data"]
    assert final["stdout_sha256"] == hashlib.sha256(b"out\n").hexdigest()
    assert final["result_sha256"] == hashlib.sha256(b"1").hexdigest()
    listed = "".join(f"{item['path']}\n{item['sha256']}\n" for item in execution["artifacts"])
    assert final["artifacts_sha256"] == hashlib.sha256(listed.encode()).hexdigest()


def test_a_cancel_while_the_sandbox_starts_is_a_cancel(api: Api) -> None:
    for _ in range(5):
        accepted = api.submit("import time; time.sleep(30)")
        api.wait_status(accepted["id"], "running")
        assert api.post(f"/v1/executions/{accepted['id']}/cancel").status_code == 202
        execution = api.outcome(accepted["id"], timeout=10)
        assert (execution["status"], execution["attempt"]) == ("cancelled", 1)


def test_the_higher_priority_runs_first(api: Api) -> None:
    # Four slots: fill them, queue low before high, and see who starts first.
    fillers = [api.submit("import time; time.sleep(2.5)") for _ in range(8)]
    for filler in fillers[:4]:
        api.wait_started(filler["id"])
    low = [api.submit("pass", priority=0) for _ in range(4)]
    high = [api.submit("pass", priority=9) for _ in range(4)]
    assert max(_claimed_at(api, item) for item in high) < min(
        _claimed_at(api, item) for item in low
    )


def _claimed_at(api: Api, item: dict[str, Any]) -> int:
    """Return when a worker took it; its program may start later, as the engine pleases."""
    api.outcome(item["id"])
    events = api.events(item["id"])["items"]
    return next(one["recorded_at_us"] for one in events if one["data"].get("to") == "running")
