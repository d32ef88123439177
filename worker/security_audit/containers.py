"""Section 7: what a container gets, read off a real sandbox of every enabled profile."""

from dataclasses import replace

from security_profiles import PROFILE_NAMES
from worker.security_audit.facts import Facts, SandboxFacts
from worker.security_audit.topics import BY_PROFILE, TOPICS, Seen
from worker.security_audit.verdicts import (
    Check,
    Section,
    enforced,
    misconfigured,
    not_enforceable,
    not_looked_at,
)


def section(facts: Facts) -> Section:
    """Which profiles were looked at, and the verdicts on each."""
    checks = [enabled_profiles(facts)]
    for sandbox in facts.sandboxes:
        checks += [
            replace(check, name=f"{check.name} ({sandbox.profile})")
            for check in sandbox_checks(facts, sandbox)
        ]
    return Section(number=7, title="Container defaults", checks=tuple(checks))


def enabled_profiles(facts: Facts) -> Check:
    """Requests may name the two strict profiles only."""
    name, enabled = "enabled profiles", facts.settings.allowed_profiles
    others = [one for one in PROFILE_NAMES if one not in enabled]
    told = ", ".join(enabled)
    if others:
        told += f"; not enabled, so not looked at: {', '.join(others)}"
    if "privileged" in enabled:
        return not_enforceable(name, f"{told}; privileged is for trusted code only", BY_PROFILE)
    return enforced(name, told)


def sandbox_checks(facts: Facts, sandbox: SandboxFacts) -> list[Check]:
    """Return the verdicts on one sandbox, under names without the profile."""
    first = starts(facts, sandbox)
    if sandbox.isolation is None or sandbox.spec is None:
        why = "the sandbox did not start" if facts.engine else sandbox.error
        return [first, *(not_looked_at(name, why, sandbox.advice) for name in TOPICS)]
    seen = Seen(
        spec=sandbox.spec,
        isolation=sandbox.isolation,
        kernel_has_apparmor=facts.apparmor.kernel_enabled,
    )
    return [first, *(check(name, seen) for name, check in TOPICS.items())]


def starts(facts: Facts, sandbox: SandboxFacts) -> Check:
    """A sandbox comes up as asked."""
    name = "sandbox starts"
    if facts.engine is None:
        return not_looked_at(name, sandbox.error, sandbox.advice)
    if sandbox.error or sandbox.spec is None:
        return misconfigured(name, sandbox.error, sandbox.advice)
    return enforced(name, f"{sandbox.spec.image_reference} in {sandbox.seconds:.1f} s")
