"""What is in force against what was asked: every weakness is told."""

import copy
import json

import pytest

from tests.unit.storable import assert_jsonb
from worker.sandbox.errors import ProtocolError
from worker.sandbox.isolation import (
    CAPABILITY_BITS,
    capability_names,
    describe,
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
    "capabilities": {
        "effective": NONE,
        "permitted": NONE,
        "inheritable": NONE,
        "bounding": "00000000000004cb",
        "ambient": NONE,
    },
    "mounts": {
        "/": "overlay ro,relatime",
        "/tmp": "tmpfs rw,nosuid,nodev,noexec",
        "/workspace": "tmpfs rw,nosuid,nodev",
        "/dev/shm": "tmpfs rw,nosuid,nodev,noexec",
    },
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


def weaker(spec, inside=INSIDE, engine=ENGINE):
    return weaker_than_asked(spec, describe(InsideReport.model_validate(inside), engine))


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
        ("uid", 0, "user"),
        ("gid", 0, "user"),
        ("capabilities.effective", "0000000000000001", "effective"),
        ("capabilities.bounding", "00000000002004cb", "capabilities"),
        ("capabilities.bounding", "000001ffffffffff", "capabilities"),
        ("mounts./", "overlay rw,relatime", "root file system"),
        ("mounts./", "", "root file system"),
        ("mounts./workspace", "overlay rw,nosuid,nodev", "tmpfs"),
        ("mounts./tmp", "tmpfs rw,nosuid", "tmpfs"),
        ("file_descriptors", 1024, "descriptor"),
        ("cgroup.memory_swap_limit", "9223372036854771712", "swap"),
        ("cgroup.memory_swap_limit", "max", "swap"),
        ("interfaces", ["eth0", "lo"], "network"),
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
    [("HostConfig.Privileged", True), ("HostConfig.Binds", ["/:/host"])],
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
    assert weaker(spec) == ["more capabilities than asked"]


@pytest.mark.parametrize("name", sorted(INSIDE))
def test_a_report_that_lacks_a_fact_is_not_believed(name):
    inside = {key: value for key, value in INSIDE.items() if key != name}
    with pytest.raises(ProtocolError, match=name):
        parse(InsideReport, json.dumps(inside).encode())


def test_the_description_is_recorded_with_names(make_spec):
    told = describe(InsideReport.model_validate(INSIDE), ENGINE)
    assert_jsonb(told)
    assert told["engine"]["container"] == "0123456789ab"
    assert told["engine"]["cpu_cores"] == 0.5
    assert told["engine"]["seccomp"] is True
    assert told["inside"]["capabilities"]["bounding"] == [
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "NET_BIND_SERVICE",
    ]  # fmt: skip


def test_no_cpu_period_is_no_division_by_zero():
    assert (
        describe(InsideReport.model_validate(INSIDE), changed(ENGINE, "HostConfig.CpuPeriod", 0))[
            "engine"
        ]["cpu_cores"]
        is None
    )


@pytest.mark.parametrize(
    ("mask", "names"), [("", []), (NONE, []), ("1", ["CHOWN"]), ("200000", ["SYS_ADMIN"])]
)
def test_a_capability_mask_is_read_bit_by_bit(mask, names):
    assert capability_names(mask) == names


def test_every_capability_of_the_kernel_header_has_its_bit():
    known = {"CHOWN": 0, "KILL": 5, "NET_ADMIN": 12, "SYS_ADMIN": 21, "SETFCAP": 31, "BPF": 39}
    assert known.items() <= CAPABILITY_BITS.items()
    assert CAPABILITY_BITS["CHECKPOINT_RESTORE"] == 40
    assert len(CAPABILITY_BITS) == 41
