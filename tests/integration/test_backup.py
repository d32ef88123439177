"""The backup and the restore of docs/operations.md, done with PostgreSQL's own programs."""

import re
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from deploy.local.binaries import postgres_binary
from deploy.local.roles import APP, OWNER
from deploy.local.services import Services
from tests.harness import ROOT, Api, Stack, wait_until
from tests.integration.facts import bare_stack

DOCUMENT = (ROOT / "docs" / "operations.md").read_text()
RESTORED = "restored"


def _documented(program: str) -> list[str]:
    """Return the words of the document's command that calls this program."""
    (line,) = re.findall(rf"^{program} (.*?)(?: {{2,}}#.*)?$", DOCUMENT, re.MULTILINE)
    return str(line).split()


def _run(program: str, url: str, folder: Path) -> None:
    words = [url if word.strip('"') == "$OWNER_URL" else word.replace('"$OWNER_URL"', url)
             for word in _documented(program)]  # fmt: skip
    done = subprocess.run(
        [postgres_binary(program), *words],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def _empty_database(services: Services) -> tuple[str, str]:
    """Make one with the two roles; return the URLs of the application and of the owner."""
    assert services.postgres is not None
    name, owner, app = (sql.Identifier(word) for word in (RESTORED, OWNER, APP))
    with psycopg.connect(services.postgres.admin_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, app))
    return services.postgres.url_for(APP, RESTORED), services.postgres.url_for(OWNER, RESTORED)


def test_what_was_recorded_is_there_again_and_what_was_not_ended_does_not_run_again(
    sandbox_image: str, tmp_path: Path
) -> None:
    with bare_stack(tmp_path, sandbox_image, worker_slots="1", drain_seconds="0") as (
        stack,
        services,
    ):
        stack.start("api", "run", "control", "beat")
        stack.wait_ready()
        api = stack.client("kept")
        ended = api.run("open('/workspace/output/a.txt', 'w').write('kept'); print('done')")
        running = api.submit("import time; time.sleep(60); print('ran')")["id"]
        started = f"/v1/executions/{running}"
        wait_until(lambda: api.get(started).json()["started_at"] is not None, 20, "its start")
        queued = api.submit("print('ran')")["id"]
        _run("pg_dump", stack.owner_url, tmp_path)
        stack.stop()

        app_url, owner_url = _empty_database(services)
        _run("pg_restore", owner_url, tmp_path)
        with psycopg.connect(owner_url, autocommit=True) as connection:
            (statement,) = re.findall(r'-c "(UPDATE executions .*?)"', DOCUMENT)
            connection.execute(statement)
        directory = tmp_path / "again"
        directory.mkdir()
        again = Stack(services, directory, image=sandbox_image, database_url=app_url,
                      database_owner_url=owner_url)  # fmt: skip
        again.migrate()
        try:
            again.start("api", "run", "control", "beat")
            again.wait_ready()
            _check(again, api.key, ended, [running, queued])
        finally:
            again.stop()


def _check(stack: Stack, key: str, ended: dict[str, object], unfinished: list[str]) -> None:
    api = Api(stack.url, key)  # the key from before
    assert api.get(f"/v1/executions/{ended['id']}").json() == ended
    assert api.get(f"/v1/executions/{ended['id']}/artifacts/a.txt").content == b"kept"
    assert api.events(ended["id"])["intact"] is True
    for execution in unfinished:
        outcome = api.outcome(execution)
        assert outcome["status"] == "cancelled", outcome
        assert api.events(execution)["intact"] is True
    assert api.run("print('new')")["stdout"]["text"] == "new\n"
    with (
        pytest.raises(psycopg.errors.InsufficientPrivilege),
        psycopg.connect(stack.environment["AGENTCORE_DATABASE_URL"]) as connection,
    ):
        connection.execute("DELETE FROM audit_events")
