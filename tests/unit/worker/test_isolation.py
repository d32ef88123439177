"""What is in force against what was asked: every weakness is told."""

import copy
import json

import pytest

from tests.unit.storable import assert_jsonb
from worker.sandbox.container import process_limit, seccomp_text
from worker.sandbox.errors import ProtocolError
from worker.sandbox.full_network import NETWORK
from worker.sandbox.isolation import (
    asked,
    capability_names,
    describe,
    missing_layers,
    required,
    weaker_than_asked,
)
from worker.sandbox.report import InsideReport, parse

MEMORY = 256 * 1024 * 1024
NONE = "0000000000000000"
INSIDE = {
    "uid": 1000,
    "gid": 1000,
    "groups": [1000],
    "pid": 1,
    "seccomp_mode": 2,
    "seccomp_filters": 1,
    "uid_map": ["0", "0", "4294967295"],
    "apparmor": "none",
    "no_new_privileges": True,
    "dumpable": False,
    "capabilities": {
        "effective": NONE,
        "permitted": NONE,
        "inheritable": NONE,
        "bounding": "00000000000004cb",
        "ambient": NONE,
    },
    "mounts": {
        "/": "overlay ro,relatime",
        "/tmp": "tmpfs rw,nosuid,nodev,noexec,relatime,size=262144k,nr_inodes=16384",
        "/workspace": "tmpfs rw,nosuid,nodev,relatime,size=786432k,nr_inodes=49152,mode=700",
        "/dev/shm": "tmpfs rw,nosuid,nodev,noexec,relatime,size=16384k,nr_inodes=1024",
    },
    "other_mounts": [],
    "interfaces": ["lo"],
    "cgroup": {
        "memory_limit": str(MEMORY),
        "memory_swap_limit": str(MEMORY),
        "pids_limit": "11",
        "cpu_quota": "50000",
        "cpu_period": "100000",
    },
    "file_descriptors": 66,
}
ENGINE = {
    "Id": "0123456789abcdef",
    "Image": "sha256:1",
    "AppArmorProfile": "docker-default",
    "Mounts": [],
    "HostConfig": {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "Privileged": False,
        "Memory": MEMORY,
        "MemorySwap": MEMORY,
        "PidsLimit": 11,
        "CpuQuota": 50_000,
        "CpuPeriod": 100_000,
        "SecurityOpt": ["seccomp={}", "no-new-privileges:true"],
        "UsernsMode": "",
        "Binds": None,
    },
}


def changed(original, path, value):
    result = copy.deepcopy(original)
    at = result
    *parents, last = path.split(".")
    for name in parents:
        at = at[name]
    at[last] = value
    return result


def described(inside=INSIDE, engine=ENGINE):
    return describe(InsideReport.model_validate(inside), engine)


def weaker(spec, inside=INSIDE, engine=ENGINE):
    if engine["HostConfig"]["SecurityOpt"] == ENGINE["HostConfig"]["SecurityOpt"]:
        options = [f"seccomp={seccomp_text(spec)}", "no-new-privileges:true"]
        engine = changed(engine, "HostConfig.SecurityOpt", options)
    return weaker_than_asked(spec, described(inside, engine))


def test_what_was_asked_is_not_weaker(make_spec):
    assert weaker(make_spec()) == []


