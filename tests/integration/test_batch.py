"""Batches of real programs in real sandboxes, over REST, Celery, the SDK and the command line."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agentcore_client import Client
from celery import Celery

from tests.harness import Api, Stack

PROGRAM = """
import json, os, sys, time
word = sys.stdin.read()
match word:
    case "fail":
        print("failing", file=sys.stderr)
        sys.exit(3)
    case "die":
        os.kill(os.getpid(), 9)
    case "sleep":
        time.sleep(60)
    case "loud":
        print("x" * 100_000)
    case "leave":
        json.dump({"word": word}, open("output/result.json", "w"))
    case "break":
        open("output/result.json", "w").write("{")
    case _:
        print(word.upper())
"""
WORDS = ("one", "fail", "die", "sleep", "loud", "leave", "break", "", "zwölf")


@pytest.fixture(scope="module")
def batch(stack: Stack, tenant_api: Api) -> dict[str, Any]:
    """A batch of all kinds of runs, ended, and its results by their word."""
    stack.wait_ready()
    execution = tenant_api.run(PROGRAM, inputs=list(WORDS), input_timeout_seconds=1)
    page = tenant_api.get(f"/v1/executions/{execution['id']}/results").json()
    assert page["complete"]
    assert [item["index"] for item in page["items"]] == list(range(len(WORDS)))
    return {"execution": execution, **dict(zip(WORDS, page["items"], strict=True))}


def _ended(item: dict[str, Any]) -> tuple[Any, ...]:
    return (item["status"], item["reason"], item["exit_code"], item["signal"])


def test_each_input_is_the_standard_input_of_a_run_of_its_own(batch: dict[str, Any]) -> None:
    assert [batch[word]["stdout"]["text"] for word in ("one", "", "zwölf")] == [
        "ONE\n",
        "\n",
        "ZWÖLF\n",
    ]
    assert _ended(batch["one"]) == ("succeeded", None, 0, None)


def test_a_run_that_fails_or_dies_does_not_end_the_others(batch: dict[str, Any]) -> None:
    assert _ended(batch["fail"]) == ("failed", "exit_nonzero", 3, None)
    assert batch["fail"]["stderr"]["text"] == "failing\n"
    assert _ended(batch["die"])[:2] == ("failed", "signal")
    assert batch["die"]["signal"] == 9


def test_a_run_has_a_time_limit_of_its_own(batch: dict[str, Any]) -> None:
    assert _ended(batch["sleep"])[:2] == ("timed_out", "time_limit")
    assert batch["sleep"]["wall_seconds"] >= 1


def test_of_a_runs_output_a_little_is_kept_and_the_true_size_is_told(
    batch: dict[str, Any],
) -> None:
    stdout = batch["loud"]["stdout"]
    assert (stdout["total_bytes"], stdout["truncated"]) == (100_001, True)
    assert 4000 < len(stdout["text"]) < 4300


def test_a_run_leaves_a_result_of_its_own(batch: dict[str, Any]) -> None:
    assert batch["leave"]["result"] == {"word": "leave"}
    assert batch["one"]["result"] is None
    assert _ended(batch["break"])[:2] == ("failed", "result_invalid")


def test_the_execution_sums_its_runs_up(batch: dict[str, Any]) -> None:
    execution = batch["execution"]
    assert execution["status"] == "succeeded"
    assert execution["batch"] == {"inputs": 9, "succeeded": 5, "failed": 3, "timed_out": 1}


def test_a_long_batch_is_streamed_while_it_runs(stack: Stack) -> None:
    wait = "import sys, time; time.sleep(0.2 * (sys.stdin.read() == 'slow')); print('ran')"
    with Client(stack.url, stack.new_key("streaming")) as client:
        submitted = client.submit(source=wait, inputs=["slow"] * 20)
        results = client.results(submitted.id)
        first = next(results)
        assert (first.index, first.stdout.text) == (0, "ran\n")
        assert not client.get(submitted.id).is_terminal
        client.cancel(submitted.id)
        seen = [first.index, *(result.index for result in results)]
        assert seen == list(range(len(seen)))
        assert len(seen) < 20
        execution = client.get(submitted.id)
    assert execution.status == "cancelled"
    assert execution.batch is not None
    assert execution.batch.ended == len(seen)


def test_hundreds_of_runs_of_an_agent_and_some_of_a_command(stack: Stack) -> None:
    numbers = [str(number) for number in range(500)]
    double = "print(int(input()) * 2)"
    with Client(stack.url, stack.new_key("agents", "--all-permissions")) as client:
        client.put_agent("doubler", {"source": double})
        agent = client.submit(agent="doubler", inputs=numbers)
        command = client.submit(command=["python3", "-c", double], inputs=numbers[:20])
        for execution, count in ((agent, 500), (command, 20)):
            told = [item.stdout.text for item in client.results(execution.id)]
            assert told == [f"{number * 2}\n" for number in range(count)]
            summary = client.get(execution.id).batch
            assert summary is not None
            assert (summary.inputs, summary.succeeded) == (count, count)


def test_a_batch_over_celery_is_answered_with_its_summary(stack: Stack) -> None:
    api = stack.client("celery-batches")
    url = stack.environment["AGENTCORE_BROKER_URL"]
    with Celery("another-service", broker=url, backend=url) as service:
        task = service.send_task(
            "agentcore.run",
            args=[{"source": "print(input())", "inputs": ["a", "b"]}],
            kwargs={"tenant": "celery-batches"},
            queue="agentcore.control",
        )
        result = task.get(timeout=60)
    assert result["batch"] == {"inputs": 2, "succeeded": 2, "failed": 0, "timed_out": 0}
    assert "items" not in result
    page = api.get(f"/v1/executions/{task.id}/results").json()
    assert [item["stdout"]["text"] for item in page["items"]] == ["a\n", "b\n"]


def test_the_command_prints_each_run_and_tells_which_failed(
    stack: Stack, examples: Path, tmp_path: Path
) -> None:
    environment = {
        **stack.environment,
        "AGENTCORE_URL": stack.url,
        "AGENTCORE_API_KEY": stack.new_key("people"),
        "XDG_CONFIG_HOME": str(tmp_path),
    }

    def agentcore(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("agentcore"), *words],
            env=environment, capture_output=True, text=True, timeout=90,
        )  # fmt: skip

    inputs = ("--inputs", str(examples / "data/expressions.txt"))
    done = agentcore("batch", *inputs, str(examples / "batch.py"))
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[0] == "2 + 2 = 4"
    assert "input 3: failed (exit_nonzero" in done.stderr
    told = agentcore("batch", "--json", *inputs, str(examples / "batch.py"))
    results = [json.loads(line) for line in told.stdout.splitlines()]
    assert results[0]["result"] == {"value": 4}
    assert "2 + 2" not in stack.log("run")
