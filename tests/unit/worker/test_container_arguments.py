"""Every hardening option is in the create call; the engine is never asked to choose."""

import json

import pytest
from docker import APIClient

from models.settings import Settings
from worker.sandbox import container


@pytest.fixture(scope="module")
def api():
    """A client that never connects: its version is given."""
    client = APIClient(base_url="unix:///nonexistent.sock", version="1.41")
    yield client
    client.close()


@pytest.fixture
def arguments(api, make_spec):
    def make(body=None, options=frozenset(), **changes):
        spec = make_spec(body, **changes)
        return container.create_arguments(api, spec, {"a": "b"}, options)

    return make


def test_the_sandbox_has_no_privileges_network_or_swap(arguments):
    host = arguments()["host_config"]
    assert host["NetworkMode"] == "none"
    assert host["CapDrop"] == ["ALL"]
    assert host["ReadonlyRootfs"] is True
    assert host["IpcMode"] == "private"
    assert host["Memory"] == host["MemorySwap"] == 256 * 1024 * 1024
    assert host["LogConfig"]["Type"] == "none"
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["OomScoreAdj"] >= 0
    assert not host.get("Privileged")
    assert not host.get("Binds")
    assert not host.get("Devices")
    assert not host.get("PidMode")
    assert not host.get("UsernsMode")


def test_the_sandbox_runs_the_supervisor_as_an_ordinary_user(arguments):
    made = arguments()
    assert made["user"] == "1000:1000"
    assert made["tty"] is False
    assert made["stdin_open"] is True
    assert made["entrypoint"][0] == "python3"
    assert made["command"] == []
    assert made["labels"] == {"a": "b"}


def test_nothing_that_a_request_says_is_in_the_command_line(arguments):
    made = arguments({"command": ["evil-word"], "environment": {"EVIL_NAME": "evil-word"}})
    assert (
        "evil" not in json.dumps({key: made[key] for key in made if key != "host_config"}).lower()
    )


def test_limits_are_set_in_the_units_of_the_engine(arguments):
    limits = {"max_memory_mb": 64, "max_cpu_percent": 25, "max_processes": 5}
    limits["max_file_descriptors"] = 20
    host = arguments({"source": "x", "execution_limits": limits})["host_config"]
    assert host["Memory"] == 64 * 1024 * 1024
    assert host["CpuQuota"] / host["CpuPeriod"] == 0.25
    assert host["PidsLimit"] == 5 + container.SUPERVISOR_PROCESSES
    ulimits = {item["Name"]: (item["Soft"], item["Hard"]) for item in host["Ulimits"]}
    assert ulimits == {"nofile": (36, 36), "core": (0, 0), "msgqueue": (0, 0)}


def test_the_least_cpu_is_not_under_what_the_kernel_takes(arguments):
    host = arguments({"source": "x", "execution_limits": {"max_cpu_percent": 5}})["host_config"]
    assert host["CpuQuota"] >= 1000  # microseconds, the kernel's minimum


@pytest.mark.parametrize("quota", [4, 5, 7, 1024])
def test_both_tmpfs_share_the_quota_and_are_hardened(arguments, quota):
    body = {"source": "x", "resource_limits": {"storage_quota_mb": quota}}
    tmpfs = arguments(body)["host_config"]["Tmpfs"]
    shared_memory = tmpfs.pop("/dev/shm")
    assert "nosuid,nodev,noexec" in shared_memory
    assert "size=16m,nr_inodes=1024" in shared_memory
    assert set(tmpfs) == {"/workspace", "/tmp"}
    sizes = []
    for options in tmpfs.values():
        given = options.split(",")
        assert {"nosuid", "nodev"} <= set(given)
        values = dict(item.split("=") for item in given if "=" in item)
        sizes.append(int(values["size"].removesuffix("m")))
        assert int(values["nr_inodes"]) > 0
    assert min(sizes) > 0
    assert quota - 1 <= sum(sizes) <= quota
    assert "noexec" in tmpfs["/tmp"]


def test_only_the_minimal_profile_forbids_programs_in_the_workspace(arguments):
    minimal = {"source": "x", "security_profile": "minimal", "restricted_python": False}
    assert ",exec," in arguments()["host_config"]["Tmpfs"]["/workspace"]
    assert ",noexec," in arguments(minimal)["host_config"]["Tmpfs"]["/workspace"]


def test_the_seccomp_profile_is_ours_and_denies_by_default(arguments):
    options = arguments()["host_config"]["SecurityOpt"]
    (seccomp,) = (item for item in options if item.startswith("seccomp="))
    profile = json.loads(seccomp.removeprefix("seccomp="))
    assert profile["defaultAction"] != "SCMP_ACT_ALLOW"
    allowed = {
        name
        for rule in profile["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW"
        for name in rule["names"]
    }
    assert "read" in allowed
    assert not allowed & {"mount", "ptrace", "bpf", "io_uring_setup", "unshare", "setns"}


def test_apparmor_is_asked_for_only_where_the_engine_has_it(arguments):
    def given(options):
        found = arguments(options=options)["host_config"]["SecurityOpt"]
        return [item for item in found if item.startswith("apparmor=")]

    assert given(frozenset()) == []
    assert len(given(frozenset({"apparmor"}))) == 1


def test_apparmor_that_is_off_is_left_to_the_engine(arguments):
    host = arguments(options=frozenset({"apparmor"}), apparmor="off")["host_config"]
    assert not [item for item in host["SecurityOpt"] if item.startswith("apparmor=")]


def test_a_requests_changes_are_in_the_filter(arguments):
    changes = {"allowed_syscalls": ["io_setup"], "blocked_syscalls": ["socket"]}
    body = {"source": "x", "security_options": changes}
    options = arguments(body, extra_syscalls=("io_setup",))["host_config"]["SecurityOpt"]
    allowed = {
        name
        for rule in json.loads(options[0].removeprefix("seccomp="))["syscalls"]
        for name in rule["names"]
    }
    assert "io_setup" in allowed
    assert "socket" not in allowed


@pytest.mark.parametrize(
    ("loaded", "given"),
    [
        ({"agentcore-standard": "enforce"}, "agentcore-standard"),
        ({"agentcore-standard-old": "enforce", "x-agentcore-standard": "enforce"}, None),
        ({}, None),
        (None, "agentcore-standard"),  # not ours to read: the engine is asked
    ],
)
def test_an_apparmor_profile_that_is_not_loaded_falls_back(arguments, monkeypatch, loaded, given):
    monkeypatch.setattr("security_profiles.loaded_profiles", lambda: loaded)
    found = arguments(options=frozenset({"apparmor"}))["host_config"]["SecurityOpt"]
    assert f"apparmor={given or container.FALLBACK}" in found


def test_the_capabilities_are_those_of_the_profile(arguments):
    minimal = {"source": "x", "security_profile": "minimal", "restricted_python": False}
    assert not arguments(minimal)["host_config"].get("CapAdd")
    added = arguments()["host_config"]["CapAdd"]
    assert set(added) == {
        "NET_BIND_SERVICE", "CHOWN", "SETGID", "SETUID", "DAC_OVERRIDE", "FOWNER",
    }  # fmt: skip


def test_the_image_is_the_catalogues_reference(arguments):
    assert arguments(sandbox_images={"python": "registry/x:1"})["image"] == "registry/x:1"
    assert Settings(database_url="unused://", broker_url="unused://").sandbox_images.keys() == {
        "python"
    }
