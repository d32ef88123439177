"""Hostile programs against the whole stack, under every profile, with the host as witness.

Most find a sandbox that was started ahead, as users' do; some get one of their own.
"""

import pytest

from security_profiles import PROFILE_NAMES
from tests.security.adversarial import table
from tests.security.adversarial.arena import Arena
from tests.security.adversarial.cases import CASES, HELPER, PROGRAMS, Case
from tests.security.adversarial.judging import Verdict, run_case
from tests.security.adversarial.policy_cases import POLICY_TRIALS

PAIRS = [*((case, profile) for case in CASES for profile in PROFILE_NAMES), *POLICY_TRIALS]
# One in so many without the warm pool; no multiple of the number of profiles.
COLD = 8
TRIALS = [
    (case, profile, "arena" if number % COLD else "cold_arena")
    for number, (case, profile) in enumerate(PAIRS)
]


@pytest.mark.parametrize(
    ("case", "profile", "ground"),
    TRIALS,
    ids=[table.trial_id(case.name, profile) for case, profile, _ in TRIALS],
)
def test_program_is_contained(
    case: Case, profile: str, ground: str, request: pytest.FixtureRequest
) -> None:
    verdict = run_case(request.getfixturevalue(ground), case, profile)
    line = table.Line(case=case.name, tries=case.tries, profile=profile, **vars(verdict))
    request.node.user_properties.append(line.as_property())
    assert not verdict.problems, "\n".join(verdict.problems)


def test_programs_find_sandboxes_that_were_started_ahead_and_others_do_not(
    arena: Arena, cold_arena: Arena
) -> None:
    case = next(case for case in CASES if not case.text)

    def run(ground: Arena) -> Verdict:
        verdict = run_case(ground, case, "standard")
        assert not verdict.problems
        return verdict

    first = [run(arena) for _ in range(3)]  # the pool starts such from the second one on
    assert first[-1].is_warm
    assert not run(cold_arena).is_warm


def test_every_program_is_in_the_table_once() -> None:
    names = [case.name for case in CASES if not case.blocks_all]
    assert sorted([*names, HELPER.removesuffix(".py")]) == sorted(
        path.stem for path in PROGRAMS.glob("*.py")
    )
