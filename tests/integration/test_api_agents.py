"""Stored agents: versions, tools, and requests that run them."""

from tests.harness import Stack, refused_fields


def test_agents_are_versioned(stack: Stack) -> None:
    api = stack.client("agents")
    first = api.put("/v1/agents/greeter", json={"source": "print('one')"})
    same = api.put("/v1/agents/greeter", json={"source": "print('one')"})
    second = api.put("/v1/agents/greeter", json={"source": "print('two')", "description": "d"})
    assert (first.status_code, same.status_code, second.status_code) == (201, 200, 200)
    assert [answer.json()["version"] for answer in (first, same, second)] == [1, 1, 2]
    assert api.run(agent="greeter")["stdout"]["text"] == "two\n"
    old = api.run(agent="greeter", agent_version=1)
    assert old["stdout"]["text"] == "one\n"
    assert (old["agent"], old["agent_version"]) == ("greeter", 1)
    assert api.get("/v1/agents").json()["items"][0]["description"] == "d"
    assert api.delete("/v1/agents/greeter").status_code == 204
    assert api.get("/v1/agents/greeter").status_code == 404
    assert api.put("/v1/agents/greeter", json={"source": "1"}).json()["version"] == 3


def test_agents_are_listed_page_by_page_without_their_programs(stack: Stack) -> None:
    api = stack.client("listing")
    for name in ("c", "a", "b"):
        api.put(f"/v1/agents/{name}", json={"source": "pass", "description": f"about {name}"})
    first = api.get("/v1/agents", params={"limit": 2}).json()
    assert [item["name"] for item in first["items"]] == ["a", "b"]
    assert set(first["items"][0]) == {"name", "version", "created_at", "description"}
    second = api.get("/v1/agents", params={"cursor": first["next_cursor"]}).json()
    assert [item["name"] for item in second["items"]] == ["c"]
    assert second["next_cursor"] is None


def test_an_agent_comes_back_as_it_was_stored(stack: Stack) -> None:
    api = stack.client("storing")
    config = {"source": "pass", "security_profile": "minimal", "restricted_python": False}
    stored = api.put("/v1/agents/kept", json=config).json()
    assert stored["config"] == config
    assert api.put("/v1/agents/kept", json=stored["config"]).json()["version"] == 1


def test_a_request_goes_over_the_agents_configuration(stack: Stack) -> None:
    api = stack.client("merging")
    api.put(
        "/v1/agents/base",
        json={
            "source": "import os, json; print(os.environ['A'], os.environ['B']);"
            "print(json.load(open('context.json'))['philosophy'])",
            "environment": {"A": "agent", "B": "agent"},
            "philosophy": "multi_agent",
            "execution_limits": {"max_memory_mb": 100, "max_processes": 5},
        },
    )
    execution = api.run(
        agent="base",
        environment={"B": "request"},
        context={"goal": "test"},
        execution_limits={"max_processes": 6},
    )
    assert execution["stdout"]["text"] == "agent request\nmulti_agent\n"
    assert execution["limits"]["memory_mb"] == 100
    assert execution["limits"]["processes"] == 6


def test_a_tool_reads_its_arguments_from_stdin(stack: Stack) -> None:
    api = stack.client("tools")
    tool = {"name": "add", "source": "import json, sys; print(sum(json.load(sys.stdin)['n']))"}
    api.put("/v1/agents/calculator", json={"tools": [tool]})
    execution = api.run(agent="calculator", tool={"name": "add", "arguments": {"n": [1, 2, 39]}})
    assert execution["stdout"]["text"] == "42\n"
    for body, field in (
        ({"agent": "calculator"}, "tool"),
        ({"agent": "calculator", "tool": {"name": "subtract"}}, "tool.name"),
    ):
        assert refused_fields(api.post("/v1/executions", json=body)) == {field}


def test_a_replay_is_answered_though_its_agent_is_gone(stack: Stack) -> None:
    api = stack.client("replaying")
    api.put("/v1/agents/passing", json={"source": "pass"})
    headers = {"Idempotency-Key": "kept"}
    first = api.post("/v1/executions", json={"agent": "passing"}, headers=headers)
    api.delete("/v1/agents/passing")
    again = api.post("/v1/executions", json={"agent": "passing"}, headers=headers)
    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
