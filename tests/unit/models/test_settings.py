"""Settings: from the environment and from files, refused with the variable's name."""

import os

import pytest

from models.errors import SettingsError
from models.settings import Settings, load_settings

URLS = {"database_url": "postgresql://x", "broker_url": "redis://x"}


@pytest.fixture
def env(monkeypatch):
    """An environment with the two settings that have no default; the cache is put aside."""
    for variable in list(os.environ):
        if variable.upper().startswith("AGENTCORE_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("AGENTCORE_DATABASE_URL", "postgresql://user:hunter2@host/db")
    monkeypatch.setenv("AGENTCORE_BROKER_URL", "redis://:hunter2@host")
    load_settings.cache_clear()
    yield monkeypatch
    load_settings.cache_clear()


def test_the_defaults_are_those_that_were_promised(env):
    settings = load_settings()
    assert settings.api_port == 8002
    assert settings.api_host == "127.0.0.1"
    assert settings.kubernetes_namespace == "agentcore-runtime"
    assert "privileged" not in settings.allowed_profiles
    assert not settings.debug


def test_a_missing_setting_is_named_by_its_variable(env):
    env.delenv("AGENTCORE_DATABASE_URL")
    with pytest.raises(SettingsError, match="AGENTCORE_DATABASE_URL"):
        load_settings()


def test_every_missing_setting_is_named_at_once(env):
    env.delenv("AGENTCORE_DATABASE_URL")
    env.delenv("AGENTCORE_BROKER_URL")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "AGENTCORE_DATABASE_URL" in str(refused.value)
    assert "AGENTCORE_BROKER_URL" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AGENTCORE_API_PORT", "0"),
        ("AGENTCORE_API_PORT", "http"),
        ("AGENTCORE_LOG_LEVEL", "loud"),
        ("AGENTCORE_LEASE_SECONDS", "nan"),
        ("AGENTCORE_HEARTBEAT_SECONDS", "inf"),
        ("AGENTCORE_DEPLOYMENT", "Not A Name"),
        ("AGENTCORE_DATABASE_APP_ROLE", "x; DROP"),
        ("AGENTCORE_ALLOWED_PROFILES", '["root"]'),
        ("AGENTCORE_CEILING_MEMORY_MB", "31"),
        ("AGENTCORE_CEILING_EXECUTION_TIME_SECONDS", "nan"),
        ("AGENTCORE_EGRESS_CEILING", '["not a host"]'),
        ("AGENTCORE_EGRESS_DENY", '["10.0.0.1/8"]'),
        ("AGENTCORE_EGRESS_MAX_CONNECTIONS", "0"),
        ("AGENTCORE_EGRESS_MAX_BYTES_UP", "-1"),
        ("AGENTCORE_EGRESS_MAX_BYTES_DOWN", "1e30"),
        ("AGENTCORE_EGRESS_CONNECT_SECONDS", "0"),
        ("AGENTCORE_EGRESS_IDLE_SECONDS", "inf"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(env, variable, value):
    env.setenv(variable, value)
    with pytest.raises(SettingsError, match=variable):
        load_settings()


@pytest.mark.parametrize(
    "variable",
    [
        "AGENTCORE_CORS_ORIGINS",
        "AGENTCORE_SANDBOX_IMAGES",
        "AGENTCORE_ALLOWED_PROFILES",
        "AGENTCORE_EGRESS_CEILING",
    ],
)
def test_a_value_that_is_not_json_is_named_by_its_variable(env, variable):
    env.setenv(variable, "not json")
    with pytest.raises(SettingsError, match=variable):
        load_settings()


def test_a_default_profile_that_is_not_allowed_is_refused(env):
    env.setenv("AGENTCORE_DEFAULT_PROFILE", "privileged")
    with pytest.raises(SettingsError, match="AGENTCORE_DEFAULT_PROFILE"):
        load_settings()


def test_an_infinite_ceiling_is_refused(env):
    env.setenv("AGENTCORE_CEILING_EXECUTION_TIME_SECONDS", "inf")
    with pytest.raises(SettingsError, match="AGENTCORE_CEILING_EXECUTION_TIME_SECONDS"):
        load_settings()


def test_a_value_is_read_from_the_file_that_the_variable_names(env, tmp_path):
    secret = tmp_path / "url"
    secret.write_text("postgresql://from-file\n", encoding="utf-8")
    env.delenv("AGENTCORE_DATABASE_URL")
    env.setenv("AGENTCORE_DATABASE_URL_FILE", str(secret))
    assert load_settings().database_url.get_secret_value() == "postgresql://from-file"


def test_the_plain_variable_wins_over_the_file(env, tmp_path):
    secret = tmp_path / "url"
    secret.write_text("postgresql://from-file", encoding="utf-8")
    env.setenv("AGENTCORE_DATABASE_URL_FILE", str(secret))
    assert "from-file" not in load_settings().database_url.get_secret_value()


def test_a_file_that_cannot_be_read_is_named_with_its_variable(env, tmp_path):
    env.setenv("AGENTCORE_BROKER_URL_FILE", str(tmp_path / "missing"))
    with pytest.raises(SettingsError, match=r"AGENTCORE_BROKER_URL_FILE.*missing"):
        load_settings()


def test_a_file_that_is_not_text_is_named_with_its_variable(env, tmp_path):
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\x00")
    env.setenv("AGENTCORE_BROKER_URL_FILE", str(path))
    with pytest.raises(SettingsError, match="AGENTCORE_BROKER_URL_FILE"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("SANDBOX_IMAGES", '{"python": "image:1"}', {"python": "image:1"}),
        ("CORS_ORIGINS", '["http://localhost"]', ["http://localhost"]),
    ],
)
def test_a_json_value_is_read_from_a_file_too(env, tmp_path, name, text, value):
    path = tmp_path / "value"
    path.write_text(text, encoding="utf-8")
    env.setenv(f"AGENTCORE_{name}_FILE", str(path))
    assert getattr(load_settings(), name.lower()) == value


def test_the_lists_of_hosts_are_kept_in_their_one_spelling(env):
    env.setenv("AGENTCORE_EGRESS_CEILING", '["*", "*.Example.com.", "127.0.0.1/32:8080"]')
    env.setenv("AGENTCORE_EGRESS_DENY", '["EVIL.com"]')
    settings = load_settings()
    assert settings.egress_ceiling == ("*", "*.example.com", "127.0.0.1:8080")
    assert settings.egress_deny == ("evil.com",)


def test_no_ceiling_is_not_an_empty_ceiling(env):
    assert load_settings().egress_ceiling is None
    load_settings.cache_clear()
    env.setenv("AGENTCORE_EGRESS_CEILING", "[]")
    assert load_settings().egress_ceiling == ()


def test_no_secret_is_shown(env):
    assert "hunter2" not in repr(load_settings())
    env.setenv("AGENTCORE_API_PORT", "0")
    load_settings.cache_clear()
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)


def test_settings_are_read_once(env):
    assert load_settings() is load_settings()


def test_a_pod_is_told_by_its_environment(env):
    settings = Settings(**URLS)
    assert not settings.in_cluster
    env.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    assert settings.in_cluster


@pytest.mark.parametrize(("retention", "audit"), [(None, None), (1, None), (30, 30), (30, 365.5)])
def test_audit_trails_are_kept_as_long_as_executions_or_longer(retention, audit):
    settings = Settings(**URLS, retention_days=retention, audit_retention_days=audit)
    assert (settings.retention_days, settings.audit_retention_days) == (retention, audit)


@pytest.mark.parametrize(("retention", "audit"), [(None, 30), (30, 29.9), (1, 6), (0.5, None)])
def test_a_retention_that_is_too_short_is_refused_by_name(retention, audit):
    with pytest.raises(ValueError, match=r"retention_days|AGENTCORE_AUDIT_RETENTION_DAYS"):
        Settings(**URLS, retention_days=retention, audit_retention_days=audit)
