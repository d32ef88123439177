"""What a request changes in its profile is in force, and what a host lacks is told or refused."""

from collections.abc import Iterator

import pytest

from security_profiles import allowed_names
from security_profiles.additions import required_names
from tests.harness import Api, Stack, own_stack, refused_fields

NO_NETWORK = {"network_access": "none"}
TRY = """
import json, os, pathlib
def attempt(call):
    try:
        call()
    except OSError as error:
        return error.strerror
    return "done"
"""


@pytest.fixture(scope="module")
def liberal(sandbox_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose operator has enabled all that can be."""
    with own_stack(
        tmp_path_factory.mktemp("liberal"),
        image=sandbox_image,
        allowed_profiles='["minimal", "standard", "privileged"]',
        allow_writable_root="true",
        extra_capabilities='["SYS_ADMIN"]',
        extra_syscalls='["keyctl"]',
        extra_apparmor_profiles='["unconfined"]',
    ) as stack:
        yield stack


@pytest.fixture(scope="module")
def liberal_api(liberal: Stack) -> Api:
    return liberal.client("isolation")


def test_a_blocked_call_is_refused_to_the_program(api: Api) -> None:
    source = TRY + "print(attempt(lambda: os.symlink('a', 'b')))"
    assert api.run(source)["stdout"]["text"] == "done\n"
    options = {"blocked_syscalls": ["symlink", "symlinkat"]}
    execution = api.run(source, security_options=options)
    assert execution["stdout"]["text"] == "Operation not permitted\n"
    assert execution["isolation"]["asked"]["blocked_syscalls"] == ["symlink", "symlinkat"]


@pytest.mark.parametrize("profile", ["minimal", "standard", "privileged"])
def test_whatever_may_be_blocked_leaves_a_sandbox_that_works(
    liberal_api: Api, profile: str
) -> None:
    blocked = sorted(allowed_names(profile) - required_names(profile))
    execution = liberal_api.run(
        "print(input())\nopen('output/a', 'w').write('x')",
        stdin="hello\n",
        security_profile=profile,
        restricted_python=False,
        resource_limits=NO_NETWORK,
        security_options={"blocked_syscalls": blocked},
    )
    assert (execution["status"], execution["stdout"]["text"]) == ("succeeded", "hello\n")
    assert [item["path"] for item in execution["artifacts"]] == ["a"]


def test_a_program_cannot_make_the_supervisor_readable(api: Api) -> None:
    body = {"source": "pass", "security_options": {"blocked_syscalls": ["prctl"]}}
    answer = api.post("/v1/executions", json=body)
    assert answer.status_code == 422
    assert refused_fields(answer) == {"security_options.blocked_syscalls"}
    assert api.run("pass")["isolation"]["inside"]["dumpable"] is False


def test_minimal_gets_the_call_that_it_asks_for(api: Api) -> None:
    source = TRY + "import socket\nprint(attempt(lambda: socket.socket(socket.AF_UNIX)))"
    plain = {"security_profile": "minimal", "restricted_python": False}
    assert api.run(source, **plain)["stdout"]["text"] == "Operation not permitted\n"
    execution = api.run(source, **plain, security_options={"allowed_syscalls": ["socket"]})
    assert execution["stdout"]["text"] == "done\n"


def test_a_dangerous_call_that_the_operator_permits_reaches_the_kernel(liberal_api: Api) -> None:
    source = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
import platform
number = {"x86_64": 250, "aarch64": 219}[platform.machine()]
print(libc.syscall(number, 0, 0xFFFFFFFE, 0, 0, 0) < 0 and ctypes.get_errno() == 1)
"""
    assert liberal_api.run(source)["stdout"]["text"] == "True\n"
    options = {"allowed_syscalls": ["keyctl"]}
    assert liberal_api.run(source, security_options=options)["stdout"]["text"] == "False\n"


def test_a_capability_that_is_asked_for_is_in_bounds_and_no_further(liberal_api: Api) -> None:
    execution = liberal_api.run(
        "pass",
        security_profile="privileged",
        resource_limits=NO_NETWORK,
        security_options={"allowed_capabilities": ["NET_RAW", "SYS_ADMIN"]},
    )
    held = execution["isolation"]["inside"]["capabilities"]
    assert {"NET_RAW", "SYS_ADMIN", "CHOWN"} <= set(held["bounding"])
    assert held["effective"] == held["permitted"] == held["ambient"] == []


def test_a_writable_root_is_one_where_it_is_asked_for_and_enabled(liberal_api: Api) -> None:
    execution = liberal_api.run("pass", security_options={"read_only_filesystem": False})
    assert execution["isolation"]["inside"]["mounts"]["/"].split()[-1].startswith("rw")
    assert execution["isolation"]["asked"]["read_only_filesystem"] is False


def test_privileged_with_no_new_privileges_asked_for_has_it(liberal_api: Api) -> None:
    for options, expected in (({}, False), ({"no_new_privileges": True}, True)):
        execution = liberal_api.run(
            "pass",
            security_profile="privileged",
            resource_limits=NO_NETWORK,
            security_options=options,
        )
        assert execution["isolation"]["inside"]["no_new_privileges"] is expected


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"allowed_syscalls": ["opne"]}, "security_options.allowed_syscalls.0"),
        ({"allowed_syscalls": ["ptrace"]}, "security_options.allowed_syscalls"),
        ({"blocked_syscalls": ["execve"]}, "security_options.blocked_syscalls"),
        ({"allowed_capabilities": ["CAP_CHOWN"]}, "security_options.allowed_capabilities.0"),
        ({"allowed_capabilities": ["SYS_ADMIN"]}, "security_options.allowed_capabilities"),
        ({"read_only_filesystem": False}, "security_options.read_only_filesystem"),
        ({"no_new_privileges": False}, "security_options.no_new_privileges"),
        ({"apparmor_profile": "unconfined"}, "security_options.apparmor_profile"),
        ({"seccomp": "unconfined"}, "security_options.seccomp"),
    ],
)
def test_what_the_operator_has_not_enabled_is_refused_by_name(
    api: Api, options: dict[str, object], field: str
) -> None:
    body = {"source": "pass", "security_options": options}
    answer = api.post("/v1/executions", json=body)
    assert answer.status_code == 422
    assert refused_fields(answer) == {field}


