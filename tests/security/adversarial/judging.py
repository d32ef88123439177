"""Runs one case under one profile and says whether it was contained."""

import base64
from dataclasses import dataclass
from typing import Any

import httpx

from models.audit import ISOLATION_WEAKER
from security_profiles import allowed_names
from security_profiles.additions import required_names
from tests.restricted_escapes import MARK
from tests.security.adversarial.arena import Arena
from tests.security.adversarial.cases import HELPER, PROGRAMS, Case

TERMINAL = {"succeeded", "failed", "timed_out", "cancelled", "rejected", "lost"}
OUTCOME_TIMEOUT = 45  # seconds; every case has far lower limits of its own
ORDINARY = "for word in ('ordinary',):\n    print(word)"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """How one case ended under one profile, and everything that is wrong with that."""

    ended: str
    problems: tuple[str, ...]
    is_warm: bool = False  # whether its sandbox had been started ahead


def run_case(arena: Arena, case: Case, profile: str) -> Verdict:
    """Run the case and look at everything after it."""
    try:
        execution = arena.api.submit(case.source, **_request(arena, case, profile))
        execution = arena.api.outcome(execution["id"], OUTCOME_TIMEOUT)
    except (AssertionError, httpx.HTTPError) as error:
        return Verdict(
            ended="no outcome", problems=(str(error)[:500], *_aftermath(arena, case, profile))
        )
    wrong = _ending(execution, case.expected(profile))
    checks = () if wrong else case.checks  # they read what only such an end has
    problems = [
        *wrong,
        *_told(execution, case, profile),
        *(problem for check in checks for problem in check(execution, arena)),
        *_aftermath(arena, case, profile),
        *trail_problems(arena.api.events(execution["id"]), execution),
    ]
    # Terminal means terminal: neither its survivors nor the next program changed it.
    later = arena.api.get(f"/v1/executions/{execution['id']}").json()
    if later["status"] != execution["status"]:
        problems.append(f"the outcome changed to {later['status']}")
    engine = (execution["isolation"] or {}).get("engine", {})
    return Verdict(
        ended=ending(execution), problems=tuple(problems), is_warm=engine.get("warm", False)
    )


def _request(arena: Arena, case: Case, profile: str) -> dict[str, Any]:
    files = {path: make() for path, make in case.files.items()}
    if case.text is None:
        files[HELPER] = (PROGRAMS / HELPER).read_bytes()
    return {
        "security_profile": profile,
        "restricted_python": case.restricted,
        "security_options": {"blocked_syscalls": _blockable(profile) if case.blocks_all else []},
        "environment": arena.targets(),
        "files": [
            {"path": path, "content": base64.b64encode(data).decode(), "encoding": "base64"}
            for path, data in files.items()
        ],
        "execution_limits": {
            "max_execution_time_seconds": case.seconds,
            "max_memory_mb": case.memory_mb,
            "max_processes": case.processes,
            "max_cpu_percent": case.cpu_percent,
            "max_file_descriptors": 50,
        },
        "resource_limits": {"storage_quota_mb": case.storage_mb} | network(profile),
    }


OF_THE_PROGRAM = frozenset({"getcwd", "uname"})  # what the hostile program itself cannot do without


def _blockable(profile: str) -> list[str]:
    return sorted(allowed_names(profile) - required_names(profile) - OF_THE_PROGRAM)


def network(profile: str) -> dict[str, str]:
    """The profile's own network, but for privileged, whose own is the open one."""
    return {"network_access": "none"} if profile == "privileged" else {}


def ending(execution: dict[str, Any]) -> str:
    """Status and reason in one word or two."""
    return " ".join(filter(None, (execution["status"], execution["reason"])))


def _ending(execution: dict[str, Any], expected: tuple[str, ...]) -> list[str]:
    if ending(execution) in expected:
        return []
    said = (execution["stderr"] or {}).get("text", "")[-300:]
    return [
        f"ended {ending(execution)}, not {' or '.join(expected)}: {execution['message']} {said}"
    ]


def _told(execution: dict[str, Any], case: Case, profile: str) -> list[str]:
    """What the program itself saw get through."""
    if case.restricted and MARK in (execution["stdout"] or {}).get("text", ""):
        return ["got out of the policy"]
    if case.refused_for not in (execution["message"] or ""):
        return [f"refused for something else: {execution['message']}"]
    if not case.reports or execution["status"] != "succeeded":
        return []
    told = execution["result"]
    if not told or not (told["escaped"] or told["refused"]):
        return ["the program tells of no attempt"]
    granted = set(case.granted.get(profile, ()))
    found = [f"got through: {name}" for name in told["escaped"] if name not in granted]
    # What is granted and yet refused makes the table wrong.
    return found + [f"was refused: {name}" for name in granted - set(told["escaped"])]


def trail_problems(trail: dict[str, Any], execution: dict[str, Any]) -> list[str]:
    """What is wrong with an audit trail: broken, incomplete, or without one single end."""
    items = trail["items"]
    told = [event["data"].get("to") or event["kind"] for event in items]
    problems = [] if trail["intact"] else ["the audit trail is broken"]
    if [event["sequence"] for event in items] != list(range(1, len(items) + 1)):
        problems.append("the audit trail has gaps")
    ends = [word for word in told if word in TERMINAL]
    if ends != [execution["status"]] or told[-1:] != ends:
        problems.append(f"the audit trail ends in {ends}")
    expected = {"submitted", "running", "user_code_started"}
    if (execution["isolation"] or {}).get("missing"):
        expected.add(ISOLATION_WEAKER)
    if missing := expected - set(told):
        problems.append(f"the audit trail lacks {sorted(missing)}")
    return problems


def _aftermath(arena: Arena, case: Case, profile: str) -> list[str]:
    """What is wrong with the host and the deployment, and whether they still serve others."""
    try:
        execution = arena.api.run(
            ORDINARY,
            security_profile=profile,
            restricted_python=case.restricted,
            resource_limits=network(profile),
        )
    except (AssertionError, httpx.HTTPError) as error:
        return [f"afterwards: {error}", *arena.problems()]
    ordinary = (execution["status"], execution["stdout"]["text"]) == ("succeeded", "ordinary\n")
    return arena.problems() + ([] if ordinary else [f"the next program: {ending(execution)}"])
