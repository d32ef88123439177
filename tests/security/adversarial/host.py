"""The host's own evidence: a canary that nobody may touch, and switches that nobody may turn."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import docker

CLOCK_SLACK = 2.0  # seconds that the clock may be set by its own daemon between two looks
HOSTNAME = "/proc/sys/kernel/hostname"
WATCHED = (
    "/proc/sys/kernel/core_pattern",
    HOSTNAME,
    "/proc/sys/kernel/domainname",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/sysrq",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/randomize_va_space",
    "/proc/sys/kernel/acct",
    "/proc/sys/vm/panic_on_oom",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/kernel/ctrl-alt-del",
    "/sys/kernel/uevent_helper",
    "/proc/swaps",
)
# Mounts of containers and of other programs come and go; these stay.
LASTING = {"/", "/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/sys/fs/cgroup", "/boot", "/home"}


class Canary:
    """A process, a file and a listening port of the host."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "canary"
        self.file.write_text("alive and untouched\n")
        self._stamp = self._identity()
        # It ends when its input does: with this process, whatever ends that.
        self._process = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.visits: list[str] = []
        self._listener = socket.create_server(("0.0.0.0", 0))
        threading.Thread(target=self._count, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def port(self) -> int:
        """The port, on every address of the host."""
        return int(self._listener.getsockname()[1])

    def problems(self) -> list[str]:
        """What happened to it, in words."""
        found = [f"the canary was visited from {visit}" for visit in self.visits]
        self.visits.clear()
        if self._process.poll() is not None or "(zombie)" in self._state():
            found.append("the canary process is dead")
        if "(stopped)" in self._state():
            found.append("the canary process is stopped")
        if self._identity() != self._stamp:
            found.append("the canary file was changed")
        return found

    def close(self) -> None:
        """End it."""
        self._listener.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _identity(self) -> tuple[object, ...]:
        try:
            status = self.file.stat()
        except OSError as error:
            return (error.errno,)
        return (status.st_ino, status.st_mtime_ns, status.st_mode, status.st_uid, status.st_nlink)

    def _state(self) -> str:
        try:
            return Path(f"/proc/{self.pid}/status").read_text().partition("State:")[2][:20]
        except OSError:
            return "(zombie)"

    def _count(self) -> None:
        while True:
            try:
                connection, address = self._listener.accept()
            except OSError:
                return
            connection.close()
            self.visits.append(address[0])


def fingerprint() -> dict[str, str]:
    """What an attack on the kernel would change, as text by name."""
    found = {name: _text(name) for name in WATCHED}
    for path in sorted(Path("/sys/fs/cgroup").glob("*/release_agent")):
        found[str(path)] = _text(path)
    found["mounts"] = "\n".join(
        line for line in _text("/proc/mounts").splitlines() if line.split()[1] in LASTING
    )
    found["docker.sock"] = str(Path("/var/run/docker.sock").exists())
    return found


def clock_offset() -> float:
    """Seconds between the clock that can be set and the one that cannot."""
    return time.time() - time.monotonic()


def addresses(engine: docker.DockerClient) -> list[str]:
    """Addresses of this host that a container may try: loopback, its own, the bridge's gateway."""
    gateways = [
        config["Gateway"]
        for network in engine.networks.list()
        for config in network.attrs["IPAM"]["Config"] or []
        if "Gateway" in config
    ]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the kernel chooses the address
            gateways.append(probe.getsockname()[0])
        except OSError:
            pass  # a host without a route has no other address
    return ["127.0.0.1", "::1", *gateways]


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
