"""The script that makes the application's role, by a real psql against a real server."""

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.kubernetes.files import HERE
from deploy.local.binaries import postgres_binary
from deploy.local.postgres import EmbeddedPostgres
from tests.harness import ROOT

SCRIPT = ROOT / "deploy/docker/create_app_role.sh"
# As hard to quote as any: for a shell, for SQL and for psql.
PASSWORD = """it's "quoted" `id` $(id) $HOME \\' :password %s ä"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server whose role `agentcore_app` has gone."""
    started = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"))
    started.start()
    with psycopg.connect(started.admin_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE agentcore_app RENAME TO another")
    yield started
    started.stop()


def run_script(server: EmbeddedPostgres, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it as the image does; `folder` has the password, and gets what psql was told."""
    told = psycopg.conninfo.conninfo_to_dict(server.admin_url)
    (folder / "psql").write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" >{shlex.quote(str(folder / "words"))}\n'
        f'exec {shlex.quote(str(postgres_binary("psql")))} "$@"\n'
    )
    (folder / "psql").chmod(0o755)
    return subprocess.run(
        ["sh", SCRIPT],
        env={
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PGHOST": str(told["host"]),
            "PGPASSWORD": str(told["password"]),
            "PGCLIENTENCODING": "UTF8",
            "POSTGRES_USER": str(told["user"]),
            "POSTGRES_DB": "postgres",
            "POSTGRES_APP_PASSWORD_FILE": str(folder / "password"),
        },
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_it_makes_the_role_and_shows_its_password_to_nobody(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    done = run_script(server, tmp_path)
    assert (done.returncode, done.stdout) == (0, "CREATE ROLE\n"), done.stderr
    words = (tmp_path / "words").read_text()
    assert "ON_ERROR_STOP=1" in words
    assert "quoted" not in words + done.stderr
    there = psycopg.conninfo.make_conninfo(
        server.admin_url, user="agentcore_app", password=PASSWORD
    )
    with psycopg.connect(there) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("agentcore_app",)


@pytest.mark.parametrize("content", [None, ""])
def test_without_a_password_it_fails_and_makes_nothing(
    server: EmbeddedPostgres, tmp_path: Path, content: str | None
) -> None:
    if content is not None:
        (tmp_path / "password").write_text(content)
    done = run_script(server, tmp_path)
    assert done.returncode == 1
    assert "no password for agentcore_app" in done.stderr
    assert not (tmp_path / "words").exists()


def test_the_cluster_has_the_same_script() -> None:
    assert (HERE / "overlays/development/create_app_role.sh").read_bytes() == SCRIPT.read_bytes()
