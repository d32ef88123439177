"""A request with many inputs: its bounds, and what a sandbox is told of them."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from models.agent import AgentConfig
from models.batch import MAX_INPUT_BYTES, MAX_INPUTS, MAX_INPUTS_BYTES
from models.errors import RequestRefusedError
from models.execution import ExecutionRequest
from models.resolve import merge_agent, resolve, stored_request
from models.sandbox import build_spec
from models.settings import Settings
from tests.unit.storable import assert_jsonb


def settings(**changes):
    return Settings(database_url="postgresql://x", broker_url="redis://x", **changes)


def spec(body, agent=None, **changes):
    agent = agent and AgentConfig.model_validate(agent)
    request = merge_agent(ExecutionRequest.model_validate(body), agent)
    rules = settings(**changes)
    return build_spec(UUID(int=1), 1, request, resolve(request, rules), rules)


def refusal(**fields):
    """Return the place and the words of the first refusal."""
    with pytest.raises(ValidationError) as refused:
        ExecutionRequest.model_validate({"source": "x", **fields})
    error = refused.value.errors()[0]
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"inputs": []}, "inputs: Tuple should have at least 1 item"),
        ({"inputs": "abc"}, "inputs: Input should be a valid tuple"),
        ({"inputs": ["a", 1]}, "inputs.1: Input should be a valid string"),
        ({"inputs": ["a\x00"]}, "inputs.0: Value error, must not contain NUL"),
        ({"inputs": ["a"] * (MAX_INPUTS + 1)}, f"at most {MAX_INPUTS} items"),
        (
            {"inputs": ["", "a" * (MAX_INPUT_BYTES + 1)]},
            f"inputs.1 must be at most {MAX_INPUT_BYTES}",
        ),
        ({"inputs": ["é" * MAX_INPUT_BYTES]}, f"inputs.0 must be at most {MAX_INPUT_BYTES} bytes"),
        ({"inputs": ["a" * 100_000]}, "inputs.0: Value should have at most 87385"),
        (
            {"inputs": ["a" * MAX_INPUT_BYTES] * (MAX_INPUTS_BYTES // MAX_INPUT_BYTES + 1)},
            f"inputs must be at most {MAX_INPUTS_BYTES} bytes together",
        ),
        ({"inputs": ["!"], "stdin_encoding": "base64"}, "inputs: one of them is not valid base64"),
        ({"inputs": ["a"], "stdin": "b"}, "give either stdin or inputs, not both"),
        ({"input_timeout_seconds": 5}, "input_timeout_seconds goes with inputs"),
        ({"input_max_output_bytes": 5}, "input_max_output_bytes goes with inputs"),
        ({"inputs": ["a"], "input_timeout_seconds": 0}, "input_timeout_seconds: "),
        ({"inputs": ["a"], "input_max_output_bytes": 0}, "input_max_output_bytes: "),
        ({"inputs": ["a"], "input_max_output_bytes": 65_537}, "input_max_output_bytes: "),
    ],
)
def test_a_wrong_batch_is_refused_with_the_field_and_the_limit(fields, words):
    assert words in refusal(**fields)


def test_a_tool_takes_no_inputs():
    body = {"agent": "a", "tool": {"name": "t"}, "inputs": ["a"]}
    with pytest.raises(ValidationError, match="tool takes no inputs"):
        ExecutionRequest.model_validate(body)


def test_many_wrong_inputs_make_no_long_refusal():
    with pytest.raises(ValidationError) as refused:
        ExecutionRequest.model_validate({"source": "x", "inputs": [1] * MAX_INPUTS})
    assert refused.value.error_count() <= 2


@pytest.mark.parametrize(
    "program", [{"source": "x"}, {"command": ["cat"]}, {"agent": "a", "args": ["-v"]}]
)
def test_the_sandbox_is_told_the_bytes_and_limits_of_every_run(program):
    built = spec({**program, "inputs": ["é", ""]}, {"source": "y"} if "agent" in program else None)
    assert built.inputs == ("é".encode(), b"")
    assert (built.input_timeout_seconds, built.input_max_output_bytes) == (10, 4096)
    assert built.stdin == b""


def test_inputs_that_are_no_text_come_as_base64():
    built = spec({"source": "x", "inputs": ["AP8=", ""], "stdin_encoding": "base64"})
    assert built.inputs == (b"\x00\xff", b"")


def test_the_tighter_of_a_runs_limits_and_those_above_it_holds():
    body = {
        "source": "x",
        "inputs": ["a"],
        "input_timeout_seconds": 20,
        "input_max_output_bytes": 60_000,
        "execution_limits": {"max_execution_time_seconds": 5},
    }
    built = spec(body, max_output_bytes=2048)
    assert (built.input_timeout_seconds, built.input_max_output_bytes) == (5, 2048)
    built = spec(body | {"execution_limits": {"max_execution_time_seconds": 60}})
    assert (built.input_timeout_seconds, built.input_max_output_bytes) == (20, 60_000)


def test_what_is_no_batch_says_so():
    built = spec({"source": "x", "inputs": None, "stdin": "y"})
    assert (built.inputs, built.input_timeout_seconds, built.stdin) == ((), 0, b"y")


def test_inputs_count_as_what_must_fit_into_the_sandbox():
    body = {"source": "x", "inputs": ["a" * 60_000] * 100}
    spec(body)
    with pytest.raises(RequestRefusedError, match="source, files and input are 6000001 bytes"):
        spec(body | {"resource_limits": {"storage_quota_mb": 4}})


def test_a_stored_batch_is_read_back_as_it_was():
    request = ExecutionRequest(source="x", inputs=("a", "b"), input_timeout_seconds=2)
    merged = merge_agent(request, None)
    stored = merged.model_dump(mode="json", exclude_unset=True)
    assert_jsonb(stored)
    assert stored_request(stored) == merged
