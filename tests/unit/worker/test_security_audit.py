"""From facts to verdicts: each check can say each thing that it has to say."""

import copy
from dataclasses import is_dataclass, replace
from pathlib import Path

import pytest
from pydantic import BaseModel

from models.settings import Settings
from security_profiles import rendered_files
from tests.unit.worker.test_isolation import ENGINE, INSIDE, REMAPPED
from worker.sandbox.container import seccomp_text
from worker.sandbox.isolation import asked, describe
from worker.sandbox.report import InsideReport
from worker.security_audit.command import judge
from worker.security_audit.facts import (
    AppArmor,
    DirectoryFacts,
    Engine,
    EngineAccess,
    Facts,
    PathFacts,
    Process,
    SandboxFacts,
)
from worker.security_audit.verdicts import Verdict

YES, HOST, NO = Verdict.ENFORCED, Verdict.NOT_ENFORCEABLE, Verdict.MISCONFIGURED
SECRET = "AGENTCORE_DATABASE_URL_FILE"
PROFILES = Path("/opt/profiles")
UNREMAPPED = ["0", "0", "4294967295"]


@pytest.fixture(scope="module")
def good(make_spec):
    """A host and settings at which there is nothing to complain about."""
    spec = make_spec()
    engine = copy.deepcopy(ENGINE)
    engine["HostConfig"]["SecurityOpt"] = [f"seccomp={seccomp_text(spec)}"]
    inside = {**INSIDE, "apparmor": "agentcore-standard (enforce)", "uid_map": REMAPPED}
    isolation = describe(InsideReport.model_validate(inside), engine) | {"asked": asked(spec)}
    services = {"database_url": "postgresql://x", "broker_url": "redis://x"}
    return Facts(
        settings=Settings(**services, allowed_profiles=("standard",)),
        access=EngineAccess(address="unix:///run/docker.sock", tls=False),
        engine=Engine(
            version="29.0",
            cgroup_version="2",
            security_options={"seccomp": "profile=builtin", "apparmor": "", "userns": ""},
            live_restore=True,
        ),
        engine_error="",
        apparmor=AppArmor(kernel_enabled=True, loaded={"agentcore-standard": "enforce"}),
        seccomp_actions=("kill_process", "errno", "allow"),
        process=Process(uid=1000, effective=()),
        paths=(
            PathFacts(name="Docker socket", path=Path("/run/docker.sock"), mode=0o660),
            PathFacts(name=SECRET, path=Path("/opt/url"), mode=0o400, secret=True),
            PathFacts(name="rendered profiles", path=PROFILES, mode=0o755),
        ),
        directories=(DirectoryFacts(name="rendered", path=PROFILES, exists=True, problems=()),),
        sandboxes=(SandboxFacts(profile="standard", spec=spec, isolation=isolation, seconds=0.2),),
    )


def but(value, path, new):
    """Return a copy of `value` in which what `path` leads to is `new`."""
    if not path:
        return new
    head, _, rest = path.partition("/")
    if isinstance(value, dict):
        return {**value, head: but(value[head], rest, new)}
    if isinstance(value, tuple):
        at = int(head)
        return (*value[:at], but(value[at], rest, new), *value[at + 1 :])
    changed = {head: but(getattr(value, head), rest, new)}
    if isinstance(value, BaseModel):
        return value.model_copy(update=changed)
    assert is_dataclass(value)
    return replace(value, **changed)


def checks(facts):
    return {check.name: check for section in judge(facts).sections for check in section.checks}


INSIDE_OF = "sandboxes/0/isolation/inside/"
BY_ENGINE = "sandboxes/0/isolation/engine/"
PROFILE = "sandboxes/0/spec/profile/"
APPARMOR, USERNS = "settings/apparmor", "settings/user_namespace"
NO_APPARMOR = {
    "apparmor/kernel_enabled": False,
    "engine/security_options": {"seccomp": "profile=builtin"},
    INSIDE_OF + "apparmor": "none",
}
NO_USERNS = {
    "engine/security_options": {"seccomp": "profile=builtin"},
    INSIDE_OF + "uid_map": UNREMAPPED,
}
BROKEN = {"sandboxes/0/isolation": None, "sandboxes/0/error": "no image", "sandboxes/0/advice": "x"}
SPEC_APPARMOR, SPEC_USERNS = "sandboxes/0/spec/apparmor", "sandboxes/0/spec/user_namespace"
PROBLEMS = "directories/0/problems"
MEMORY, LABEL = "memory and swap limits (standard)", "AppArmor label (standard)"
CHOICES = "what requests may choose"