def test_cgroup_version_two_is_understood(make_spec):
    assert weaker(make_spec(), changed(INSIDE, "cgroup.cpu_quota", "50000 100000")) == []


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        ("seccomp_mode", 0, "seccomp"),
        ("seccomp_mode", 1, "seccomp"),
        ("no_new_privileges", False, "no_new_privileges"),
        ("dumpable", True, "traced"),
        ("uid", 0, "user"),
        ("gid", 0, "user"),
        ("capabilities.effective", "0000000000000001", "effective"),
        ("capabilities.bounding", "00000000002004cb", "capabilities"),
        ("capabilities.bounding", "000001ffffffffff", "capabilities"),
        ("mounts./", "overlay rw,relatime", "root file system"),
        ("mounts./", "", "root file system"),
        ("mounts./workspace", "overlay rw,nosuid,nodev", "tmpfs"),
        ("mounts./tmp", "tmpfs rw,nosuid,noexec,size=1k,nr_inodes=1", "/tmp"),
        ("mounts./tmp", "tmpfs rw,nosuid,nodev,size=1k,nr_inodes=1", "/tmp"),
        ("mounts./tmp", "tmpfs rw,nosuid,nodev,noexec,nr_inodes=1", "/tmp"),
        ("mounts./tmp", "tmpfs rw,nosuid,nodev,noexec,size=262145k,nr_inodes=1", "/tmp"),
        ("mounts./tmp", "tmpfs rw,nosuid,nodev,noexec,size=1k,nr_inodes=16385", "/tmp"),
        ("mounts./tmp", "tmpfs rw,nosuid,nodev,noexec,size=1k", "/tmp"),
        ("mounts./dev/shm", "", "/dev/shm"),
        ("groups", [1000, 0], "group"),
        ("capabilities.permitted", "0000000000000001", "permitted"),
        ("capabilities.inheritable", "0000000000000001", "inheritable"),
        ("capabilities.ambient", "0000000000000001", "ambient"),
        ("file_descriptors", 1024, "descriptor"),
        ("cgroup.memory_swap_limit", "9223372036854771712", "swap"),
        ("cgroup.memory_swap_limit", "max", "swap"),
        ("interfaces", ["eth0", "lo"], "network"),
        ("other_mounts", ["/host ext4"], "mounted"),
        ("cgroup.memory_limit", "max", "memory"),
        ("cgroup.memory_limit", "9223372036854771712", "memory"),
        ("cgroup.memory_limit", "", "memory"),
        ("cgroup.pids_limit", "max", "process"),
        ("cgroup.pids_limit", "", "process"),
        ("cgroup.cpu_quota", "max 100000", "CPU"),
        ("cgroup.cpu_quota", "-1", "CPU"),
        ("cgroup.cpu_quota", "", "CPU"),
    ],
)
def test_a_missing_protection_inside_is_told(make_spec, path, value, word):
    found = weaker(make_spec(), changed(INSIDE, path, value))
    assert len(found) == 1
    assert word in found[0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("HostConfig.Privileged", True),
        ("HostConfig.Binds", ["/:/host"]),
        ("HostConfig.SecurityOpt", ["seccomp=unconfined"]),
        ("HostConfig.SecurityOpt", ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']),
        ("HostConfig.SecurityOpt", None),
        ("Mounts", [{"Destination": "/data"}]),
    ],
)
def test_what_the_engine_says_counts_too(make_spec, path, value):
    assert weaker(make_spec(), engine=changed(ENGINE, path, value)) != []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("cgroup.pids_limit", "4096"),
        ("cgroup.cpu_quota", "400000"),
        ("cgroup.cpu_quota", "400000 100000"),
    ],
)
def test_a_limit_looser_than_asked_is_told(make_spec, path, value):
    assert weaker(make_spec(), changed(INSIDE, path, value)) != []


def test_a_capability_bit_without_a_name_is_told(make_spec):
    assert weaker(make_spec(), changed(INSIDE, "capabilities.bounding", "8000000000000000")) != []


def test_a_minimal_profile_leaves_no_capability_in_bounds(make_spec):
    spec = make_spec({"source": "x", "security_profile": "minimal", "restricted_python": False})
    mount = "tmpfs rw,nosuid,nodev,noexec,size=786432k,nr_inodes=49152"
    inside = changed(INSIDE, "mounts./workspace", mount)
    assert weaker(spec, inside) == ["more capabilities than asked"]


@pytest.mark.parametrize("name", sorted(INSIDE))
def test_a_report_that_lacks_a_fact_is_not_believed(name):
    inside = {key: value for key, value in INSIDE.items() if key != name}
    with pytest.raises(ProtocolError, match=name):
        parse(InsideReport, json.dumps(inside).encode())


def test_the_description_is_recorded_with_names(make_spec):
    told = described()
    assert_jsonb(told)
    assert told["engine"]["container"] == "0123456789ab"
    assert told["engine"]["cpu_cores"] == 0.5
    assert len(told["engine"]["seccomp_sha256"]) == 64
    assert told["inside"]["capabilities"]["bounding"] == [
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "NET_BIND_SERVICE",
    ]  # fmt: skip


