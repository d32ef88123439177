"""Stored agents: the same rules as for a request, and those of tools."""

import json

import pytest
from pydantic import ValidationError

from models.agent import MAX_ARGUMENTS_BYTES, AgentConfig, AgentPhilosophy
from models.tool import ToolDefinition, ToolExecutionRequest
from tests.unit.storable import assert_jsonb

TOOL = {"name": "add", "source": "print(1)"}


def test_an_agent_needs_something_to_run():
    with pytest.raises(ValidationError, match="source, command or tools"):
        AgentConfig.model_validate({})


@pytest.mark.parametrize("body", [{"source": "x"}, {"command": ["x"]}, {"tools": [TOOL]}])
def test_source_command_or_tools_are_enough(body):
    config = AgentConfig.model_validate(body)
    assert config.philosophy is AgentPhilosophy.REACT
    assert config.security_profile == "standard"


def test_two_programs_are_refused():
    with pytest.raises(ValidationError, match="either source or command"):
        AgentConfig.model_validate({"source": "x", "command": ["x"]})


def test_tools_have_different_names():
    with pytest.raises(ValidationError, match="tools"):
        AgentConfig.model_validate({"tools": [TOOL, TOOL]})


def test_the_philosophies_are_the_four_that_were_promised():
    words = {"react", "chain_of_thought", "multi_agent", "autonomous"}
    assert {str(item) for item in AgentPhilosophy} == words


def test_an_agent_survives_the_store():
    body = {
        "source": "x",
        "description": "é",
        "philosophy": "autonomous",
        "tools": [TOOL | {"parameters": {"type": "object", "deep": {"a": [1, 2.5, None]}}}],
        "environment": {"A": "b"},
        "files": [{"path": "a/b", "content": "QQ==", "encoding": "base64"}],
        "allowed_hosts": ["API.example.com", "10.0.0.0/8"],
        "restricted_python": None,
    }
    config = AgentConfig.model_validate(body)
    stored = config.model_dump(mode="json", exclude_unset=True)
    assert_jsonb(stored)
    assert AgentConfig.model_validate(json.loads(json.dumps(stored))) == config
    assert set(stored) == set(body)


@pytest.mark.parametrize("word", ["a\x00", "a\ud800"], ids=["nul", "surrogate"])
@pytest.mark.parametrize(
    "make",
    [
        lambda word: {"source": "x", "description": word},
        lambda word: {"tools": [TOOL | {"description": word}]},
        lambda word: {"tools": [TOOL | {"source": word}]},
        lambda word: {"tools": [TOOL | {"name": word}]},
        lambda word: {"tools": [TOOL | {"parameters": {"a": word}}]},
        lambda word: {"tools": [TOOL | {"parameters": {"a": {word: 1}}}]},
        lambda word: {"tools": [TOOL | {"parameters": {word: 1}}]},
    ],
    ids=["description", "tool description", "tool source", "tool name", "parameter",
         "inside parameter", "parameter name"],
)  # fmt: skip
def test_what_cannot_be_stored_is_refused(make, word):
    with pytest.raises(ValidationError):
        AgentConfig.model_validate(make(word))


def test_the_environment_is_bounded_as_a_whole():
    many = {f"V{number}": "x" * 32_768 for number in range(4)}
    assert sum(len(key) + len(value) for key, value in many.items()) > MAX_ARGUMENTS_BYTES
    with pytest.raises(ValidationError, match="environment"):
        AgentConfig.model_validate({"source": "x", "environment": many})


@pytest.mark.parametrize("model", [ToolDefinition, ToolExecutionRequest])
def test_a_tool_has_a_name(model):
    with pytest.raises(ValidationError) as refused:
        model.model_validate({"source": "x"} if model is ToolDefinition else {})
    assert refused.value.errors()[0]["loc"] == ("name",)


def test_a_tool_has_a_source():
    with pytest.raises(ValidationError):
        ToolDefinition.model_validate({"name": "a", "source": ""})
