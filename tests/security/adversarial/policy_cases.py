"""Known ways out of RestrictedPython, each a tiny program that prints ESCAPED when it is out.

RestrictedPython is a policy and no boundary: the container holds whatever gets out. Still each of
these must be refused before it runs, or see an exception. Run without the policy, each prints
ESCAPED: a test holds that, so that none is refused for a mistake of its own.
"""

from tests.security.adversarial import policy_language, policy_library
from tests.security.adversarial.cases import EXITED, REFUSED, Case

_GROUPS = (
    policy_language.ATTRIBUTES,
    policy_language.FORMATS,
    policy_language.FRAMES,
    policy_language.GUARDS,
    policy_library.MODULES,
    policy_library.CODE,
    policy_library.LIBRARY,
)

POLICY_CASES = tuple(
    Case(
        name=f"policy: {name}",
        tries="RestrictedPython",
        ends=(REFUSED, EXITED),
        text=source,
        restricted=True,
    )
    for group in _GROUPS
    for name, source in group.items()
)
