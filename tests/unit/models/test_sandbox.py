"""From a resolved request to the sandbox."""

import json
from uuid import UUID

import pytest

from models.execution import ExecutionRequest
from models.resolve import merge_agent, resolve
from models.sandbox import build_spec
from models.settings import Settings

ID = UUID("12345678-1234-5678-1234-567812345678")
SETTINGS = Settings(database_url="postgresql://x", broker_url="redis://x")


def spec(**fields):
    request = merge_agent(ExecutionRequest.model_validate(fields), None)
    return build_spec(ID, 2, request, resolve(request, SETTINGS), SETTINGS)


def test_source_becomes_a_program_with_its_arguments():
    built = spec(source="print('é')", args=["-x", "y z"])
    assert built.argv == ("python3", "main.py", "-x", "y z")
    assert built.files == {"main.py": "print('é')".encode()}


def test_a_command_is_run_as_it_is():
    built = spec(command=["sh", "-c", "a; b"])
    assert built.argv == ("sh", "-c", "a; b")
    assert built.files == {}


def test_files_and_stdin_are_decoded():
    built = spec(
        source="x",
        files=[{"path": "a/b", "content": "AP8=", "encoding": "base64"}],
        stdin="AP8=",
        stdin_encoding="base64",
    )
    assert built.files["a/b"] == built.stdin == b"\x00\xff"


def test_the_context_is_a_file():
    built = spec(command=["x"], context={"goal": "é", "memory": {"a": [1]}})
    context = json.loads(built.files["context.json"])
    assert (context["goal"], context["memory"], context["step"]) == ("é", {"a": [1]}, 0)


def test_the_program_learns_the_id_of_its_execution():
    assert spec(source="x").environment == {"AGENTCORE_EXECUTION_ID": str(ID)}
    assert spec(source="x", environment={"A": "b"}).environment["A"] == "b"


def test_the_spec_says_whether_the_policy_is_on():
    assert spec(source="x", security_profile="minimal").restricted_python
    assert not spec(source="x").restricted_python


@pytest.mark.parametrize("access", ["none", "restricted"])
def test_without_hosts_nothing_outside_is_reached(access):
    assert not spec(source="x", resource_limits={"network_access": access}).allow_network


def test_the_hosts_travel_with_the_operators_lists():
    lists = {"egress_ceiling": ["*", "10.0.0.0/8"], "egress_deny": ["Evil.com"]}
    settings = Settings(database_url="postgresql://x", broker_url="redis://x", **lists)
    body = {"source": "x", "allowed_hosts": ["A.com", "10.1.2.3:443"]}
    built = spec(**body)
    assert built.allow_network
    assert built.allowed_hosts == ("a.com", "10.1.2.3:443")
    assert (built.egress_ceiling, built.egress_deny) == (None, ())
    request = merge_agent(ExecutionRequest.model_validate(body), None)
    under = build_spec(ID, 2, request, resolve(request, settings), settings)
    assert (under.egress_ceiling, under.egress_deny) == (("*", "10.0.0.0/8"), ("evil.com",))


def test_the_caps_are_the_operators():
    built = spec(source="x")
    assert built.max_output_bytes == SETTINGS.max_output_bytes
    assert built.max_artifacts_bytes == SETTINGS.max_artifacts_bytes
    assert (built.execution_id, built.attempt) == (ID, 2)
