"""Section 6: the directories of rendered profiles."""

from security_profiles.files import DIRECTORY_VARIABLE, rendered_files
from worker.security_audit.facts import DirectoryFacts, Facts
from worker.security_audit.verdicts import (
    Check,
    Section,
    enforced,
    misconfigured,
    not_looked_at,
)

KINDS = {".json": "seccomp profiles", ".apparmor": "AppArmor profiles"}
"""File suffix to what the files are."""

RENDER = "python -m security_profiles render"
WRITE_AGAIN = "write the file again, or remove it"


def section(facts: Facts) -> Section:
    """Directory and both kinds of files, for the committed directory and the operator's."""
    checks = tuple(check for one in facts.directories for check in directory(one))
    return Section(number=6, title="Profile directory", checks=checks)


def directory(found: DirectoryFacts) -> list[Check]:
    """Return the verdicts on one directory: itself, then each kind of file in it."""
    sorted_problems: dict[str, list[str]] = {kind: [] for kind in ("", *KINDS)}
    for problem in found.problems:
        sorted_problems[_suffix(found, problem)].append(problem)
    checks = [_itself(found, sorted_problems[""])]
    for suffix, title in KINDS.items():
        name = f"{title} ({found.name})"
        if not found.exists:
            checks.append(not_looked_at(name, f"{found.path} is missing", "make it"))
        else:
            checks.append(_files(name, suffix, found, sorted_problems[suffix]))
    return checks


def _suffix(found: DirectoryFacts, problem: str) -> str:
    """Which kind of file a problem names; its line starts with the path."""
    file = problem.removeprefix(f"{found.path}/").partition(" ")[0]
    return next((suffix for suffix in KINDS if file.endswith(suffix)), "")


def _itself(found: DirectoryFacts, problems: list[str]) -> Check:
    name = f"directory ({found.name})"
    if problems:
        return _wrong(name, found, problems)
    return enforced(name, f"{found.path} is there and not world-writable")


def _files(name: str, suffix: str, found: DirectoryFacts, problems: list[str]) -> Check:
    if problems:
        return _wrong(name, found, problems)
    files = sorted(file for file in rendered_files() if file.endswith(suffix))
    return enforced(name, f"as the code renders them: {', '.join(files)}")


def _wrong(name: str, found: DirectoryFacts, problems: list[str]) -> Check:
    """The problems as they are told, with what they say is to be done as the advice."""
    pairs = [_split(problem) for problem in problems]
    todo = "; ".join(dict.fromkeys(todo for _, todo in pairs if todo)) or WRITE_AGAIN
    # Where the variable is set it is that command's default: name the directory.
    advice = todo.replace(RENDER, f"{RENDER} --directory {found.path}")
    if found.name == DIRECTORY_VARIABLE:
        advice += f"; or unset {DIRECTORY_VARIABLE} if nothing reads these files"
    return misconfigured(name, "; ".join(what for what, _ in pairs), advice)


def _split(problem: str) -> tuple[str, str]:
    what, separator, todo = problem.rpartition(": ")
    return (what, todo) if separator else (problem, "")
