"""Reads and changes the kernel's filter tables by the programs of iptables; no shell."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from worker.full_network_rules.errors import NotHereError, TablesError
from worker.full_network_rules.rules import Ruleset, Saved, parse

PATH = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin"  # sbin is not on the PATH of every shell
TIMEOUT = 30  # seconds of one program; it takes milliseconds, or waits for another's lock
LOCK_SECONDS = 10  # the older iptables lets one of two programs wait
TRIES = 3  # another program may have changed the tables between reading and writing
HAS_IPV6 = Path("/proc/net/if_inet6")  # absent where the kernel runs without IPv6


@dataclass(frozen=True, kw_only=True)
class Tables:
    """One IP version's tables. `save` and `restore` are paths of programs."""

    save: str
    restore: str

    def read(self) -> Saved:
        """Return the filter table. Raises TablesError."""
        return parse(_run([self.save, "-t", "filter"]))

    def change(self, ruleset: Ruleset, render: Callable[[Ruleset, Saved], str]) -> bool:
        """Do what `render` says of the table as it is; all of it or nothing. Raises TablesError.

        Returns whether there was anything to do.
        """
        for attempt in range(1, TRIES + 1):
            orders = render(ruleset, self.read())
            if not orders:
                return False
            try:
                _run([self.restore, "--noflush", f"--wait={LOCK_SECONDS}"], orders)
            except TablesError:
                if attempt == TRIES:
                    raise
            else:
                return True
        raise AssertionError("unreachable")


def ipv4_tables() -> Tables:
    """Return the tables for IPv4. Raises NotHereError where they cannot be had."""
    if os.geteuid() != 0:
        raise NotHereError("only root may see or change the firewall: run this with sudo")
    address = os.environ.get("DOCKER_HOST", "")
    if address and not address.startswith(("unix://", "fd://")):
        raise NotHereError(
            f"DOCKER_HOST names the engine at {address}: the rules belong to the host it runs on; "
            "run this there, without DOCKER_HOST"
        )
    found = _programs("iptables")
    if found is None:
        raise NotHereError(
            "iptables is not installed here: run `apt-get install iptables` if the Docker engine "
            "runs on this host, else run this on the host where it does"
        )
    return found


def ipv6_tables() -> Tables | None:
    """Return the tables for IPv6; None where the host has no IPv6 or no ip6tables."""
    return _programs("ip6tables") if HAS_IPV6.exists() else None


def _programs(name: str) -> Tables | None:
    paths = [shutil.which(f"{name}-{verb}", path=PATH) for verb in ("save", "restore")]
    save, restore = paths
    return Tables(save=save, restore=restore) if save and restore else None


def _run(command: list[str], text: str = "") -> str:
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TablesError(f"{command[0]} did not run: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise TablesError(f"{command[0]} failed and changed nothing: {said}")
    return done.stdout
