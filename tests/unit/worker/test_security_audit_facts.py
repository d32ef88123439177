"""What the audit gathers: from the file system, the engine's words, and sandboxes."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from models.settings import Settings
from security_profiles.files import write_rendered
from worker.sandbox.errors import (
    EngineUnavailableError,
    ImageUnavailableError,
    IsolationRefusedError,
    ProtocolError,
    SandboxStartError,
    WeakerIsolationError,
)
from worker.sandbox.fake import FakeBackend
from worker.security_audit.collect import (
    apparmor_facts,
    directory_facts,
    engine_access,
    engine_facts,
)
from worker.security_audit.paths import look_at, path_facts
from worker.security_audit.sandboxes import (
    AUDIT_DEPLOYMENT,
    look_inside,
    sandbox_facts,
    sandbox_spec,
)


@pytest.fixture
def settings():
    def make(**changes):
        services = {"database_url": "postgresql://x", "broker_url": "redis://x"}
        return Settings(**services | changes)

    return make


def never(spec, cancelled):
    raise AssertionError("a program was run")


def test_permissions_and_owner_are_read(tmp_path):
    file = tmp_path / "secret"
    file.touch()
    file.chmod(0o640)
    found = look_at("x", file, secret=True)
    assert found.mode == 0o640
    assert found.owner.count(":") == 1
    assert found.secret
    assert not found.mounted


def test_a_path_that_is_not_there_has_no_mode(tmp_path):
    assert look_at("x", tmp_path / "none").mode is None


def test_a_folder_that_anybody_may_change_is_told(tmp_path):
    folder = tmp_path / "open"
    (folder / "below").mkdir(parents=True)
    folder.chmod(0o777)
    assert look_at("x", folder / "below").open_parents == (folder,)


def test_a_sticky_folder_lets_nobody_replace_what_is_in_it(tmp_path):
    folder = tmp_path / "sticky"
    (folder / "below").mkdir(parents=True)
    folder.chmod(0o1777)
    assert look_at("x", folder / "below").open_parents == ()


def test_the_folder_of_a_link_counts_and_so_does_that_of_its_target(tmp_path):
    names, targets = tmp_path / "names", tmp_path / "targets"
    for folder in (names, targets):
        folder.mkdir()
        folder.chmod(0o777)
    (targets / "file").touch()
    (names / "link").symlink_to(targets / "file")
    assert set(look_at("x", names / "link").open_parents) == {names, targets}


def test_a_folder_that_lets_only_its_owner_through_hides_what_is_in_it(tmp_path):
    (tmp_path / "file").touch()
    tmp_path.chmod(0o700)
    assert not look_at("x", tmp_path / "file").reachable


def test_only_files_of_settings_are_looked_at_and_secrets_are_known(tmp_path):
    environment = {
        "AGENTCORE_DATABASE_OWNER_URL_FILE": str(tmp_path / "a"),
        "AGENTCORE_BROKER_URL_FILE": str(tmp_path / "b"),
        "AGENTCORE_LOG_LEVEL_FILE": str(tmp_path / "c"),
        "AGENTCORE_NO_SETTING_FILE": str(tmp_path / "d"),
        "AGENTCORE_LOG_LEVEL": "info",
        "OTHER_FILE": "/etc/passwd",
    }
    found = path_facts(Path("/s"), environment, [("profiles", tmp_path)])
    assert {one.name: one.secret for one in found} == {
        "Docker socket": False,
        "AGENTCORE_DATABASE_OWNER_URL_FILE": True,
        "AGENTCORE_BROKER_URL_FILE": True,
        "AGENTCORE_LOG_LEVEL_FILE": False,
        "AGENTCORE_NO_SETTING_FILE": True,
        "profiles": False,
    }


@pytest.mark.parametrize(
    ("environment", "socket", "tls"),
    [
        ({}, Path("/var/run/docker.sock"), False),
        ({"DOCKER_HOST": ""}, Path("/var/run/docker.sock"), False),
        ({"DOCKER_HOST": "unix:///run/user/1/docker.sock"}, Path("/run/user/1/docker.sock"), False),
        ({"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1"}, None, True),
    ],
)
def test_the_way_to_the_engine_is_that_of_the_sdk(environment, socket, tls):
    access = engine_access(environment)
    assert (access.socket, access.tls) == (socket, tls)


def test_the_engines_security_options_are_read_with_their_parameters():
    options = ["name=seccomp,profile=default", "name=userns"]
    engine = engine_facts({"ServerVersion": "29", "SecurityOptions": options})
    assert engine.security_options == {"seccomp": "profile=default", "userns": ""}
    assert not engine.live_restore
    assert engine_facts({"SecurityOptions": None}).security_options == {}


def test_apparmor_is_read_from_the_kernels_two_files(tmp_path):
    switch, loaded = tmp_path / "enabled", tmp_path / "profiles"
    switch.write_text("Y\n")
    loaded.write_text("agentcore-standard (enforce)\nsnap.x (y) (complain)\n")
    found = apparmor_facts(switch, loaded)
    assert found.kernel_enabled
    assert found.loaded == {"agentcore-standard": "enforce", "snap.x (y)": "complain"}


def test_a_list_of_profiles_that_is_empty_is_not_one_that_cannot_be_read(tmp_path):
    (tmp_path / "empty").touch()
    assert apparmor_facts(tmp_path / "none", tmp_path / "empty").loaded == {}
    assert apparmor_facts(tmp_path / "none", tmp_path / "none").loaded is None
    assert not apparmor_facts(tmp_path / "none", tmp_path / "none").kernel_enabled


def test_a_profile_directory_is_held_against_the_code(tmp_path):
    write_rendered(tmp_path)
    assert directory_facts("x", tmp_path).problems == ()
    (tmp_path / "agentcore-minimal.json").write_text("{}")
    (problem,) = directory_facts("x", tmp_path).problems
    assert "agentcore-minimal.json" in problem


def test_a_profile_directory_that_is_missing_is_a_fact(tmp_path):
    found = directory_facts("x", tmp_path / "none")
    assert not found.exists
    assert found.problems


@pytest.mark.parametrize("profile", ["minimal", "standard", "privileged"])
def test_the_sandbox_of_every_profile_is_a_requests_own(settings, profile):
    spec = sandbox_spec(settings(allowed_profiles=("standard", profile)), profile)
    assert spec.profile.profile_name == profile
    assert spec.image_reference == "agentcore/sandbox:dev"
    assert not spec.allow_network


def test_another_name_in_the_catalogue_is_taken_where_python_is_none(settings):
    spec = sandbox_spec(settings(sandbox_images={"other": "x:1"}), "standard")
    assert spec.image_reference == "x:1"


def test_a_sandbox_is_read_and_ended_before_any_program_runs(settings):
    found = look_inside(FakeBackend(never), settings(), "standard")
    assert found.isolation == {"inside": {}, "engine": {}}
    assert found.error == ""


def outcome_of(error):
    def fail():
        raise error

    return FakeBackend(never, before=fail)


@pytest.mark.parametrize(
    ("error", "words", "advice"),
    [
        (ImageUnavailableError("agentcore/sandbox:dev"), "agentcore/sandbox:dev", "make sandbox-i"),
        (SandboxStartError("isolation is weaker than asked: no seccomp"), "no seccomp", "solved"),
        (ProtocolError("not a report"), "not a report", "solved"),
        (EngineUnavailableError("the engine hung"), "hung", "log"),
    ],
)
def test_a_sandbox_that_does_not_start_is_a_fact(settings, error, words, advice):
    found = look_inside(outcome_of(error), settings(), "standard")
    assert found.isolation is None
    assert words in found.error
    assert advice in found.advice


def test_a_sandbox_that_the_settings_refuse_still_tells_its_isolation(settings):
    isolation = {"inside": {"apparmor": "none", "uid_map": ["0", "0", "1"]}, "missing": ["x"]}
    backend = outcome_of(IsolationRefusedError(["x"], isolation))
    found = look_inside(backend, settings(apparmor="require"), "standard")
    assert found.isolation == isolation
    assert found.error.startswith("required, but not in force: x")


def test_a_weaker_sandbox_still_tells_its_isolation(settings):
    isolation = {"inside": {"apparmor": "none", "uid_map": ["0", "0", "1"]}, "missing": []}
    backend = outcome_of(WeakerIsolationError(["swap is allowed"], isolation))
    found = look_inside(backend, settings(), "standard")
    assert found.isolation == isolation
    assert "swap is allowed" in found.error


def test_settings_that_refuse_every_request_are_a_fact(settings):
    found = look_inside(FakeBackend(never), settings(sandbox_images={}), "standard")
    assert "catalogue" in found.error
    assert look_inside(FakeBackend(never), settings(sandbox_images={"A B": "x"}), "standard").error


def test_without_an_engine_no_sandbox_is_tried(settings):
    said = []
    found = sandbox_facts(settings(), said.append, engine_answers=False)
    assert [one.error for one in found] == ["no engine answers"] * 2
    assert said == []


def test_no_workers_sweep_takes_the_audits_sandbox_for_a_leftover(settings):
    name = AUDIT_DEPLOYMENT.format(deployment=settings().deployment)
    with pytest.raises(ValidationError, match="deployment"):
        settings(deployment=name)
