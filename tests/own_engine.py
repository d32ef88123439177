"""A Docker engine as a test's own, to be killed and restarted; knows nothing of the system's."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import requests

from deploy.local.handles import PROC, ProcessHandle, stop_all, wait_until_dead
from tests.harness import wait_until

# Not in every user's PATH.
PROGRAMS = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
# Unix sockets have paths of 107 bytes at most, and a test's own folder may be deep.
PARENT = "/tmp"
START_TIMEOUT = 60  # seconds; a third of one when idle, ten more while old containers end
STOP_TIMEOUT = 40  # seconds; a container that ignores SIGTERM is given 10 by the engine
SHIM_SOCKETS = Path("/run/containerd/s")  # of all containerds of a machine
CGROUPS = ("docker", "*/docker")  # of the second and the first version; without systemd
# Shims are containerd-shim-…; what has ended has no command line.
OF_ENGINE = re.compile(r"(\S*/)?(dockerd|containerd|runc)|$")
CALL_TIMEOUT = 30  # seconds of one call
# No bridge, and nothing done to a network. The storage driver is dockerd's choice.
OPTIONS = ("--bridge=none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
CONTAINERD_SETTINGS = """\
version = 2
root = "{here}/content"
state = "{here}/tasks"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = "{here}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "{here}/opt"
"""


class NoEngineError(Exception):
    """No engine can be started here; says why."""


@contextmanager
def own_engine(
    logs: Path, images_of: docker.DockerClient, image: str, *, has_network: bool = False
) -> Iterator["OwnEngine"]:
    """An engine that runs and has the image; in the end nothing of it is left but its logs.

    `has_network` gives it a bridge and rules, in the network namespace of whoever calls.
    Raises NoEngineError where none can be started.
    """
    if os.geteuid() != 0:
        raise NoEngineError("only root can start a container engine")
    engine = OwnEngine(logs, has_network=has_network)
    try:
        try:
            engine.start()
        except (OSError, AssertionError) as error:  # no such program, or it may not do its work
            raise NoEngineError(f"no container engine can be started: {error}") from error
        # As one stream; the API takes it, and the SDK's types do not know.
        saved: Any = images_of.images.get(image).save(named=image)
        engine.client.images.load(saved)
        yield engine
    finally:
        engine.close()


class OwnEngine:
    """One dockerd and its containerd, which outlives it as it does under an init system.

    No dockerd is left to choose its containerd: it would take the system's where there is one.
    """

    def __init__(self, logs: Path, *, has_network: bool = False) -> None:
        self._has_network = has_network
        self.directory = Path(tempfile.mkdtemp(prefix="agentcore-engine-", dir=PARENT)).resolve()
        self.url = f"unix://{self.directory}/docker.sock"
        self._client: docker.DockerClient | None = None
        self._logs = logs
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        settings = CONTAINERD_SETTINGS.format(here=self.directory)
        (self.directory / "containerd.toml").write_text(settings)
        (self.directory / "dockerd.json").write_text(json.dumps({}))  # and not the system's

    @property
    def client(self) -> docker.DockerClient:
        """The SDK's client; there is one after the first start."""
        assert self._client is not None, "the engine was never started"
        return self._client

    def start(self) -> None:
        """Start what does not run, and wait until it answers."""
        here = self.directory
        if not self._runs("containerd"):
            self._spawn("containerd", "--config", f"{here}/containerd.toml")
            wait_until((here / "containerd.sock").exists, START_TIMEOUT, "containerd")
        if not self._runs("dockerd"):
            # A killed one leaves it, and by then its pid may be somebody else's.
            (here / "dockerd.pid").unlink(missing_ok=True)
            options = () if self._has_network else OPTIONS
            self._spawn(
                "dockerd", "--config-file", f"{here}/dockerd.json", "--host", self.url,
                "--data-root", f"{here}/data", "--exec-root", f"{here}/run",
                "--pidfile", f"{here}/dockerd.pid", "--containerd", f"{here}/containerd.sock",
                *options,
            )  # fmt: skip
        wait_until(self._answers, START_TIMEOUT, "dockerd")

    def kill(self) -> None:
        """End dockerd as a crash would; containerd and the containers' own processes live on."""
        self._signal(signal.SIGKILL)
        self._processes.pop("dockerd").wait(STOP_TIMEOUT)

    def terminate(self) -> None:
        """Ask dockerd to end, as a restart does first; `stopped` waits for it."""
        self._signal(signal.SIGTERM)

    def stopped(self) -> None:
        """Wait until dockerd, asked to end, has stopped all containers and ended."""
        try:
            self._processes["dockerd"].wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()

    def hang(self) -> None:
        """Make dockerd answer nothing, until `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let dockerd go on."""
        self._signal(signal.SIGCONT)

    def processes(self) -> list[ProcessHandle]:
        """Return all that lives of this engine: both daemons, shims, and what those started."""
        children: dict[int, list[int]] = {}
        found: list[int] = []
        for pid in (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()):
            with suppress(OSError):
                parent = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(pid)
            line = _command_line(pid)
            if OF_ENGINE.match(line) and str(self.directory) in line:
                found.append(pid)
        for pid in found:  # grows while it is read
            found += (child for child in children.get(pid, ()) if child not in found)
        return [handle for pid in found if (handle := ProcessHandle.of(pid)) is not None]

    def in_containers(self) -> dict[int, str]:
        """Return what runs in containers, known to dockerd or not: command lines by pid.

        Not a container that was prepared for its start when dockerd was killed, who then forgets
        it: a shim and a runc, which has not become the container's program, wait for ever.
        """
        lines = {handle.pid: _command_line(handle.pid) for handle in self.processes()}
        return {pid: line for pid, line in lines.items() if not OF_ENGINE.match(line)}

    def close(self) -> None:
        """End everything, whatever was done to it, and remove the folder."""
        try:
            self._remove_containers()
        finally:
            for name in ("dockerd", "containerd"):
                self._end(name)
            # Nothing, unless the engine could not do it by itself.
            stop_all(self.processes(), first=signal.SIGKILL)
            self._unmount()
            self._remove_traces()
            if self._client is not None:
                self._client.close()
            shutil.rmtree(self.directory)

    def _remove_containers(self) -> None:
        """Let the engine clean up after its containers: mounts, control groups, shims."""
        if self._client is None:
            return  # it never answered
        if self._runs("dockerd"):
            self.resume()
        else:  # it would give them ten seconds first
            held = self.in_containers()
            inside = [handle for handle in self.processes() if handle.pid in held]
            stop_all(inside, first=signal.SIGKILL)
        self.start()
        for item in self.client.api.containers(all=True):
            with suppress(docker.errors.NotFound):
                self.client.api.remove_container(item["Id"], v=True, force=True)

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        handle = ProcessHandle.of(process.pid) if process is not None else None
        if process is None or handle is None:
            return
        process.terminate()
        if not wait_until_dead(handle, STOP_TIMEOUT):
            process.kill()
        process.wait()

    def _unmount(self) -> None:
        mounts = (line.split()[1] for line in (PROC / "mounts").read_text().splitlines())
        own = [mount for mount in mounts if mount.startswith(f"{self.directory}/")]
        for mount in reversed(own):
            subprocess.run(["umount", "--lazy", mount], check=False, capture_output=True)

    def _remove_traces(self) -> None:
        """Remove what shims that were killed leave outside of our folder."""
        started = self._log("containerd")
        for container in set(re.findall(f"{self.directory}/tasks/[^ ]*/([0-9a-f]{{64}})", started)):
            # By this name a shim is found: containerd's address, Docker's namespace, the container.
            name = f"{self.directory}/containerd.sock/moby/{container}".encode()
            (SHIM_SOCKETS / hashlib.sha256(name).hexdigest()).unlink(missing_ok=True)
            for pattern in CGROUPS:
                for group in Path("/sys/fs/cgroup").glob(f"{pattern}/{container}"):
                    group.rmdir()

    def _log(self, name: str) -> str:
        log = self._logs / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _runs(self, name: str) -> bool:
        return name in self._processes and self._processes[name].poll() is None

    def _signal(self, number: signal.Signals) -> None:
        self._processes["dockerd"].send_signal(number)

    def _spawn(self, name: str, *arguments: str) -> None:
        # A network of its own: told to do without a bridge, dockerd removes the machine's docker0.
        apart = () if self._has_network else ("unshare", "--net")
        with (self._logs / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [*apart, shutil.which(name, path=PROGRAMS) or name, *arguments],
                env=os.environ | {"PATH": PROGRAMS},  # they look for their parts there, too
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def _answers(self) -> bool:
        assert self._runs("dockerd"), f"dockerd ended:\n{self._log('dockerd')[-2000:]}"
        try:
            if self._client is None:
                self._client = docker.DockerClient(base_url=self.url, timeout=CALL_TIMEOUT)
            return bool(self._client.ping())
        except (docker.errors.DockerException, requests.exceptions.RequestException):
            return False


def _command_line(pid: int) -> str:
    """Return a process's program and arguments; nothing for one that has ended meanwhile."""
    try:
        line = (PROC / str(pid) / "cmdline").read_text(errors="replace")
    except OSError:
        return ""
    return line.replace("\0", " ")
