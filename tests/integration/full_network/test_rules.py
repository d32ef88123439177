"""`full` network access on a real network: what it reaches without the rules, and with them."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.harness import missing, wait_until
from tests.integration.full_network.host import (
    GATEWAY,
    HOST,
    HOST_PORT,
    METADATA,
    NAME_SERVER,
    STRANGER,
    Restartable,
)
from tests.integration.full_network.namespaces import inside, namespace
from worker.full_network_rules.command import main
from worker.full_network_rules.judging import problems
from worker.full_network_rules.rules import ipv4, render_apply, render_remove
from worker.full_network_rules.tables import PATH, Tables
from worker.sandbox.full_network import BRIDGE, NETWORK

OTHER = "another-network"
PORT = 8080  # of containers that serve
PUBLISHED = 8090  # of the host, for a container's port
UNUSED = 9
OUTSIDE = (STRANGER, 80)
HOST_ITSELF = ((GATEWAY, HOST_PORT), (GATEWAY, UNUSED), (HOST, HOST_PORT), (HOST, UNUSED))
CLOUDS = tuple((address, 80) for address in METADATA)

QUICK = ["timeout:1", "attempts:1"]  # resolv.conf(5)
RESOLVE = """\
import json, socket
try:
    print(json.dumps(socket.gethostbyname("somewhere.test")))
except OSError:
    print("null")
"""
# Talks over one connection until no answer comes.
TALK = """\
import socket, sys
server = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)
try:
    while True:
        server.sendall(b"x")
        assert server.recv(1)
        print("answered", flush=True)
except OSError:
    print("cut", flush=True)
