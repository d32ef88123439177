"""`full` through the whole stack: on a network of its own, and honest about the host's firewall."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.harness import Api, Stack, free_port, wait_until
from tests.integration.facts import bare_stack
from tests.integration.full_network.host import (
    CONNECT,
    GATEWAY,
    HOST_PORT,
    STRANGER,
    Restartable,
    without_rules,
)
from worker.sandbox.full_network import NETWORK

TARGETS = json.dumps([(STRANGER, 80), (GATEWAY, HOST_PORT), ("169.254.169.254", 80)])
FULL = {"resource_limits": {"network_access": "full"}}


@pytest.fixture(scope="module")
def stack(
    host: Restartable, sandbox_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A stack whose sandboxes run on that host; it starts ahead what is asked for."""
    settings = {"allow_full_network": "true", "pool_size": "0", "pool_max": "1",
                "worker_metrics_port": str(free_port())}  # fmt: skip
    with bare_stack(tmp_path_factory.mktemp("full"), sandbox_image, **settings) as (made, _):
        made.environment["DOCKER_HOST"] = host.url
        made.start("api", "run", "control", "beat")
        made.wait_ready()
        yield made


@pytest.fixture(scope="module")
def api(stack: Stack) -> Iterator[Api]:
    with stack.client("full") as client:
        yield client


def test_full_says_what_the_host_lacks_and_once_it_has_the_rules_what_is_closed(
    host: Restartable, api: Api, stack: Stack
) -> None:
    with without_rules(host):
        execution = api.run(CONNECT, args=[TARGETS], **FULL)
        found = json.loads(execution["stdout"]["text"])
        assert set(found.values()) == {"open"}, found
        missing = [words for words in execution["isolation"]["missing"] if "full network" in words]
        assert len(missing) == 1
        assert "full-network apply" in missing[0]
        kinds = [item["kind"] for item in api.events(execution["id"])["items"]]
        assert "isolation_weaker" in kinds

        # The next one starts while there are no rules, and runs when there are.
        api.run("pass", **FULL)
        wait_until(lambda: _is_one_waiting(stack), 30, "a sandbox that waits")
        assert host.command("apply")[0] == 0
        execution = api.run(CONNECT, args=[TARGETS], **FULL)
        assert execution["isolation"]["engine"]["warm"] is True
        found = json.loads(execution["stdout"]["text"])
        assert found[f"{STRANGER}:80"] == "open"
        assert "open" not in {found[f"{GATEWAY}:{HOST_PORT}"], found["169.254.169.254:80"]}
        isolation = execution["isolation"]
        assert not [words for words in isolation["missing"] if "full network" in words]
        assert isolation["engine"]["network_mode"] == NETWORK
        assert isolation["inside"]["reachability"] == {"gateway": "closed", "metadata": "closed"}


def _is_one_waiting(stack: Stack) -> bool:
    port = stack.environment["AGENTCORE_WORKER_METRICS_PORT"]
    return "agentcore_pool_waiting 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text


def test_another_network_has_no_way_out_beside_it(api: Api) -> None:
    restricted = api.run(CONNECT, args=[TARGETS])
    assert set(json.loads(restricted["stdout"]["text"]).values()) == {"ENETUNREACH"}
    assert restricted["isolation"]["inside"]["reachability"] == {}