CASES = [
    ("reachable", {"engine": None, "engine_error": "refused"}, NO, "refused"),
    ("connection", {"access/address": "tcp://10.0.0.1:2375"}, NO, "tcp://10.0.0.1:2375"),
    ("connection", {"access/address": "tcp://h:2376", "access/tls": True}, YES, "TLS"),
    ("connection", {"access/address": "ssh://host"}, YES, "ssh"),
    ("user namespace remapping", {"engine": None}, HOST, "no engine answers"),
    ("user namespace remapping", NO_USERNS, HOST, "remaps no users"),
    ("user namespace remapping", {**NO_USERNS, USERNS: "require"}, NO, "=require"),
    ("user namespace remapping", {USERNS: "off"}, HOST, "off by AGENTCORE_USER_NAMESPACE"),
    ("user namespace remapping", {"engine/security_options": {"rootless": ""}}, YES, "rootless"),
    ("live restore", {"engine/live_restore": False}, HOST, "ends every container"),
    ("live restore", {"engine": None}, HOST, "no engine answers"),
    ("kernel module", NO_APPARMOR, HOST, "does not enforce"),
    ("kernel module", {**NO_APPARMOR, APPARMOR: "require"}, NO, "=require"),
    ("kernel module", {**NO_APPARMOR, APPARMOR: "off"}, HOST, "off by AGENTCORE_APPARMOR"),
    ("engine support", NO_APPARMOR, HOST, "finds no AppArmor"),
    ("engine support", {**NO_APPARMOR, APPARMOR: "require"}, NO, "=require"),
    ("engine support", {**NO_APPARMOR, "apparmor/kernel_enabled": True}, NO, "does not use it"),
    ("engine support", {"engine": None}, HOST, "no engine answers"),
    ("engine support", {APPARMOR: "off"}, HOST, "off by"),
    ("loaded profiles", {"apparmor/loaded": {}}, NO, "not loaded"),
    ("loaded profiles", {"apparmor/loaded/agentcore-standard": "complain"}, NO, "complain"),
    ("loaded profiles", {"apparmor/loaded": None}, HOST, "root's to read"),
    ("loaded profiles", NO_APPARMOR, HOST, "does not enforce"),
    ("loaded profiles", {**NO_APPARMOR, APPARMOR: "require"}, NO, "=require"),
    ("loaded profiles", {"settings/allowed_profiles": ("minimal",)}, NO, "agentcore-minimal (not"),
    (CHOICES, {"settings/extra_apparmor_profiles": ("unconfined",)}, HOST, "unc"),
    (CHOICES, {"settings/extra_apparmor_profiles": ("docker-default",)}, YES, ""),
    ("kernel support", {"seccomp_actions": ()}, HOST, "no seccomp filters"),
    ("kernel support", {"seccomp_actions": ("allow",)}, NO, "errno"),
    ("Docker support", {"engine/security_options": {"userns": ""}}, NO, "no filters"),
    ("Docker support", {"engine/security_options/seccomp": "profile=unconfined"}, NO, "have none"),
    ("Docker support", {"engine": None}, HOST, "no engine answers"),
    ("calls that requests may add", {"settings/extra_syscalls": ("bpf",)}, HOST, "bpf"),
    ("calls that requests may add", {"settings/extra_syscalls": ("io_setup",)}, YES, "io_setup"),
    ("of this process", {"process/uid": 0}, HOST, "root"),
    ("of this process", {"process/effective": ("NET_RAW",)}, NO, "NET_RAW"),
    ("in a sandbox (standard)", {INSIDE_OF + "capabilities/ambient": ["KILL"]}, NO, "KILL"),
    ("in a sandbox (standard)", {INSIDE_OF + "capabilities/effective": ["KILL"]}, NO, "KILL"),
    ("in a sandbox (standard)", BROKEN, HOST, "no image"),
    ("what requests may add", {"settings/extra_capabilities": ("SYS_ADMIN",)}, HOST, "SYS_ADMIN"),
    ("what requests may add", {"settings/extra_capabilities": ("NET_RAW",)}, YES, "NET_RAW"),
    ("Docker socket", {"paths/0/mode": 0o666}, NO, "any user may write"),
    ("Docker socket", {"paths/0/open_parents": (Path("/run"),)}, NO, "replace it in /run"),
    ("Docker socket", {"paths/0/mode": None}, HOST, "does not exist"),
    (SECRET, {"paths/1/mode": 0o444}, NO, "may read the secret"),
    (SECRET, {"paths/1/mode": 0o444, "paths/1/mounted": True}, HOST, "out of sight"),
    (SECRET, {"paths/1/mode": 0o444, "paths/1/reachable": False}, YES, "0444"),
    (SECRET, {"paths/1/mode": 0o440}, YES, "0440"),
    (SECRET, {"paths/1/mode": 0o444, "paths/1/secret": False}, YES, "0444"),
    (SECRET, {"paths/1/mode": 0o402, "paths/1/secret": False}, NO, "any user may write"),
    ("rendered profiles", {"paths/2/mode": 0o777}, NO, "0777"),
    ("rendered profiles", {"paths/2/mode": 0o1777}, NO, "1777"),
    ("directory (rendered)", {PROBLEMS: (f"{PROFILES} is world-writable: run x",)}, NO, "writable"),
    ("seccomp profiles (rendered)", {PROBLEMS: (f"{PROFILES}/a.json differs: y",)}, NO, "differs"),
    ("seccomp profiles (rendered)", {"directories/0/exists": False}, HOST, "is missing"),
    ("AppArmor profiles (rendered)", {PROBLEMS: (f"{PROFILES}/a.apparmor is x",)}, NO, "is x"),
    ("AppArmor profiles (rendered)", {"directories/0/exists": False}, HOST, "is missing"),
    ("enabled profiles", {"settings/allowed_profiles": ("privileged",)}, HOST, "trusted"),
    ("sandbox starts (standard)", BROKEN, NO, "no image"),
    ("sandbox starts (standard)", {"engine": None, **BROKEN}, HOST, "not looked at"),
    ("capability dropping (standard)", {INSIDE_OF + "capabilities/bounding": ["BPF"]}, NO, "BPF"),
    ("capability dropping (standard)", BROKEN, HOST, "did not start"),
    ("read-only root (standard)", {INSIDE_OF + "mounts": {"/": "overlay rw"}}, NO, "overlay rw"),
    ("read-only root (standard)", {INSIDE_OF + "mounts": {}}, NO, "unknown"),
    ("read-only root (standard)", {INSIDE_OF + "mounts": {"/": "overlay rw,errors=ro"}}, NO, "rw"),
    ("security options (standard)", {INSIDE_OF + "seccomp_mode": 0}, NO, "mode 0"),
    ("security options (standard)", {BY_ENGINE + "seccomp_sha256": None}, NO, "another"),
    ("security options (standard)", {BY_ENGINE + "privileged": True}, NO, "privileged"),
    ("no new privileges (standard)", {INSIDE_OF + "no_new_privileges": False}, NO, "off"),
    ("process limit (standard)", {INSIDE_OF + "cgroup/pids_limit": "max"}, NO, "max"),
    ("process limit (standard)", {INSIDE_OF + "cgroup/pids_limit": "12"}, NO, "12"),
    ("process limit (standard)", {INSIDE_OF + "cgroup/pids_limit": ""}, NO, "none"),
    (MEMORY, {INSIDE_OF + "cgroup/memory_limit": "max"}, NO, "max"),
    (MEMORY, {INSIDE_OF + "cgroup/memory_swap_limit": "1"}, NO, "swap"),
    (MEMORY, {INSIDE_OF + "cgroup/memory_swap_limit": "0"}, YES, "256"),
    (MEMORY, {INSIDE_OF + "cgroup/memory_swap_limit": ""}, HOST, "no s"),
    ("network interfaces (standard)", {INSIDE_OF + "interfaces": ["eth0", "lo"]}, NO, "eth0"),
    ("network interfaces (standard)", {INSIDE_OF + "interfaces": []}, YES, "none"),
    ("non-root user (standard)", {INSIDE_OF + "uid": 0}, NO, "0:1000"),
    (LABEL, NO_APPARMOR, HOST, "none in force"),
    (LABEL, {**NO_APPARMOR, SPEC_APPARMOR: "require"}, NO, "=require"),
    (LABEL, {SPEC_APPARMOR: "off"}, HOST, "off by AGENTCORE_APPARMOR"),
    (LABEL, {INSIDE_OF + "apparmor": "docker-default (enforce)"}, NO, "docker"),
    ("user namespace (standard)", NO_USERNS, HOST, "remaps no users"),
    ("user namespace (standard)", {**NO_USERNS, SPEC_USERNS: "require"}, NO, "=require"),
    ("user namespace (standard)", {SPEC_USERNS: "off"}, HOST, "off by AGENTCORE_USER_NAMESPACE"),
    ("host mounts (standard)", {BY_ENGINE + "binds": ["/:/host"]}, NO, "/:/host"),
    ("host mounts (standard)", {BY_ENGINE + "volumes": ["/data"]}, NO, "/data"),
    ("host mounts (standard)", {INSIDE_OF + "other_mounts": ["/x ext4"]}, NO, "/x ext4"),
    # What the profile itself leaves off is no mistake, and is told all the same.
    ("no new privileges (standard)",
     {INSIDE_OF + "no_new_privileges": False, PROFILE + "no_new_privileges": False},
     HOST, "as the profile says"),
    ("read-only root (standard)",
     {INSIDE_OF + "mounts": {"/": "overlay rw"}, PROFILE + "read_only_filesystem": False},
     HOST, "as the profile says"),
    ("user namespace (standard)",
     {INSIDE_OF + "uid_map": UNREMAPPED, PROFILE + "user_namespace": False},
     HOST, "does not ask"),
]  # fmt: skip


