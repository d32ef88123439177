"""The image that peers run on: ours and a shell, Debian's statically linked busybox."""

import hashlib
import subprocess
import tempfile
from pathlib import Path

import docker

from deploy.imagecontext import tar_of
from deploy.system import last_line
from tests.benchmarks.peers.errors import PeerError

NAME = "agentcore/benchmark-peers"
PACKAGE = "busybox-static"
HERE = Path(__file__).parent
PACKAGE_TIMEOUT = 120  # seconds


def peer_image(client: docker.DockerClient, base: str) -> str:
    """Return the name of the image on top of `base`, made if need be. Raises PeerError."""
    base_id = str(client.images.get(base).id)
    recipe = (HERE / "Dockerfile").read_bytes()
    setup = (HERE / "setup_image.py").read_bytes()
    digest = hashlib.sha256(recipe + setup + base_id.encode()).hexdigest()[:12]
    name = f"{NAME}:{digest}"
    if not client.images.list(name):
        earlier = client.images.list(NAME)
        files = {"Dockerfile": recipe, "setup.py": setup, "busybox": _busybox()}
        client.images.build(
            fileobj=tar_of(files), custom_context=True, tag=name, rm=True, forcerm=True,
            buildargs={"BASE": base}, network_mode="none",
        )  # fmt: skip
        for image in earlier:
            client.images.remove(image.tags[0])
    return name


def _busybox() -> bytes:
    """Return the program out of Debian's package; nothing is installed."""
    with tempfile.TemporaryDirectory(prefix="agentcore-bench-") as folder:
        try:
            for command in (
                ["apt-get", "download", PACKAGE],
                ["sh", "-c", "dpkg-deb -x *.deb ."],
            ):
                subprocess.run(
                    command, cwd=folder, check=True, capture_output=True, text=True,
                    timeout=PACKAGE_TIMEOUT,
                )  # fmt: skip
        except FileNotFoundError as error:
            raise PeerError(f"no shell for its image: {error.filename} is missing") from error
        except subprocess.CalledProcessError as error:
            raise PeerError(f"no {PACKAGE} for its image: {last_line(error.stderr)}") from error
        except subprocess.TimeoutExpired as error:
            raise PeerError(f"no {PACKAGE} within {PACKAGE_TIMEOUT} s") from error
        return Path(folder, "bin", "busybox").read_bytes()
