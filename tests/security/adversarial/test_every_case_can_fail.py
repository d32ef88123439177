"""The same programs get through where nothing holds them."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.harness import wait_until
from tests.restricted_escapes import ESCAPES, MARK, Escape
from tests.security.adversarial.host import Canary
from tests.security.adversarial.unconfined import got_through


@pytest.mark.parametrize(
    ("name", "attempts"),
    [
        ("trace_children", {"attach", "be traced"}),
        ("read_processes", {"process_vm_readv", "kcmp 1"}),
        ("keyrings", {"id of the session's keyring", "add_key"}),
        ("io_uring", {"nothing (EFAULT)"}),
        ("bpf", {"program (EFAULT)", "nothing (EFAULT)"}),
        ("memory_policy", {"no randomisation", "set_mempolicy"}),
        ("high_bits", {"netlink", "personality"}),
        ("socket_families", {"netlink 2", "netlink 3"}),
        ("mounts", {"mount nothing (EFAULT)"}),
        ("change_root", {"chroot nothing (EFAULT)"}),
        ("unshare", {"unshare user", "unshare user and mount"}),
        ("clone_namespaces", {"clone 0x10000000"}),
        ("terminal_input", {"0x5412 on 0 (ENOTTY)"}),
        ("execute_files", {"/tmp", "/workspace", "memfd"}),
    ],
)
def test_unconfined_the_program_gets_through(
    engine: docker.DockerClient, sandbox_image: str, name: str, attempts: set[str]
) -> None:
    through = got_through(engine, sandbox_image, name)
    assert attempts & set(through), through


def test_without_sizes_the_disk_takes_all(engine: docker.DockerClient, sandbox_image: str) -> None:
    through = got_through(
        engine, sandbox_image, "disk_bytes", environment={"QUOTA_BYTES": str(2**20)}
    )
    assert any(name.startswith("/tmp: ") for name in through)
    assert "/dev/shm" in got_through(engine, sandbox_image, "disk_inodes")


def test_a_secret_and_another_process_are_seen(
    engine: docker.DockerClient, sandbox_image: str
) -> None:
    environment = {"OWN": "", "SECRET": "s3cret"}
    assert "variable SECRET" in got_through(
        engine, sandbox_image, "other_environments", environment=environment
    )


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Canary]:
    made = Canary(tmp_path)
    yield made
    made.close()


def test_a_container_with_a_network_visits_the_canary(
    engine: docker.DockerClient, sandbox_image: str, canary: Canary
) -> None:
    environment = {"CANARY_PORT": str(canary.port), "HOST_PORTS": ""}
    # A network without a way out: nothing but its gateway can be reached, which is the host.
    internal = engine.networks.create(f"agentcore-test-{os.getpid()}", internal=True)
    try:
        internal.reload()
        environment["HOST_ADDRESSES"] = internal.attrs["IPAM"]["Config"][0]["Gateway"]
        through = got_through(
            engine, sandbox_image, "connect_out",
            environment=environment, network_mode=internal.name,
        )  # fmt: skip
    finally:
        internal.remove()
    assert f"{environment['HOST_ADDRESSES']}:{canary.port}" in through
    assert wait_until(canary.problems, 5, "the visit")


def test_a_socket_of_the_host_is_found(
    engine: docker.DockerClient, sandbox_image: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "host.sock"))
        through = got_through(
            engine, sandbox_image, "local_sockets",
            environment={"HOST_SOCKETS": ""}, volumes={str(tmp_path): {"bind": "/mnt"}},
        )  # fmt: skip
    assert "/mnt/host.sock" in through


def test_a_harmed_canary_is_noticed(canary: Canary) -> None:
    assert canary.problems() == []
    os.kill(canary.pid, signal.SIGSTOP)
    wait_until(canary.problems, 5, "the stop")
    assert canary.problems() == ["the canary process is stopped"]
    os.kill(canary.pid, signal.SIGKILL)
    wait_until(lambda: canary.problems() == ["the canary process is dead"], 5, "the death")
    canary.file.write_text("gone")
    assert "the canary file was changed" in canary.problems()


@pytest.mark.parametrize(
    "escape", [escape for escape in ESCAPES if escape.prints], ids=lambda escape: escape.name
)
def test_without_the_policy_the_program_gets_out(escape: Escape, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(escape.source)
    done = subprocess.run(
        [sys.executable, "-I", "-u", "main.py"],
        cwd=tmp_path, env={}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=30,
    )  # fmt: skip
    assert MARK in done.stdout, done.stderr