def changed(facts, changes):
    for path, new in changes.items():
        facts = but(facts, path, new)
    return facts


def test_where_everything_is_in_force_every_verdict_is_enforced(good):
    audit = judge(good)
    assert {check.verdict for section in audit.sections for check in section.checks} == {YES}
    assert audit.exit_code == 0
    assert [section.number for section in audit.sections] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(("name", "changes", "verdict", "words"), CASES)
def test_a_changed_fact_changes_the_verdict(good, name, changes, verdict, words):
    audit = judge(changed(good, changes))
    found = {check.name: check for section in audit.sections for check in section.checks}
    check = found[name]
    assert check.verdict is verdict
    assert words in check.detail
    assert bool(check.advice) is (verdict is not YES)
    if verdict is NO:
        assert audit.exit_code == 1


def test_every_check_is_able_to_say_no(good):
    able = {name for name, _, verdict, _ in CASES if verdict is not YES}
    assert able == set(checks(good))


def test_two_checks_of_one_section_have_different_names(good):
    for section in judge(good).sections:
        names = [check.name for check in section.checks]
        assert len(names) == len(set(names))


def test_an_engine_that_is_away_fails_once_and_leaves_the_rest_unknown(good):
    unknown = {"isolation": None, "spec": None, "error": "no engine answers", "advice": "section 1"}
    facts = replace(good, engine=None, sandboxes=(replace(good.sandboxes[0], **unknown),))
    audit = judge(facts)
    assert audit.totals[NO] == 1
    assert checks(facts)["reachable"].verdict is NO
    assert all(
        check.verdict is HOST for check in audit.sections[6].checks if "(standard)" in check.name
    )


