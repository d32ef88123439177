"""Known ways out of RestrictedPython as cases: the same table that the policy's own tests use.

RestrictedPython is a policy and no boundary: the container holds whatever gets out. Still each of
these must be refused. What is refused before it runs runs under no profile, and is tried under one.
"""

import ast

from security_profiles import PROFILE_NAMES, get_profile
from tests.restricted_escapes import ESCAPES, Escape
from tests.security.adversarial.cases import REFUSED, Case
from worker.sandbox.guest.restricted.transformer import Policy

_IMPORTS = frozenset(get_profile("minimal").restricted_python_imports)


def _is_refused_unseen(escape: Escape) -> bool:
    tree = ast.parse(escape.source)
    policy = Policy(_IMPORTS, tree)
    policy.visit(tree)
    return bool(policy.problems)


def _case(escape: Escape) -> Case:
    return Case(
        name=f"policy: {escape.name}",
        tries="RestrictedPython",
        ends=(REFUSED,),
        text=escape.source,
        restricted=True,
        refused_for=f"line {escape.line}: ",
    )


POLICY_TRIALS = tuple(
    (_case(escape), profile)
    for escape in ESCAPES
    for profile in (PROFILE_NAMES[:1] if _is_refused_unseen(escape) else PROFILE_NAMES)
)
"""Pairs of a case and a profile that it is tried under."""

POLICY_NAMES = tuple(dict.fromkeys(case.name for case, _ in POLICY_TRIALS))
