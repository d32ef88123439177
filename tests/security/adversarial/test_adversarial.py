"""Hostile programs against the whole stack, under every profile, with the host as witness."""

import pytest

from security_profiles import PROFILE_NAMES
from tests.security.adversarial import table
from tests.security.adversarial.arena import Arena
from tests.security.adversarial.cases import CASES, HELPER, PROGRAMS, Case
from tests.security.adversarial.judging import run_case
from tests.security.adversarial.policy_cases import POLICY_TRIALS

TRIALS = [*((case, profile) for case in CASES for profile in PROFILE_NAMES), *POLICY_TRIALS]


@pytest.mark.parametrize(
    ("case", "profile"),
    TRIALS,
    ids=[table.trial_id(case.name, profile) for case, profile in TRIALS],
)
def test_program_is_contained(
    arena: Arena, case: Case, profile: str, request: pytest.FixtureRequest
) -> None:
    verdict = run_case(arena, case, profile)
    line = table.Line(case=case.name, tries=case.tries, profile=profile, **vars(verdict))
    request.node.user_properties.append(line.as_property())
    assert not verdict.problems, "\n".join(verdict.problems)


def test_every_program_is_in_the_table_once() -> None:
    names = [case.name for case in CASES if not case.blocks_all]
    assert sorted([*names, HELPER.removesuffix(".py")]) == sorted(
        path.stem for path in PROGRAMS.glob("*.py")
    )