def test_what_is_not_enforceable_alone_is_no_failure(good):
    audit = judge(changed(good, NO_APPARMOR | {"engine/live_restore": False}))
    assert audit.totals[HOST] > 1
    assert audit.exit_code == 0


def test_profiles_that_are_not_enabled_are_named(good):
    assert "not looked at: minimal, privileged" in checks(good)["enabled profiles"].detail


def test_without_files_of_settings_the_audit_says_so(good):
    told = checks(replace(good, paths=(good.paths[0], good.paths[2])))
    assert told["settings files"].verdict is YES


def test_an_engine_elsewhere_has_its_socket_elsewhere(good):
    facts = replace(good, access=EngineAccess(address="ssh://host", tls=False))
    facts = replace(facts, paths=facts.paths[1:])
    assert checks(facts)["Docker socket"].verdict is HOST


def test_a_problem_is_told_once_and_beside_its_kind_of_file(good):
    problem = (
        f"{PROFILES}/agentcore-minimal.json is missing: run `python -m security_profiles render`"
    )
    told = checks(but(good, PROBLEMS, (problem,)))
    seccomp = told["seccomp profiles (rendered)"]
    assert seccomp.detail == f"{PROFILES}/agentcore-minimal.json is missing"
    assert seccomp.advice == f"run `python -m security_profiles render --directory {PROFILES}`"
    assert told["AppArmor profiles (rendered)"].verdict is YES
    assert told["directory (rendered)"].verdict is YES


def test_the_files_that_are_equal_are_named(good):
    told = checks(good)
    named = told["seccomp profiles (rendered)"].detail + told["AppArmor profiles (rendered)"].detail
    assert all(file in named for file in rendered_files())
