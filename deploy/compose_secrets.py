"""`python -m deploy.compose_secrets`: generates what docker-compose.yml reads, once."""

import hashlib
import secrets
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from deploy.entry import run_main

FOLDER = Path(__file__).resolve().parent.parent / "secrets"


def values() -> dict[str, str]:
    """Return fresh secrets by file name."""
    owner, app, broker = (secrets.token_urlsafe(32) for _ in range(3))
    return {
        "postgres_owner_password": owner,
        "postgres_app_password": app,
        "database_owner_url": f"postgresql://agentcore_owner:{owner}@postgres/agentcore",
        "database_url": f"postgresql://agentcore_app:{app}@postgres/agentcore",
        "broker_url": f"redis://:{broker}@redis:6379/0",
        # All else is in the command of docker-compose.yml, which older files cannot keep from it.
        "redis_conf": f"requirepass {broker}\n",
        "flower_password": secrets.token_urlsafe(24),
    }


def fingerprint(files: Iterable[Path]) -> str:
    """Return 16 hexadecimal digits that change when a file does, and tell nothing of it.

    Nothing, as long as the secrets are long and random, which those made here are.
    """
    digest = hashlib.sha256()
    for path in sorted(files):
        content = path.read_bytes()
        digest.update(f"{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def main(folder: Path = FOLDER) -> int:
    """Write the files unless they exist; they belong together, so it is all or none."""
    if folder.exists():
        print(f"{folder} exists and stays as it is")
        return 0
    unfinished = folder.with_name(folder.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)  # of an interrupted run
    # The folder keeps others out; the files must be readable by the containers' users.
    unfinished.mkdir(mode=0o700, exist_ok=True)
    for name, value in values().items():
        file = unfinished / name
        file.write_text(value, encoding="utf-8")
        file.chmod(0o444)
    unfinished.rename(folder)
    print(f"wrote {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
