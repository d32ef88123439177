"""A broker by TLS: its certificate is checked, and everything works through it."""

import asyncio
import queue
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from celery import Celery

from deploy.local.services import Services, start_services
from tests.harness import Stack, free_port, wait_until
from tests.integration.egress.tls import Authority, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whoever vouches for `localhost`."""
    return make_authority(tmp_path_factory.mktemp("authority"), "localhost")


@pytest.fixture(scope="module")
def own_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A database and a Valkey that no other stack is on."""
    pair = start_services(tmp_path_factory.mktemp("services"), durable=False)
    yield pair
    pair.stop()


@pytest.fixture(scope="module")
def address(own_services: Services, authority: Authority) -> Iterator[str]:
    """That Valkey by TLS: the address of a port that speaks it."""
    assert own_services.valkey is not None
    port, password = free_port(), urlsplit(own_services.valkey.url).password
    behind = str(own_services.valkey.socket)
    started: queue.Queue[Callable[[], object]] = queue.Queue()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ours, theirs = await asyncio.open_unix_connection(behind)
        await asyncio.gather(_pipe(reader, theirs), _pipe(ours, writer))

    async def serve() -> None:
        end, loop = asyncio.Event(), asyncio.get_running_loop()
        context = authority.server_context()
        server = await asyncio.start_server(forward, "localhost", port, ssl=context)
        started.put(lambda: loop.call_soon_threadsafe(end.set))
        await end.wait()
        server.close()  # and no wait for clients, who may keep their connections

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    stop = started.get(timeout=10)
    yield f"rediss://:{password}@localhost:{port}/0"
    stop()
    thread.join(10)


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # the other side went
    finally:
        writer.close()


def test_everything_goes_through_it(
    own_services: Services, authority: Authority, address: str, sandbox_image: str, tmp_path: Path
) -> None:
    stack = Stack(
        own_services,
        tmp_path,
        image=sandbox_image,
        broker_url=address,
        broker_ca_certificates=str(authority.certificate),
    )
    try:
        stack.migrate()
        stack.start("api", "run", "control", "beat")
        stack.wait_ready()
        assert stack.client("by-rest").run(source="print(1)")["status"] == "succeeded"
        stack.new_key("by-celery")
        trusted = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": str(authority.certificate)}
        with Celery(broker=address, backend=address) as service:
            service.conf.update(broker_use_ssl=trusted, redis_backend_use_ssl=trusted)
            task = service.send_task(
                "agentcore.run",
                args=[{"source": "print(2)"}],
                kwargs={"tenant": "by-celery"},
                queue="agentcore.control",
            )
            assert task.get(timeout=30)["stdout"]["text"] == "2\n"
    finally:
        stack.stop()


def test_a_server_that_nobody_vouches_for_is_told_nothing(
    own_services: Services, address: str, sandbox_image: str, tmp_path: Path
) -> None:
    stack = Stack(own_services, tmp_path, image=sandbox_image, broker_url=address)
    log = tmp_path / "control.log"
    try:
        stack.start("control")
        wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in log.read_text(), 30, "a refusal")
    finally:
        stack.stop()