def test_no_cpu_period_is_no_division_by_zero():
    engine = changed(ENGINE, "HostConfig.CpuPeriod", 0)
    assert described(engine=engine)["engine"]["cpu_cores"] is None


@pytest.mark.parametrize(
    ("mask", "names"), [("", []), (NONE, []), ("1", ["CHOWN"]), ("200000", ["SYS_ADMIN"])]
)
def test_a_capability_mask_is_read_bit_by_bit(mask, names):
    assert capability_names(mask) == names


REMAPPED = ["0", "100000", "65536"]


def missing(spec, apparmor="none", uid_map=("0", "0", "4294967295")):
    inside = changed(changed(INSIDE, "apparmor", apparmor), "uid_map", list(uid_map))
    return missing_layers(spec, described(inside))


def test_a_host_without_either_layer_lacks_both(make_spec):
    assert set(missing(make_spec())) == {"apparmor", "user_namespace"}


def test_a_host_with_both_lacks_nothing(make_spec):
    assert missing(make_spec(), "agentcore-standard (enforce)", REMAPPED) == {}


@pytest.mark.parametrize(
    "label",
    [
        "agentcore-standard (complain)",
        "agentcore-standard-old (enforce)",
        "docker-default (enforce)",
        "unconfined",
    ],
)
def test_another_apparmor_label_is_told(make_spec, label):
    (told,) = missing(make_spec(), label, REMAPPED).values()
    assert label in told


@pytest.mark.parametrize("uid_map", [[], ["0"], ["0", "0", "4294967295"], ["0", "x", "1"]])
def test_a_map_that_shows_no_remapping_counts_as_none(make_spec, uid_map):
    assert "user_namespace" in missing(make_spec(), uid_map=uid_map)


def test_the_privileged_profile_has_a_label_of_its_own_and_no_user_namespace(make_spec):
    body = {"source": "x", "security_profile": "privileged"}
    body["resource_limits"] = {"network_access": "none"}
    spec = make_spec(body, allowed_profiles=("standard", "privileged"))
    assert missing(spec, "agentcore-privileged (enforce)") == {}
    assert set(missing(spec, "agentcore-standard (enforce)")) == {"apparmor"}
    spec = make_spec(body, allowed_profiles=("standard", "privileged"), user_namespace="require")
    assert set(missing(spec, "agentcore-privileged (enforce)")) == {"user_namespace"}


@pytest.mark.parametrize("label", ["none", "unconfined"])
def test_unconfined_that_was_asked_for_misses_nothing(make_spec, label):
    body = {"source": "x", "security_options": {"apparmor_profile": "unconfined"}}
    spec = make_spec(body, extra_apparmor_profiles=("unconfined",))
    assert missing(spec, label, REMAPPED) == {}


def test_a_layer_that_is_off_is_never_missing(make_spec):
    assert missing(make_spec(apparmor="off", user_namespace="off")) == {}


@pytest.mark.parametrize(
    ("modes", "refused"),
    [
        ({}, []),
        ({"apparmor": "require"}, ["apparmor"]),
        ({"user_namespace": "require"}, ["user_namespace"]),
        ({"apparmor": "require", "user_namespace": "require"}, ["apparmor", "user_namespace"]),
        ({"apparmor": "require", "user_namespace": "off"}, ["apparmor"]),
    ],
)
def test_only_what_is_required_is_refused(make_spec, modes, refused):
    spec = make_spec(**modes)
    assert required(spec, missing(spec)) == refused


def test_what_was_asked_is_recorded_with_the_requests_changes(make_spec):
    options = {"blocked_syscalls": ["socket"], "allowed_capabilities": ["CHOWN"]}
    told = asked(make_spec({"source": "x", "security_options": options}))
    assert_jsonb(told)
    assert told["profile_name"] == "standard"
    assert told["blocked_syscalls"] == ["socket"]
    assert told["seccomp_sha256"] != asked(make_spec())["seccomp_sha256"]
    assert set(told["modes"]) == {"apparmor", "user_namespace", "full_network"}
    assert set(told["modes"].values()) == {"prefer"}