def test_a_stored_agents_options_hold_and_a_request_changes_them_one_by_one(api: Api) -> None:
    agent = {
        "source": "pass",
        "security_options": {
            "blocked_syscalls": ["symlink"],
            "apparmor_profile": "agentcore-minimal",
        },
    }
    assert api.put("/v1/agents/strict", json=agent).status_code in (200, 201)
    asked = api.run(agent="strict")["isolation"]["asked"]
    assert (asked["blocked_syscalls"], asked["apparmor"]) == (["symlink"], "agentcore-minimal")
    options = {"blocked_syscalls": ["link"]}
    asked = api.run(agent="strict", security_options=options)["isolation"]["asked"]
    assert (asked["blocked_syscalls"], asked["apparmor"]) == (["link"], "agentcore-minimal")


@pytest.mark.parametrize("layer", ["apparmor", "user_namespace"])
def test_a_required_layer_is_there_or_the_execution_is_refused(liberal: Stack, layer: str) -> None:
    api = liberal.client("isolation")
    all_words = {"apparmor": "AppArmor:", "user_namespace": "user namespace:"}
    words = all_words.pop(layer)
    lacking = any(item.startswith(words) for item in api.run("pass")["isolation"]["missing"])
    liberal.stop("run")
    liberal.start("run", **{layer: "require"})
    try:
        execution = api.run("print('ran')")
    finally:
        liberal.stop("run")
        liberal.start("run")
        liberal.wait_ready()
    if not lacking:
        assert execution["status"] == "succeeded"
        return
    assert (execution["status"], execution["reason"]) == ("rejected", "policy_violation")
    assert words in execution["message"]
    assert all_words.popitem()[1] not in execution["message"]  # that one is not required
    assert execution["started_at"] is None
    assert execution["stdout"]["text"] == ""
    trail = api.events(execution["id"])
    kinds = [event["kind"] for event in trail["items"]]
    assert "isolation_weaker" in kinds
    assert "user_code_started" not in kinds
    assert trail["intact"] is True


def test_a_layer_that_is_off_is_not_missed(liberal: Stack) -> None:
    api = liberal.client("isolation")
    liberal.stop("run")
    liberal.start("run", apparmor="off", user_namespace="off")
    try:
        execution = api.run("pass")
    finally:
        liberal.stop("run")
        liberal.start("run")
        liberal.wait_ready()
    assert execution["isolation"]["missing"] == []
    assert execution["isolation"]["asked"]["modes"]["apparmor"] == "off"
    assert "isolation_weaker" not in [
        event["kind"] for event in api.events(execution["id"])["items"]
    ]


def test_an_image_that_brings_a_volume_is_refused(
    liberal: Stack, sandbox_image: str, engine: object
) -> None:
    import docker

    assert isinstance(engine, docker.DockerClient)
    container = engine.containers.create(sandbox_image)
    try:
        container.commit("agentcore/test-volume", "1", changes=['VOLUME ["/data"]'])
    finally:
        container.remove()
    api = liberal.client("isolation")
    liberal.stop("run")
    liberal.start(
        "run",
        sandbox_images='{"python": "agentcore/test-volume:1"}',
        max_failed_starts="1",
    )
    try:
        execution = api.run("pass")
    finally:
        liberal.stop("run")
        engine.images.remove("agentcore/test-volume:1", force=True)
        liberal.start("run")
        liberal.wait_ready()
    assert (execution["status"], execution["reason"]) == ("lost", "sandbox_unavailable")
    assert "volume" in execution["message"]
