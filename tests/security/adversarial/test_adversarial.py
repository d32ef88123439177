"""Hostile programs against the whole stack, under every profile, with the host as witness."""

import pytest

from security_profiles import PROFILE_NAMES
from tests.security.adversarial.arena import Arena
from tests.security.adversarial.cases import CASES, HELPER, PROGRAMS, Case
from tests.security.adversarial.judging import run_case
from tests.security.adversarial.policy_cases import POLICY_CASES
from tests.security.adversarial.table import Line


@pytest.mark.parametrize("profile", PROFILE_NAMES)
@pytest.mark.parametrize("case", [*CASES, *POLICY_CASES], ids=lambda case: case.name)
def test_program_is_contained(
    arena: Arena, case: Case, profile: str, request: pytest.FixtureRequest
) -> None:
    verdict = run_case(arena, case, profile)
    line = Line(case=case.name, tries=case.tries, profile=profile, **vars(verdict))
    request.node.user_properties.append(line.as_property())
    assert not verdict.problems, "\n".join(verdict.problems)


def test_every_program_is_in_the_table_once() -> None:
    names = [case.name for case in CASES]
    assert sorted([*names, HELPER.removesuffix(".py")]) == sorted(
        path.stem for path in PROGRAMS.glob("*.py")
    )