"""


def named(*targets: tuple[str, int]) -> list[str]:
    return [f"{address}:{port}" for address, port in targets]


@pytest.fixture(scope="module")
def host(host: Restartable) -> Restartable:
    """The host, with a second network."""
    host.client.api.create_network(OTHER, driver="bridge")
    return host


def test_without_the_rules_a_sandbox_reaches_the_host_and_metadata_services(
    bare: Restartable,
) -> None:
    found = bare.reach(NETWORK, *HOST_ITSELF, *CLOUDS, OUTSIDE)
    answered = {
        **dict.fromkeys(named((GATEWAY, HOST_PORT), (HOST, HOST_PORT), *CLOUDS, OUTSIDE), "open"),
        **dict.fromkeys(named((GATEWAY, UNUSED), (HOST, UNUSED)), "ECONNREFUSED"),
    }
    assert found == answered


def test_with_the_rules_a_sandbox_reaches_only_the_outside(ruled: Restartable) -> None:
    found = ruled.reach(NETWORK, *HOST_ITSELF, *CLOUDS, OUTSIDE)
    closed = {
        **dict.fromkeys(named(*HOST_ITSELF), "EHOSTUNREACH"),
        **dict.fromkeys(named(*CLOUDS), "ECONNREFUSED"),  # at once, by a reset
    }
    assert found == closed | {f"{STRANGER}:80": "open"}


def test_other_containers_are_closed_and_what_the_host_publishes_of_them(
    ruled: Restartable,
) -> None:
    published = {"ports": {f"{PORT}/tcp": PUBLISHED}}
    with ruled.serving(NETWORK) as neighbour, ruled.serving(OTHER, **published) as other:
        targets = (neighbour, PORT), (other, PORT), (HOST, PUBLISHED)
        # They do serve: to the host, and to the outside.
        assert set(ruled.reach_from_host(*targets).values()) == {"open"}
        found = ruled.reach(NETWORK, *targets)
        assert found == {
            f"{neighbour}:{PORT}": "ECONNREFUSED",
            f"{other}:{PORT}": "silent",  # Docker's own rules, which drop
            f"{HOST}:{PUBLISHED}": "EHOSTUNREACH",
        }
        assert ruled.reach(OTHER, (other, PORT), (HOST, HOST_PORT)) == {
            f"{other}:{PORT}": "open",
            f"{HOST}:{HOST_PORT}": "open",
        }


def test_neighbours_are_closed_also_where_the_host_accepts_what_is_bridged(
    bare: Restartable,
) -> None:
    accept = (f"-i {BRIDGE} -o {BRIDGE} -j ACCEPT").split()
    bare.run("iptables", "-I", "FORWARD", "2", *accept)  # before Docker's rule that drops
    try:
        with bare.serving(NETWORK) as neighbour:
            target = (neighbour, PORT)
            assert bare.reach(NETWORK, target) == {f"{neighbour}:{PORT}": "open"}
            bare.command("apply")
            assert bare.reach(NETWORK, target) == {f"{neighbour}:{PORT}": "ECONNREFUSED"}
    finally:
        bare.run("iptables", "-D", "FORWARD", *accept)


def test_a_metadata_service_that_the_host_redirects_is_closed(bare: Restartable) -> None:
    redirect = f"-i {BRIDGE} -d 192.0.2.80 -p tcp --dport 80 -j DNAT --to-destination {STRANGER}"
    bare.run("iptables", "-t", "nat", "-I", "PREROUTING", *redirect.split())
    try:
        target = ("192.0.2.80", 80)
        assert bare.reach(NETWORK, target) == {"192.0.2.80:80": "open"}
        bare.command("apply")
        assert bare.reach(NETWORK, target) == {"192.0.2.80:80": "EHOSTUNREACH"}
    finally:
        bare.run("iptables", "-t", "nat", "-D", "PREROUTING", *redirect.split())


@pytest.mark.parametrize("target", [(GATEWAY, HOST_PORT), CLOUDS[0]])
def test_a_connection_that_a_sandbox_had_before_the_rules_ends_with_them(
    bare: Restartable, target: tuple[str, int]
) -> None:
    container = bare.client.containers.run(
        bare.image, ["-c", TALK, target[0], str(target[1])],
        entrypoint=["python3"], network=NETWORK, detach=True,
    )  # fmt: skip
    try:
        wait_until(lambda: b"answered" in container.logs(), 20, "an answer")
        bare.command("apply")
        wait_until(lambda: b"cut" in container.logs(), 20, "the end of the connection")
    finally:
        container.remove(force=True)


def test_names_are_resolved_by_docker_and_nothing_else_of_their_server_is_open(
    bare: Restartable,
) -> None:
    resolve = partial(bare.program, RESOLVE, network=NETWORK, dns=[NAME_SERVER], dns_opt=QUICK)
    assert resolve() == STRANGER
    bare.command("apply", "--name-server", "192.0.2.53")
    assert resolve() is None
    code, told = bare.command("apply", "--name-server", NAME_SERVER)
    assert (code, told["name_servers"]) == (0, [NAME_SERVER])
    assert resolve() == STRANGER
    assert bare.reach(NETWORK, (NAME_SERVER, 80)) == {f"{NAME_SERVER}:80": "ECONNREFUSED"}


def test_names_of_a_server_on_loopback_are_resolved_without_an_exception(
    bare: Restartable,
) -> None:
    bare.command("apply", "--name-server", "192.0.2.53")
    with bare.serving(NETWORK, name="neighbour") as address:
        source = RESOLVE.replace("somewhere.test", "neighbour")
        assert bare.program(source, network=NETWORK) == address


def test_a_sandbox_has_no_ipv6(ruled: Restartable) -> None:
    source = "import json; print(json.dumps(open('/proc/self/net/if_inet6').read()))"
    assert ruled.program(source, network=NETWORK) == ""
    assert any("icmp6-adm-prohibited" in line for line in ruled.rules())


@pytest.mark.parametrize("killed", [False, True])
def test_a_restart_of_the_engine_keeps_the_rules(ruled: Restartable, *, killed: bool) -> None:
    ruled.restart_engine(killed=killed)
    assert ruled.command("check")[0] == 0
    found = ruled.reach(NETWORK, (GATEWAY, HOST_PORT), CLOUDS[0], OUTSIDE)
    assert list(found.values()).count("open") == 1
    assert found[f"{STRANGER}:80"] == "open"


def test_applying_again_changes_nothing(ruled: Restartable) -> None:
    once = ruled.rules()
    assert ruled.command("apply")[0] == 0
    assert ruled.rules() == once


def test_applying_by_many_at_once_brings_the_rules_in_force(bare: Restartable) -> None:
    with ThreadPoolExecutor(4) as operators:
        told = [operators.submit(bare.command, "apply") for _ in range(4)]
    assert {each.result()[0] for each in told} == {0}
    assert bare.command("check")[0] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (f"-D INPUT -i {BRIDGE} -j AGENTCORE-FULL-HOST", "INPUT has no rule"),
        (f"-D DOCKER-USER -i {BRIDGE} -j AGENTCORE-FULL", "DOCKER-USER has no rule"),
        ("-D AGENTCORE-FULL 1", "the chain AGENTCORE-FULL does not hold"),
        ("-F AGENTCORE-FULL-HOST", "the chain AGENTCORE-FULL-HOST does not hold"),
        ("-I INPUT -p tcp -j ACCEPT", "INPUT: `-p tcp -j ACCEPT` stands above"),
        ("-I DOCKER-USER -j RETURN", "DOCKER-USER: `-j RETURN` stands above"),
    ],
)
def test_check_names_what_is_missing_and_apply_mends_it(
    ruled: Restartable, change: str, words: str
) -> None:
    before = ruled.rules()
    ruled.run("iptables", *change.split())
    code, told = ruled.command("check")
    assert code == 1
    assert words in told["problems"][0]
    assert ruled.command("apply")[0] == 0
    if change.startswith("-I"):  # another's rule, which stays, below ours
        ruled.run("iptables", "-D", *change.split()[1:])
    assert ruled.rules() == before


def test_check_tells_of_rules_that_packets_do_not_come_to(ruled: Restartable) -> None:
    ruled.run("iptables", "-D", "FORWARD", "-j", "DOCKER-USER")
    code, told = ruled.command("check")
    assert (code, len(told["problems"])) == (1, 1)
    assert "Docker puts it first when it starts" in told["problems"][0]
    ruled.restart_engine(killed=False)
    assert ruled.command("check")[0] == 0


def test_check_tells_when_bridged_packets_pass_by(ruled: Restartable) -> None:
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    with inside(ruled.name):
        switch.write_text("0")
    try:
        code, told = ruled.command("check")
        assert code == 1
        assert "br_netfilter" in told["problems"][0]
    finally:
        with inside(ruled.name):
            switch.write_text("1")


def test_nothing_is_done_on_a_host_without_docker(
    host: Restartable, capsys: pytest.CaptureFixture[str]
) -> None:
    with namespace("empty") as empty, inside(empty):
        assert main(["apply"]) == 2
        assert "start Docker first" in capsys.readouterr().err
        assert main(["check"]) == 1
        assert main(["remove"]) == 0


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_each_kind_of_iptables_holds_the_rules_as_they_are_written(kind: str) -> None:
    programs = [shutil.which(f"iptables-{kind}-{verb}", path=PATH) for verb in ("save", "restore")]
    if not all(programs):
        missing(f"no iptables of the kind {kind}")
    held = Tables(save=str(programs[0]), restore=str(programs[1]))
    rules = ipv4("test0", "TEST", name_servers=["192.0.2.53"])
    docker_has = "*filter\n:DOCKER-USER - [0:0]\n-I FORWARD -j DOCKER-USER\nCOMMIT\n"
    with namespace(kind) as empty, inside(empty):
        held.change(rules, lambda *_: docker_has)
        before = held.read()
        held.change(rules, render_apply)
        once = held.read()
        held.change(rules, render_apply)
        assert held.read() == once
        assert [once[chain] for chain in rules.chains] == list(rules.chains.values())
        assert problems(rules, once) == []
        held.change(rules, render_remove)
        assert held.read() == before
