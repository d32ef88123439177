"""docs/settings.md says what the settings are, all of them."""

import pytest

from deploy import settings_table
from models.settings import PREFIX, Settings


def test_the_document_is_what_the_settings_say():
    assert settings_table.DOCUMENT.read_text() == settings_table.render()


def test_each_setting_has_one_line():
    lines = settings_table.render().splitlines()
    for name in Settings.model_fields:
        start = f"| `{PREFIX}{name.upper()}` |"
        assert len([line for line in lines if line.startswith(start)]) == 1, name


def test_each_heading_belongs_to_a_setting():
    assert settings_table.GROUPS.keys() <= Settings.model_fields.keys()


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("API_PORT", "`8002` | from 1 to 65535 |"),
        ("DATABASE_URL", "required | secret |"),
        ("LOG_LEVEL", "`info` | `debug` or `info` or `warning` or `error` |"),
        ("MAX_WAIT_SECONDS", "`60` | above 0 to 600 |"),
        ("ALLOWED_PROFILES", '`["minimal", "standard"]` | JSON |'),
        ("RETENTION_DAYS", " | from 1 to 36500 |"),
    ],
)
def test_a_line_tells_default_and_values(name, cells):
    assert f"| `{PREFIX}{name}` | {cells}" in settings_table.render()


def test_a_check_of_an_outdated_document_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(settings_table, "DOCUMENT", tmp_path / "settings.md")
    assert settings_table.main(["--check"]) == 1
    assert settings_table.main([]) == 0
    assert settings_table.main(["--check"]) == 0
    assert "run `python -m deploy.settings_table`" in capsys.readouterr().err