REACHING = {"source": "x", "allowed_hosts": ["a.example"]}
MOUNTED = "/run/agentcore ext4 ro"
BOUND = "/run/gates/g1:/run/agentcore:ro"


def reaching(make_spec, mounts, binds):
    spec = make_spec(REACHING)
    inside = changed(INSIDE, "other_mounts", mounts)
    inside = changed(inside, "cgroup.pids_limit", str(process_limit(spec)))
    mounts = [mounted(*bind.split(":")) for bind in binds]
    return weaker(spec, inside, changed(ENGINE, "Mounts", mounts))


def mounted(source, target, mode="rw"):
    return {"Type": "bind", "Source": source, "Destination": target, "RW": mode == "rw"}


def test_the_folder_of_the_egress_proxy_is_the_one_mount_that_is_asked(make_spec):
    assert reaching(make_spec, [MOUNTED], [BOUND]) == []


@pytest.mark.parametrize(
    ("mounts", "binds"),
    [
        ([], [BOUND]),
        ([MOUNTED], []),
        (["/run/agentcore ext4 rw"], [BOUND]),
        ([MOUNTED], ["/run/gates/g1:/run/agentcore:rw"]),
        ([MOUNTED], ["/run/gates/g1:/run/agentcore"]),
        ([MOUNTED, "/data ext4 ro"], [BOUND]),
        ([MOUNTED], [BOUND, "/:/host:ro"]),
        (["/data ext4 ro"], ["/:/data:ro"]),
    ],
)
def test_any_other_mount_is_weaker(make_spec, mounts, binds):
    assert reaching(make_spec, mounts, binds) != []


def test_a_folder_is_weaker_where_no_host_may_be_reached(make_spec):
    assert weaker(make_spec(), changed(INSIDE, "other_mounts", [MOUNTED])) != []


FULL = {"source": "x", "resource_limits": {"network_access": "full"}}
CLOSED = {"gateway": "closed", "metadata": "closed"}


def full(make_spec, **settings):
    return make_spec(FULL, allow_full_network=True, **settings)


def on_the_network(interfaces, mode, reached=CLOSED):
    inside = changed(INSIDE, "interfaces", interfaces)
    inside["reachability"] = reached
    return inside, changed(ENGINE, "HostConfig.NetworkMode", mode)


def test_full_is_its_own_network_and_no_other(make_spec):
    spec = full(make_spec)
    assert weaker(spec, *on_the_network(["eth0", "lo"], NETWORK)) == []
    assert weaker(spec, *on_the_network(["eth0", "lo"], "bridge")) != []
    assert weaker(spec, *on_the_network(["eth0", "eth1", "lo"], NETWORK)) != []
    assert weaker(make_spec(), *on_the_network(["eth0", "lo"], NETWORK)) != []
    assert weaker(make_spec(), *on_the_network(["lo"], NETWORK)) != []


@pytest.mark.parametrize(
    ("reached", "words"),
    [
        (CLOSED, None),
        (CLOSED | {"gateway": "silent"}, None),
        (CLOSED | {"gateway": "open"}, "reaches the host"),
        (CLOSED | {"metadata": "open"}, "reaches the host"),
        (CLOSED | {"metadata": "silent"}, "nothing shows"),
        (CLOSED | {"metadata": "unreachable"}, "nothing shows"),
        (CLOSED | {"gateway": "absent"}, "nothing shows"),
        ({}, "nothing shows"),
    ],
)
def test_what_full_reaches_of_the_host_is_told(make_spec, reached, words):
    inside, engine = on_the_network(["eth0", "lo"], NETWORK, reached)
    for mode, refuses in (("prefer", False), ("require", True), ("off", False)):
        spec = full(make_spec, full_network=mode)
        found = missing_layers(spec, described(inside, engine))
        if words is None or mode == "off":
            assert "full_network" not in found
        else:
            assert words in found["full_network"]
            assert ("full_network" in required(spec, found)) is refuses
