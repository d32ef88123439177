"""What a sandbox with `full` network access finds out by itself, and the network that it is on."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest

from security_profiles import render_seccomp
from tests.integration.full_network.host import (
    Restartable,
    limit_icmp,
)
from worker.sandbox.errors import SandboxStartError
from worker.sandbox.full_network import BRIDGE, NETWORK, ensure_network
from worker.sandbox.guest import reachability

PROBE = Path(reachability.__file__).read_text() + (
    "\nimport json\nstart = time.monotonic()\nfound = probe()\n"
    "print(json.dumps([found, time.monotonic() - start]))\n"
)


class TestProbe:
    """What a sandbox finds out by itself, under the profile that it would have."""

    def words(self, host: Restartable, network: str = NETWORK) -> tuple[str, str, float]:
        """Of the gateway, of the metadata service, and how many seconds it took."""
        options = [f"seccomp={json.dumps(render_seccomp('standard'))}", "no-new-privileges"]
        found, seconds = host.program(PROBE, network=network, security_opt=options)
        assert found.keys() == {"gateway", "metadata"}
        assert seconds < 2 * reachability.LONGEST_SECONDS
        return found["gateway"], found["metadata"], seconds

    def test_sees_that_all_is_open(self, bare: Restartable) -> None:
        assert self.words(bare)[:2] == ("open", "open")

    def test_sees_that_all_is_closed_without_waiting(self, ruled: Restartable) -> None:
        gateway, metadata, seconds = self.words(ruled)
        assert (gateway, metadata) == ("closed", "closed")
        assert seconds < reachability.LONGEST_SECONDS

    def test_tells_what_it_knows_where_the_kernel_has_told_its_address_too_often(
        self, ruled: Restartable
    ) -> None:
        # More often than there are refusals in store, whichever address the sandbox gets.
        limit_icmp(ruled, milliseconds=60_000)
        words = [self.words(ruled)[:2] for _ in range(6)]
        assert words[-1] == ("silent", "closed")

    def test_sees_a_firewall_that_lets_people_in(self, bare: Restartable) -> None:
        rules = [f"INPUT -i {BRIDGE} -p tcp {more}" for more in ("--dport 22 -j ACCEPT", "-j DROP")]
        for rule in rules:
            bare.run("iptables", "-A", *rule.split())
        try:
            assert self.words(bare)[0] == "open"
        finally:
            for rule in rules:
                bare.run("iptables", "-D", *rule.split())

    @pytest.mark.parametrize(
        ("reject", "word"),
        [
            ("-j DROP", "silent"),
            ("-j REJECT", "closed"),
            ("-j REJECT --reject-with icmp-host-unreachable", "unreachable"),
        ],
    )
    def test_sees_a_firewall_that_is_not_ours(
        self, bare: Restartable, reject: str, word: str
    ) -> None:
        rules = [f"INPUT -i {BRIDGE} {reject}", f"DOCKER-USER -i {BRIDGE} {reject}"]
        for rule in rules:
            bare.run("iptables", "-I", *rule.split())
        try:
            assert self.words(bare)[:2] == (word, word)
        finally:
            for rule in rules:
                bare.run("iptables", "-D", *rule.split())

    def test_finds_nothing_to_try_without_a_network(self, bare: Restartable) -> None:
        assert self.words(bare, network="none")[:2] == ("absent", "unreachable")

    def test_finds_nothing_to_try_without_sockets(self, ruled: Restartable) -> None:
        options = [f"seccomp={json.dumps(render_seccomp('minimal'))}", "no-new-privileges"]
        found, _ = ruled.program(PROBE, network=NETWORK, security_opt=options)
        assert found == {"gateway": "absent", "metadata": "absent"}


class TestNetwork:
    """The network itself, under names that leave the one of the other tests alone."""

    NAME, BRIDGE = "made-by-test", "test0"

    @pytest.fixture(autouse=True)
    def _removed(self, host: Restartable) -> Iterator[None]:
        yield
        for network in host.client.networks.list(names=[self.NAME]):
            network.remove()

    def test_is_made_once_by_workers_that_start_together(self, host: Restartable) -> None:
        for _ in range(5):
            with ThreadPoolExecutor(6) as workers:
                # Each with a connection of its own.
                clients = [docker.APIClient(host.url) for _ in range(6)]
                made = [
                    workers.submit(ensure_network, client, name=self.NAME, bridge=self.BRIDGE)
                    for client in clients
                ]
            assert [each.exception() for each in made] == [None] * 6
            (network,) = host.client.networks.list(names=[self.NAME])
            network.remove()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"options": {}}, "com.docker.network.bridge.name is None, not test0"),
            ({"internal": True}, "Internal is True, not False"),
            ({"labels": {}}, "label dev.agentcore.network is None, not full"),
        ],
    )
    def test_of_other_options_is_refused(
        self, host: Restartable, change: dict[str, object], words: str
    ) -> None:
        host.client.api.create_network(self.NAME, **{"driver": "bridge", **change})
        with pytest.raises(SandboxStartError, match="remove it") as caught:
            ensure_network(host.client.api, name=self.NAME, bridge=self.BRIDGE)
        assert words in str(caught.value)

    def test_says_why_the_engine_makes_none(self, host: Restartable) -> None:
        with pytest.raises(SandboxStartError, match="same bridge name"):
            ensure_network(host.client.api, name=self.NAME, bridge=BRIDGE)
