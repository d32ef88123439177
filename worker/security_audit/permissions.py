"""Section 5: permissions of the paths that security rests on."""

import stat

from models.settings import PREFIX
from worker.security_audit.facts import Facts, PathFacts
from worker.security_audit.paths import FILE_SUFFIX
from worker.security_audit.verdicts import (
    Check,
    Section,
    enforced,
    misconfigured,
    not_enforceable,
    not_looked_at,
)

FILES = f"{PREFIX}*{FILE_SUFFIX}"
SOCKET = "Docker socket"


def section(facts: Facts) -> Section:
    """One check for each path; one that says so where there is none of a kind."""
    checks = [permissions(found) for found in facts.paths]
    if facts.access.socket is None:
        address = facts.access.address
        checks.insert(0, not_looked_at(SOCKET, f"the engine is at {address}", "look on its host"))
    if not any(found.name.endswith(FILE_SUFFIX) for found in facts.paths):
        checks.insert(1, enforced("settings files", f"no {FILES} is set"))
    return Section(number=5, title="File permissions", checks=tuple(checks))


def permissions(found: PathFacts) -> Check:
    """Not any user may write it or replace it, or read it where it is a secret."""
    if found.mode is None:
        why = f"{found.path} does not exist, or this user may not look at it"
        return not_looked_at(found.name, why, "run the audit as the worker's user or as root")
    detail = f"{found.path} is {found.owner} {found.mode:04o}"
    if found.mode & stat.S_IWOTH:
        advice = f"run `chmod o-w {found.path}`"
        return misconfigured(found.name, f"{detail}: any user may write", advice)
    if found.open_parents:
        folders = " ".join(str(parent) for parent in found.open_parents)
        advice = f"run `chmod o-w {folders}`"
        return misconfigured(found.name, f"any user may replace it in {folders}", advice)
    if found.secret and found.mode & stat.S_IROTH and found.reachable:
        return _readable_secret(found, detail)
    return enforced(found.name, detail)


def _readable_secret(found: PathFacts, detail: str) -> Check:
    if found.mounted:
        advice = "see that the folder it is mounted from keeps other users out"
        return not_enforceable(found.name, f"{detail}, mounted from out of sight", advice)
    advice = f"run `chmod o-r {found.path}`"
    return misconfigured(found.name, f"{detail}: any user may read the secret", advice)
