"""The judge sees what is wrong, and a run says what it tried."""

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness import wait_until
from tests.security.adversarial import table
from tests.security.adversarial.arena import WARM, Arena, left_over
from tests.security.adversarial.judging import trail_problems

TRAIL: dict[str, Any] = {
    "intact": True,
    "items": [
        {"sequence": 1, "kind": "submitted", "data": {}},
        {"sequence": 2, "kind": "status_changed", "data": {"to": "running"}},
        {"sequence": 3, "kind": "user_code_started", "data": {}},
        {"sequence": 4, "kind": "status_changed", "data": {"to": "failed"}},
    ],
}


ENDED: dict[str, Any] = {"status": "failed", "isolation": {"missing": []}}
WEAKER: dict[str, Any] = {"status": "failed", "isolation": {"missing": ["no AppArmor"]}}


def test_a_whole_trail_has_no_problem() -> None:
    assert trail_problems(TRAIL, ENDED) == []
    told = copy.deepcopy(TRAIL)
    told["items"][1]["kind"] = "isolation_weaker"
    told["items"].insert(1, {"sequence": 2, "kind": "status_changed", "data": {"to": "running"}})
    for number, item in enumerate(told["items"], start=1):
        item["sequence"] = number
    told["items"][2]["data"] = {}
    assert trail_problems(told, WEAKER) == []


def test_a_layer_that_is_missing_without_an_event_is_noticed() -> None:
    assert trail_problems(TRAIL, WEAKER) == ["the audit trail lacks ['isolation_weaker']"]


def test_a_rejected_program_needs_its_events_too() -> None:
    trail = copy.deepcopy(TRAIL)
    trail["items"][3]["data"].update(to="rejected")
    rejected = ENDED | {"status": "rejected"}
    assert trail_problems(trail, rejected) == []
    del trail["items"][2]
    trail["items"][2]["sequence"] = 3
    assert trail_problems(trail, rejected) == ["the audit trail lacks ['user_code_started']"]


def _second_end(trail: dict[str, Any]) -> None:
    trail["items"].append({"sequence": 5, "kind": "status_changed", "data": {"to": "succeeded"}})


@pytest.mark.parametrize(
    "harm",
    [
        _second_end,
        lambda trail: trail.update(intact=False),
        lambda trail: trail["items"].pop(),
        lambda trail: trail["items"].pop(2),
        lambda trail: trail["items"][3]["data"].update(to="succeeded"),
    ],
)
def test_a_harmed_trail_is_noticed(harm: Any) -> None:
    trail = copy.deepcopy(TRAIL)
    harm(trail)
    assert trail_problems(trail, ENDED)


def test_an_escape_is_in_the_table_and_in_its_last_line() -> None:
    lines = [
        table.Line(case="one", tries="x", profile="minimal", ended="succeeded", problems=()),
        table.Line(case="one", tries="x", profile="standard", ended="failed", problems=("why",)),
    ]
    text = "\n".join(table.render(lines, ["one"]))
    assert "✓ succeeded" in text
    assert "✗ ESCAPED failed" in text
    assert "✗ one under standard: why" in text
    assert table.closing(lines) == "security: 2 tried, 1 contained, 1 escaped"


def test_the_summary_says_how_many_found_a_sandbox_that_waited() -> None:
    told = {"case": "a", "tries": "x", "profile": "minimal", "ended": "failed", "problems": ()}
    lines = [table.Line(**told, is_warm=is_warm) for is_warm in (True, False, True)]  # type: ignore[arg-type]
    assert table.sandboxes(lines) == "sandboxes: 2 started ahead, 1 for the program at hand"


@pytest.mark.parametrize(
    ("used", "waiting", "problems"),
    [
        ({"other"}, 2, ["container cold is left"]),
        ({"warm-1"}, 1, ["container cold is left", "container warm-1 is left"]),
        (set(), 1, ["container cold is left", "2 containers were started ahead, and 1 wait"]),
    ],
)
def test_what_waits_may_be_there_and_nothing_else(
    used: set[str], waiting: int, problems: list[str]
) -> None:
    cold = {"Id": "cold", "Labels": {"dev.agentcore.execution": "x"}}
    warm = [{"Id": f"warm-{number}", "Labels": {WARM: "x"}} for number in (1, 2)]
    assert left_over([cold, *warm], used, waiting) == problems


def test_a_warm_container_that_nobody_keeps_is_noticed(arena: Arena) -> None:
    wait_until(lambda: not arena.left(), 30, "as many containers as wait")
    (labels,) = (item["Labels"] for item in _of_arena(arena)[:1])
    image = arena.engine.images.get("agentcore/sandbox:dev")
    # Without its worker's label, or that would remove it.
    del labels["dev.agentcore.worker"]
    stray = arena.engine.containers.create(image, network_mode="none", labels=labels)
    try:
        assert [problem for problem in arena.left() if "started ahead" in problem]
    finally:
        stray.remove(force=True)


def _of_arena(arena: Arena) -> list[Any]:
    label = f"dev.agentcore.deployment={arena.stack.environment['AGENTCORE_DEPLOYMENT']}"
    return list(arena.engine.api.containers(filters={"label": label}))


def _report(when: str, outcome: str, **properties: Any) -> pytest.TestReport:
    return pytest.TestReport(
        "a.py::test_program_is_contained[fork_bomb-minimal]", ("a.py", 1, "x"), {},
        outcome, None, when, user_properties=list(properties.items()),  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.mark.parametrize("when", ["setup", "call", "???"])
def test_a_case_without_a_verdict_counts_as_not_contained(when: str) -> None:
    (line,) = table.lines_of([_report("setup", "passed"), _report(when, "failed")])
    assert (line.case, line.profile) == ("fork_bomb", "minimal")
    assert table.closing([line]) == "security: 1 tried, 0 contained, 1 escaped"


def test_a_verdict_is_counted_once() -> None:
    told = table.Line(case="a", tries="x", profile="minimal", ended="failed", problems=("why",))
    report = _report("call", "failed", **dict([told.as_property()]))
    assert table.lines_of([report, _report("teardown", "passed")]) == [told]


def test_a_run_that_tries_nothing_fails_and_says_so() -> None:
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder), "-k", "none"],
        cwd=folder.parents[2], capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode != 0
    assert "security: 0 tried, 0 contained, 0 escaped: nothing was tried" in done.stdout
