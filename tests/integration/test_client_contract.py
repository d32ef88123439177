"""The client speaks the server's language: same fields, bounds, words and requirements."""

import json
from typing import Any

import agentcore_client.responses as received
import httpx
import pytest
from agentcore_client import AgentConfig, ExecutionRequest, schema_of_request

from models import agent, batch, execution, limits, results, security, status
from tests.harness import Stack

WORDING = ("title", "description")


def resolved(schema: Any, definitions: dict[str, Any]) -> Any:
    """Return a schema with references replaced and the wording for people left out."""
    if isinstance(schema, list):
        return [resolved(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rsplit("/", 1)[1]] | schema
    return {
        name: properties_of(value, definitions)
        if name == "properties"
        else resolved(value, definitions)
        for name, value in schema.items()
        if name not in (*WORDING, "$defs", "$ref")
    }


def properties_of(properties: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the properties; one may well be called title or description."""
    return {name: resolved(value, definitions) for name, value in properties.items()}


def models_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the top model and all nested ones by name, each resolved."""
    definitions = schema.get("$defs", {})
    return {"": resolved(schema, definitions)} | {
        name: resolved(nested, definitions) for name, nested in definitions.items()
    }


def rules_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return every rule of a schema by its place: model, property or model-wide keyword."""
    rules: dict[str, Any] = {}
    for model, body in models_of(schema).items():
        for name, value in body.get("properties", {}).items():
            rules[f"{model}.{name}"] = value
        rules[f"{model} required"] = sorted(body.get("required", ()))
        rules[f"{model} model"] = {
            name: value for name, value in body.items() if name not in ("properties", "required")
        }
    return rules


REQUESTS = {
    "ExecutionRequest": (schema_of_request, execution.ExecutionRequest.model_json_schema),
    "AgentConfig": (AgentConfig.model_json_schema, agent.AgentConfig.model_json_schema),
}
RESPONSES = [
    (received.Execution, execution.Execution),
    (received.ExecutionPage, execution.ExecutionPage),
    (received.Stream, execution.Stream),
    (received.Usage, execution.Usage),
    (received.ArtifactInfo, execution.ArtifactInfo),
    (received.AuditEvent, execution.AuditEvent),
    (received.EffectiveLimits, limits.EffectiveLimits),
    (received.BatchSummary, batch.BatchSummary),
    (received.InputResult, results.InputResult),
    (received.ResultPage, results.ResultPage),
    (received.ResultsEnd, results.ResultsEnd),
]


@pytest.mark.parametrize("name", REQUESTS)
def test_requests_have_the_servers_fields_and_bounds(name: str) -> None:
    ours, theirs = (rules_of(schema()) for schema in REQUESTS[name])
    assert sorted(ours) == sorted(theirs)
    different = {
        place: {"client": ours[place], "server": theirs[place]}
        for place in ours
        if ours[place] != theirs[place]
    }
    assert different == {}, json.dumps(different, indent=1)


def test_the_comparison_sees_nested_models_and_bounds() -> None:
    rules = rules_of(schema_of_request())
    assert rules["ResourceLimits.max_memory_mb"]["maximum"] == 1_048_576
    assert rules["InputFile required"] == ["content", "path"]
    assert rules["ToolExecutionRequest model"]["additionalProperties"] is False
    assert rules[".context"]["anyOf"][0]["properties"]["goal"]["maxLength"] == 16_384
    assert {"ExecutionLimits required", "PhilosophyExecutionContext required"} <= set(rules)


@pytest.mark.parametrize(("ours", "theirs"), RESPONSES, ids=lambda model: model.__name__)
def test_responses_know_the_servers_fields_and_require_no_more(ours: Any, theirs: Any) -> None:
    assert set(ours.model_fields) == set(theirs.model_fields)
    required = {name for name, field in ours.model_fields.items() if field.is_required()}
    assert required <= {name for name, field in theirs.model_fields.items() if field.is_required()}


def test_the_status_words_are_the_servers() -> None:
    assert {str(word) for word in received.Status} == {str(word) for word in status.Status}


def test_the_client_knows_the_servers_profile_fields() -> None:
    assert set(received.ProfileInfo.model_fields) == {
        *security.SecurityProfile.model_fields,
        "enabled",
    }


def test_what_the_server_writes_the_client_reads() -> None:
    told = execution.Execution(
        id="0b8f7c1e-5a3e-4a53-9d7e-0c2a6a1f4d11",
        status="failed",
        reason="signal",
        created_at="2026-01-02T03:04:05Z",
        finished_at="2026-01-02T03:04:06Z",
        labels={"a": "b"},
        priority=4,
        security_profile="minimal",
        image="python",
        network_access="none",
        limits=limits.tighter(limits.ResourceLimits(), limits.ExecutionLimits()),
        max_attempts=1,
        signal=9,
        stdout=execution.Stream(text="\ufffd", base64="/w==", total_bytes=1, truncated=False),
        artifacts=(execution.ArtifactInfo(path="a", size=1, sha256="00"),),
    ).model_dump(mode="json")
    read = received.Execution.parsed(told)
    assert read.raw == told
    assert read.is_terminal
    assert read.limits.cpu_cores == 0.5
    assert read.stdout is not None
    assert read.stdout.data == b"\xff"


def test_what_the_client_sends_the_server_takes_as_given() -> None:
    request = {
        "source": "1",
        "resource_limits": {"max_memory_mb": 64},
        "context": {"goal": "g", "memory": {"a": [1, None]}},
    }
    body = ExecutionRequest.model_validate(request).body()
    taken = execution.ExecutionRequest.model_validate(body)
    assert body == request
    assert taken.model_fields_set == set(request)
    assert taken.resource_limits.model_fields_set == {"max_memory_mb"}


def test_the_served_description_has_the_same_request(stack: Stack) -> None:
    served = httpx.get(f"{stack.url}/openapi.json").json()["components"]["schemas"]
    schemas = {name.removesuffix("-Input"): schema for name, schema in served.items()}
    ours = rules_of(schema_of_request())
    nested = {place.split(".")[0].split(" ")[0] for place in ours} - {""}
    wanted = {name: schemas[name] for name in nested}
    theirs = rules_of(schemas["ExecutionRequest"] | {"$defs": wanted})
    assert without_null_defaults(ours) == without_null_defaults(theirs)


def without_null_defaults(schema: Any) -> Any:
    """Return a schema as the served one is written: a default of null is left out."""
    if isinstance(schema, list):
        return [without_null_defaults(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: without_null_defaults(value)
        for name, value in schema.items()
        if (name, value) != ("default", None)
    }
