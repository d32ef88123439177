"""Run in the build of the peers' image, as root: gives it a shell and the names that peers call."""

from pathlib import Path

BUSYBOX = Path("/bin/busybox")

BUSYBOX.chmod(0o755)
for name in ("sh", "mkdir", "chown"):
    BUSYBOX.with_name(name).symlink_to(BUSYBOX.name)
Path("/usr/bin/python").symlink_to("python3")
Path("/sandbox").mkdir()  # where llm-sandbox puts its files
Path(__file__).unlink()
