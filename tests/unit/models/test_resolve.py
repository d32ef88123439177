"""From a request, an agent and the settings to what will be in force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.agent import AgentConfig
from models.errors import RequestRefusedError
from models.execution import ExecutionRequest
from models.limits import NetworkAccess
from models.resolve import ResolvedRequest, merge_agent, resolve
from models.settings import Settings
from tests.unit.storable import assert_jsonb

TOOL = {"name": "add", "source": "print('tool')"}
OFF = {"restricted_python": False}


def settings(**changes):
    return Settings(database_url="postgresql://x", broker_url="redis://x", **changes)


def request(**fields):
    return ExecutionRequest.model_validate(fields)


def merged(body, agent=None):
    return merge_agent(request(**body), agent and AgentConfig.model_validate(agent))


def effective(body, **changes):
    return resolve(merged(body), settings(**changes))


# --- Merging ---------------------------------------------------------------------------------


def test_a_request_without_an_agent_is_itself():
    result = merged({"source": "x", "stdin": "y", "labels": {"a": "b"}, "priority": 9})
    assert result == ResolvedRequest(source="x", stdin="y")


def test_fields_of_the_request_win():
    agent = {"source": "x", "image": "one", "args": ["a"], "max_attempts": 3}
    result = merged({"agent": "a", "image": "two", "args": []}, agent)
    assert (result.source, result.image, result.args, result.max_attempts) == ("x", "two", (), 3)


def test_environment_and_limits_are_merged_name_by_name():
    agent = {
        "source": "x",
        "environment": {"A": "1", "B": "1"},
        "execution_limits": {"max_memory_mb": 64, "max_processes": 3},
        "resource_limits": {"max_cpu_cores": 0.5},
    }
    body = {
        "agent": "a",
        "environment": {"B": "2", "C": "2"},
        "execution_limits": {"max_memory_mb": 128},
    }
    result = merged(body, agent)
    assert result.environment == {"A": "1", "B": "2", "C": "2"}
    assert result.execution_limits.max_memory_mb == 128
    assert result.execution_limits.max_processes == 3
    assert result.resource_limits.max_cpu_cores == 0.5
    assert result.execution_limits.model_fields_set == {"max_memory_mb", "max_processes"}


@pytest.mark.parametrize("field", ["source", "command"])
@pytest.mark.parametrize("program", [{"source": "x"}, {"command": ["x", "y"]}])
def test_null_leaves_the_program_to_the_agent(field, program):
    result = merged({"agent": "a", field: None}, program)
    assert (result.source, result.command) == (
        program.get("source"),
        tuple(program["command"]) if "command" in program else None,
    )


def test_null_leaves_restricted_python_to_the_agent():
    result = merged({"agent": "a", "restricted_python": None}, {"source": "x", **OFF})
    assert result.restricted_python is False


def test_null_inside_a_group_leaves_it_to_the_agent():
    agent = {
        "source": "x",
        "security_options": {"no_new_privileges": True, "blocked_syscalls": ["link"]},
    }
    body = {"agent": "a", "security_options": {"no_new_privileges": None}}
    result = merged(body, agent).security_options
    assert (result.no_new_privileges, result.blocked_syscalls) == (True, ("link",))


@pytest.mark.parametrize(
    "agent",
    [{"tools": [TOOL]}, {"tools": [TOOL], "source": "x"}, {"tools": [TOOL], "command": ["x"]}],
)
def test_a_tool_runs_its_own_source_with_its_arguments_on_stdin(agent):
    body = {"agent": "a", "tool": {"name": "add", "arguments": {"é": [1, {"}": None}]}}}
    result = merged(body, agent)
    assert result.source == TOOL["source"]
    assert result.command is None
    assert result.stdin_data.decode() == '{"é":[1,{"}":null}]}'


def test_a_tool_without_arguments_reads_an_empty_object():
    assert merged({"agent": "a", "tool": {"name": "add"}}, {"tools": [TOOL]}).stdin_data == b"{}"


def test_a_tool_that_the_agent_lacks_is_refused_with_those_it_has():
    with pytest.raises(RequestRefusedError, match="add") as refused:
        merged({"agent": "a", "tool": {"name": "sub"}}, {"tools": [TOOL]})
    assert refused.value.field == "tool.name"


def test_an_agent_of_tools_alone_needs_one_named():
    with pytest.raises(RequestRefusedError) as refused:
        merged({"agent": "a"}, {"tools": [TOOL]})
    assert refused.value.field == "tool"


@pytest.mark.parametrize(
    ("body", "agent"),
    [
        ({"args": ["x"]}, {"command": ["x"]}),
        ({"environment": {"B": "x" * 32_000}}, {"source": "x", "environment": {
            f"A{number}": "x" * 30_000 for number in range(3)}}),
    ],
)  # fmt: skip
def test_a_rule_broken_only_by_both_together_is_refused(body, agent):
    with pytest.raises(RequestRefusedError, match="together with the agent"):
        merged({"agent": "a"} | body, agent)


def test_the_context_takes_the_philosophy_of_the_agent_unless_it_has_one():
    agent = {"source": "x", "philosophy": "autonomous"}
    assert merged({"agent": "a", "context": {}}, agent).context.philosophy == "autonomous"
    own = merged({"agent": "a", "context": {"philosophy": "react"}}, agent)
    assert own.context.philosophy == "react"
    assert merged({"agent": "a"}, agent).context is None


@given(
    st.dictionaries(
        st.sampled_from(["max_memory_mb", "max_processes", "max_file_descriptors"]),
        st.integers(32, 4096),
    ),
    st.dictionaries(
        st.sampled_from(["max_memory_mb", "max_processes", "max_file_descriptors"]),
        st.integers(32, 4096),
    ),
)
def test_a_merged_request_survives_the_store(own, agents):
    result = merged(
        {"agent": "a", "execution_limits": own, "context": {"goal": "é"}},
        {"source": "x", "execution_limits": agents, "files": [{"path": "a", "content": "b"}]},
    )
    stored = result.model_dump(mode="json", exclude_unset=True)
    assert_jsonb(stored)
    again = ResolvedRequest.model_validate(stored)
    assert again == result
    assert again.execution_limits.model_fields_set == set(own) | set(agents)


# --- Resolving -------------------------------------------------------------------------------


def test_the_defaults_resolve():
    result = effective({"source": "x"})
    assert result.profile.profile_name == "standard"
    assert result.network_access is NetworkAccess.RESTRICTED
    assert result.image_reference == "agentcore/sandbox:dev"
    assert (result.limits.memory_mb, result.limits.cpu_cores) == (256, 0.5)


CEILINGS = [
    ("resource_limits", "max_memory_mb", "ceiling_memory_mb", 64, 65),
    ("resource_limits", "max_cpu_cores", "ceiling_cpu_cores", 1.5, 1.6),
    ("resource_limits", "max_execution_time_seconds", "ceiling_execution_time_seconds", 5, 5.1),
    ("resource_limits", "max_file_descriptors", "ceiling_file_descriptors", 32, 33),
    ("resource_limits", "storage_quota_mb", "ceiling_storage_mb", 16, 17),
    ("execution_limits", "max_memory_mb", "ceiling_memory_mb", 64, 65),
    ("execution_limits", "max_cpu_percent", "ceiling_cpu_cores", 1.5, 151),
    ("execution_limits", "max_execution_time_seconds", "ceiling_execution_time_seconds", 5, 5.1),
    ("execution_limits", "max_processes", "ceiling_processes", 4, 5),
    ("execution_limits", "max_file_descriptors", "ceiling_file_descriptors", 32, 33),
    ("execution_limits", "max_network_requests", "ceiling_network_requests", 7, 8),
]


@pytest.mark.parametrize(("group", "field", "setting", "ceiling", "over"), CEILINGS)
def test_a_limit_over_the_ceiling_is_refused_by_name(group, field, setting, ceiling, over):
    with pytest.raises(RequestRefusedError, match="ceiling") as refused:
        effective({"source": "x", group: {field: over}}, **{setting: ceiling})
    assert refused.value.field == f"{group}.{field}"


@pytest.mark.parametrize(("group", "field", "setting", "ceiling", "over"), CEILINGS)
def test_a_limit_at_the_ceiling_is_accepted(group, field, setting, ceiling, over):
    at = ceiling * 100 if field == "max_cpu_percent" else ceiling
    assert effective({"source": "x", group: {field: at}}, **{setting: ceiling}) is not None


def test_attempts_over_the_ceiling_are_refused_by_name():
    with pytest.raises(RequestRefusedError) as refused:
        effective({"source": "x", "max_attempts": 3}, ceiling_attempts=2)
    assert refused.value.field == "max_attempts"


def test_a_ceiling_under_a_default_lowers_it_in_silence():
    limits = effective(
        {"source": "x"},
        ceiling_memory_mb=40,
        ceiling_cpu_cores=0.1,
        ceiling_execution_time_seconds=2,
        ceiling_processes=3,
        ceiling_file_descriptors=20,
        ceiling_storage_mb=8,
        ceiling_network_requests=0,
    ).limits
    assert list(limits.model_dump().values()) == [40, 0.1, 2, 3, 20, 8, 0]


def test_a_profile_that_is_not_enabled_is_refused():
    with pytest.raises(RequestRefusedError, match="minimal, standard") as refused:
        effective({"source": "x", "security_profile": "privileged"})
    assert refused.value.field == "security_profile"


def test_an_image_outside_the_catalogue_is_refused():
    with pytest.raises(RequestRefusedError, match="python") as refused:
        effective({"source": "x", "image": "node"})
    assert refused.value.field == "image"


def test_input_that_fills_the_memory_is_refused():
    body = {
        "source": "x",
        "files": [{"path": name, "content": "x" * 2_000_000} for name in "ab"],
        "resource_limits": {"storage_quota_mb": 4},
    }
    with pytest.raises(RequestRefusedError) as refused:
        effective(body)
    assert refused.value.field == "files"


FULL = {"source": "x", "resource_limits": {"network_access": "full"}}


def test_the_full_network_needs_a_setting():
    with pytest.raises(RequestRefusedError) as refused:
        effective(FULL)
    assert refused.value.field == "resource_limits.network_access"
    assert effective(FULL, allow_full_network=True).network_access is NetworkAccess.FULL


@pytest.mark.parametrize(
    "changes",
    [
        {"security_profile": "minimal", "resource_limits": {"network_access": "restricted"}},
        {"security_options": {"blocked_syscalls": ["connect"]}},
    ],
)
@pytest.mark.parametrize("network", [FULL, {"source": "x", "allowed_hosts": ["a.com"]}])
def test_a_network_without_the_calls_to_use_it_is_refused(changes, network):
    with pytest.raises(RequestRefusedError, match="system calls") as refused:
        effective(changes | network, allow_full_network=True)
    asked = "allowed_hosts" if "allowed_hosts" in network else "resource_limits.network_access"
    assert refused.value.field == asked


def reaching(*hosts, access="restricted", **changes):
    limits = {"network_access": access}
    body = {"source": "x", "allowed_hosts": hosts, "resource_limits": limits}
    return effective(body, **changes).network_access


def test_hosts_are_accepted_where_the_network_is_restricted():
    assert reaching("a.com", "*.b.com:8443", "10.0.0.0/8", "1.1.1.1") is NetworkAccess.RESTRICTED


def test_hosts_are_kept_in_their_one_spelling():
    body = {"source": "x", "allowed_hosts": ["API.Example.com.", "[0::1]:080"]}
    assert merged(body).allowed_hosts == ("api.example.com", "[::1]:80")


def refused_host(*hosts, **changes):
    """Return the words in which a list of hosts is refused."""
    with pytest.raises(RequestRefusedError) as refused:
        reaching(*hosts, **changes)
    assert refused.value.field == "allowed_hosts"
    return refused.value.message


def test_hosts_are_refused_without_a_network():
    assert "restricted" in refused_host("a.com", access="none")


@pytest.mark.parametrize(
    ("host", "use"),
    [("127.0.0.1", "loopback"), ("169.254.0.0/16", "link-local"), ("fe80::/10", "link-local"),
     ("169.254.169.254", "metadata"), ("fd00:ec2::254", "metadata"), ("224.0.0.1", "multicast"),
     ("0.0.0.0", "unspecified"), ("::", "unspecified"), ("::ffff:a00:1", "IPv4-mapped"),
     ("64:ff9b::/96", "NAT64"), ("100.64.0.0/10", "carrier-grade NAT")],
)  # fmt: skip
def test_a_special_address_is_refused_unless_the_ceiling_names_it(host, use):
    words = refused_host("a.com", host)
    assert host in words
    assert use in words
    assert "AGENTCORE_EGRESS_CEILING" in words
    assert reaching("a.com", host, egress_ceiling=["*", host]) is NetworkAccess.RESTRICTED


def test_a_host_beyond_the_ceiling_is_refused_with_the_ceiling():
    ceiling = ["*.corp.example", "10.1.0.0/16"]
    assert reaching("git.corp.example", "10.1.2.3", egress_ceiling=ceiling)
    for host in ("a.com", "10.0.0.0/8", "git.corp.example:22", "corp.example"):
        words = refused_host("git.corp.example", host, egress_ceiling=ceiling)
        assert words.startswith(f"{host} ")
        assert "*.corp.example, 10.1.0.0/16" in words


def test_a_denied_host_is_refused_and_a_broader_entry_is_not():
    denied = {"egress_deny": ["evil.com", "10.1.0.0/16"]}
    for host in ("evil.com", "evil.com:8443", "10.1.2.3"):
        assert "deny list" in refused_host("a.com", host, **denied)
    assert reaching("*.com", "10.0.0.0/8", "sub.evil.com", **denied)


def test_the_profile_chooses_the_network_unless_the_request_does():
    body = {"command": ["x"], "security_profile": "minimal"}
    assert effective(body).network_access is NetworkAccess.NONE
    body["resource_limits"] = {"network_access": "restricted"}
    assert effective(body).network_access is NetworkAccess.RESTRICTED


@pytest.mark.parametrize(
    ("fields", "on"),
    [
        ({"security_profile": "minimal"}, True),
        ({"security_profile": "minimal", "restricted_python": False}, False),
        ({"security_profile": "minimal", "restricted_python": None}, True),
        ({"security_profile": "standard"}, False),
        ({"security_profile": "standard", "restricted_python": True}, True),
    ],
)
def test_the_profile_decides_on_restricted_python_unless_the_request_does(fields, on):
    assert effective({"source": "x"} | fields).restricted_python is on


def test_restricted_python_is_never_dropped_in_silence():
    with pytest.raises(RequestRefusedError, match="needs source, not command") as refused:
        effective({"command": ["x"], "restricted_python": True})
    assert refused.value.field == "restricted_python"
    assert not effective({"command": ["x"], "security_profile": "minimal"}).restricted_python


def test_a_tool_of_an_agent_with_a_command_is_source():
    agent = {"command": ["x"], "tools": [TOOL], "security_profile": "minimal"}
    named = merged({"agent": "a", "tool": {"name": "add"}}, agent)
    assert resolve(named, settings()).restricted_python
    assert not resolve(merged({"agent": "a"}, agent), settings()).restricted_python


def test_a_request_that_names_no_profile_gets_the_operators_default():
    strict = Settings(
        database_url="postgresql://x", broker_url="redis://x", default_profile="minimal"
    )
    silent = merged({"source": "x", "restricted_python": False}, None)
    named = merged({"source": "x", "security_profile": "standard"}, None)
    assert resolve(silent, strict).profile.profile_name == "minimal"
    assert resolve(named, strict).profile.profile_name == "standard"
