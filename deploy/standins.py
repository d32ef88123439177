"""Stand-ins for public images where no registry answers: this machine's own Debian packages.

They do what docker-compose.yml asks of the official images, and no more. They are for trying and
testing; where a registry answers they are never made.
"""

from __future__ import annotations

import hashlib
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import docker
from docker.errors import APIError, ImageNotFound

from deploy.baseimage import OFFICIAL, image_id, import_packages, pull
from deploy.progress import Progress
from deploy.system import os_release

FILES = Path(__file__).resolve().parent / "docker" / "standins"
HASH_LABEL = "dev.agentcore.content-hash"
PATH = "ENV PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8"
NOT_NEEDED = "usr/share/doc usr/share/man usr/share/locale usr/share/i18n usr/share/perl"


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """How an image is made of packages. Paths in `files` and `folder` have no leading slash."""

    official: str
    name: str
    packages: str
    files: tuple[tuple[str, str], ...] = ()  # of FILES, and where each goes
    user: str = ""  # an account with the id 999, the owner of `folder`
    folder: str = ""
    remove: str = NOT_NEEDED
    commands: tuple[str, ...] = ()  # of a shell, on the unpacked root
    changes: tuple[str, ...] = ()  # instructions of a Dockerfile

    def hooks(self) -> list[str]:
        """Return the shell commands that finish the unpacked root, which is their `$1`."""
        hooks = [f'cd "$1" && rm -rf {self.remove}', *self.commands]
        for name, target in self.files:
            source = shlex.quote(str(FILES / name))
            hooks.append(f'install -D -m 644 {source} "$1/{target}"')
        accounts = ["root:x:0:0:root:/root:/bin/sh"]
        groups = ["root:x:0:"]
        if self.user:
            accounts.append(f"{self.user}:x:999:999::/{self.folder}:/bin/sh")
            groups.append(f"{self.user}:x:999:")
        for file, lines in (("passwd", accounts), ("group", groups)):
            words = " ".join(shlex.quote(line) for line in lines)
            hooks.append(f'printf "%s\\n" {words} > "$1/etc/{file}"')
        if self.folder:
            owner = "-o 999 -g 999 " if self.user else ""
            hooks.append(f'install -d {owner}-m 755 "$1/{self.folder}"')
        return hooks

    def content_hash(self) -> str:
        """Return a SHA-256 over all that the image is made of but the packages' versions."""
        digest = hashlib.sha256(repr(self).encode())
        for name, _ in self.files:
            digest.update((FILES / name).read_bytes())
        return digest.hexdigest()


def _name(part: str) -> str:
    release = os_release()
    return f"agentcore/standin-{part}:{release.get('ID', 'none')}-{release.get('VERSION_ID', '0')}"


PYTHON = StandIn(
    official=OFFICIAL,
    name=_name("python"),
    # venv and its pip are for the build; coreutils for a look around.
    packages="python3,python3-venv,ca-certificates,tzdata,coreutils",
    changes=(PATH,),
)
POSTGRES = StandIn(
    official="postgres:18-alpine",
    name=_name("postgres"),
    packages="postgresql,dash,coreutils",
    files=(("postgres.sh", "usr/local/bin/postgres.sh"),),
    user="postgres",
    folder="var/lib/postgresql",
    # The compiler for queries is a third of all of it.
    remove=f"{NOT_NEEDED} usr/lib/*/libLLVM* usr/lib/*/perl*",
    commands=(
        'ln -s "$(ls "$1/usr/lib/postgresql")" "$1/usr/lib/postgresql/current"',
        # A tmpfs takes the mode of the folder under it when its container starts again.
        'install -d -m 1777 "$1/var/run/postgresql"',
    ),
    changes=(
        "ENV PATH=/usr/lib/postgresql/current/bin:/usr/bin:/bin LANG=C.UTF-8",
        'ENTRYPOINT ["sh", "/usr/local/bin/postgres.sh"]',
        'CMD ["postgres", "-c", "listen_addresses=*", "-c", "jit=off"]',
        "USER postgres",
    ),
)
REDIS = StandIn(
    official="redis:8-alpine",
    name=_name("redis"),
    packages="redis-server,redis-tools,dash,grep",
    user="redis",
    folder="data",
    changes=(PATH, "WORKDIR /data", "USER redis", 'CMD ["redis-server"]'),
)
REGISTRY = StandIn(
    official="registry:3",
    name=_name("registry"),
    packages="docker-registry,ca-certificates",
    files=(("registry.yml", "etc/docker/registry/config.yml"),),
    folder="var/lib/registry",
    changes=(PATH, 'CMD ["docker-registry", "serve", "/etc/docker/registry/config.yml"]'),
)


def obtain(client: docker.DockerClient, standin: StandIn, say: Progress, kept: str = "") -> str:
    """Return the name of the official image, else that of its stand-in, made if need be.

    `kept` is the name of a stand-in that was given before: as long as the engine has it, there is
    no other, as another release would not read its data. Raises `ImageError` where there is none.
    """
    keep = bool(kept) and _labels(client, kept) is not None
    if keep and kept != standin.name:
        return kept
    if not keep and _labels(client, standin.official) is not None:
        return standin.official
    wanted = standin.content_hash()
    if (_labels(client, standin.name) or {}).get(HASH_LABEL) == wanted:
        return standin.name
    if not keep:
        say(f"pulling {standin.official}")
        refusal = pull(standin.official)
        if refusal is None:
            return standin.official
        say(f"no {standin.official} from the registry ({refusal})")
    _make(client, standin, say)
    return standin.name


def _make(client: docker.DockerClient, standin: StandIn, say: Progress) -> None:
    replaced = image_id(client, standin.name)
    import_packages(
        client,
        standin.name,
        standin.packages,
        say,
        stands_for=standin.official,
        hooks=standin.hooks(),
        changes=(*standin.changes, f"LABEL {HASH_LABEL}={standin.content_hash()}"),
    )
    if replaced is not None:
        with suppress(APIError):  # a container may still use it
            client.images.remove(replaced)


def _labels(client: docker.DockerClient, name: str) -> dict[str, str] | None:
    """Return the labels of a local image, None where there is none of that name."""
    try:
        return dict(client.images.get(name).labels)
    except ImageNotFound:
        return None
