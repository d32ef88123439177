from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from celery import Celery
from kombu import Connection

from deploy.errors import ServiceStartError
from deploy.local.handles import ProcessHandle
from deploy.local.services import Services, start_services
from deploy.local.stack import LocalStack


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    started = start_services(tmp_path_factory.mktemp("services"), durable=False)
    yield started
    started.stop()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Services]:
    started = start_services(tmp_path, durable=True)
    yield started
    started.stop()


def postgres_of(services: Services) -> ProcessHandle:
    assert services.postgres
    handle = services.postgres.handle()
    assert handle is not None
    return handle


def valkey_of(services: Services) -> ProcessHandle:
    assert services.valkey
    handle = services.valkey.handle()
    assert handle is not None
    return handle


def test_app_role_cannot_create_tables(services: Services) -> None:
    assert services.postgres
    with (
        psycopg.connect(services.postgres.app_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TABLE nope (i int)")


def test_owner_role_creates_tables_but_no_databases(services: Services) -> None:
    assert services.postgres
    with psycopg.connect(services.postgres.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (i int)")
        connection.execute("DROP TABLE mine")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE DATABASE nope")


def test_wrong_database_password_is_refused(services: Services) -> None:
    assert services.postgres
    url = services.postgres.app_url.replace("agentcore_app:", "agentcore_app:x")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_valkey_refuses_without_the_password(services: Services) -> None:
    assert services.valkey
    with (
        redis.Redis(unix_socket_path=str(services.valkey.socket)) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_valkey_never_evicts(services: Services) -> None:
    assert services.valkey
    with services.valkey.client() as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.config_get("port") == {"port": "0"}


def test_kombu_and_celery_accept_the_url(services: Services) -> None:
    assert services.valkey
    with Connection(services.valkey.url) as connection:
        queue = connection.SimpleQueue("probe")
        queue.put({"a": 1})
        message = queue.get(timeout=5)
        message.ack()
        queue.close()
    assert message.payload == {"a": 1}
    app = Celery("probe", broker=services.valkey.url, backend=services.valkey.url)
    app.backend.store_result("some-id", 42, "SUCCESS")
    assert app.AsyncResult("some-id").get(timeout=5) == 42
    app.close()


def test_no_password_is_in_a_process_list(services: Services) -> None:
    assert services.postgres and services.valkey
    passwords = [
        url.split(":", 2)[2].split("@")[0]
        for url in (services.postgres.app_url, services.postgres.admin_url, services.valkey.url)
    ]
    for handle in (postgres_of(services), valkey_of(services)):
        words = Path(f"/proc/{handle.pid}/cmdline").read_text()
        assert not any(password in words for password in passwords)


def test_sockets_are_closed_to_other_users(services: Services) -> None:
    assert services.postgres and services.valkey
    folder = Path(services.postgres.app_url.partition("host=")[2])
    for path in (folder / ".s.PGSQL.5432", services.valkey.socket):
        assert path.stat().st_mode & 0o077 == 0
        assert path.parent.stat().st_mode & 0o077 == 0


def test_starting_twice_keeps_the_same_processes(services: Services) -> None:
    before = (postgres_of(services), valkey_of(services))
    services.start()
    assert (postgres_of(services), valkey_of(services)) == before


def test_data_survives_a_restart(own: Services) -> None:
    assert own.postgres and own.valkey
    with psycopg.connect(own.postgres.owner_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS i")
    with own.valkey.client() as client:
        client.set("kept", "7")
    own.stop()
    assert own.postgres.handle() is None
    assert own.valkey.handle() is None
    own.start()
    with psycopg.connect(own.postgres.owner_url) as connection:
        assert connection.execute("SELECT i FROM kept").fetchone() == (7,)
    with own.valkey.client() as client:
        assert client.get("kept") == b"7"


def test_servers_that_were_killed_come_back(own: Services) -> None:
    from signal import SIGKILL

    from deploy.local.handles import stop_all

    killed = [postgres_of(own), valkey_of(own)]
    stop_all(killed, first=SIGKILL)
    own.start()
    assert postgres_of(own) != killed[0]
    assert valkey_of(own) != killed[1]
    assert all(part.state == "running" for part in own.status())


def test_server_whose_socket_vanished_is_restarted(own: Services) -> None:
    assert own.valkey
    before = valkey_of(own)
    own.valkey.socket.unlink()
    own.start()
    assert valkey_of(own) != before
    assert own.valkey.is_running()


def test_lost_passwords_are_told_in_one_line(own: Services, tmp_path: Path) -> None:
    (tmp_path / "secrets.json").rename(tmp_path / "moved.json")
    try:
        with pytest.raises(ServiceStartError, match=r"restore .*secrets\.json") as caught:
            own.start()
        assert "\n" not in str(caught.value)
    finally:
        (tmp_path / "moved.json").replace(tmp_path / "secrets.json")


def test_only_the_migrations_get_the_owner(tmp_path: Path) -> None:
    stack = LocalStack(tmp_path, environ={})
    assert "agentcore_owner" not in "".join(stack.environment().values())
    assert "agentcore_owner" in stack.environment(owner=True)["AGENTCORE_DATABASE_OWNER_URL"]
    assert "AGENTCORE_FLOWER_PASSWORD" not in stack.environment()
