"""Section 4: capabilities, of this process and in sandboxes."""

from security_profiles import DANGEROUS_CAPABILITIES
from worker.security_audit.facts import Facts, SandboxFacts
from worker.security_audit.verdicts import (
    Check,
    Section,
    enforced,
    misconfigured,
    not_enforceable,
    not_looked_at,
)

HELD = ("effective", "permitted", "inheritable", "ambient")
"""The sets a program could use; the bounding set only limits what it could ever get."""

OWN_USER = "run the worker as a user of its own that may use the engine's socket"


def section(facts: Facts) -> Section:
    """What this process holds, what a sandbox holds, and what requests may add."""
    inside = (in_sandbox(sandbox) for sandbox in facts.sandboxes)
    checks = (this_process(facts), *inside, added(facts))
    return Section(number=4, title="Capabilities", checks=checks)


def this_process(facts: Facts) -> Check:
    """The worker's user needs no capability; the audit is to be run as that user."""
    name, process = "of this process", facts.process
    if process.uid == 0:
        held = len(process.effective)
        return not_enforceable(name, f"runs as root, with {held} capabilities in effect", OWN_USER)
    if process.effective:
        detail = f"user {process.uid} has in effect: {', '.join(process.effective)}"
        return misconfigured(name, detail, "take them away: nothing here needs one")
    return enforced(name, f"user {process.uid}, none in effect")


def in_sandbox(sandbox: SandboxFacts) -> Check:
    """Nothing in a sandbox holds a capability."""
    name = f"in a sandbox ({sandbox.profile})"
    if sandbox.isolation is None:
        return not_looked_at(name, sandbox.error, sandbox.advice)
    sets = sandbox.isolation["inside"]["capabilities"]
    held = [f"{kind}: {', '.join(sets[kind])}" for kind in HELD if sets[kind]]
    if held:
        advice = "look at the image: nothing in it may carry capabilities"
        return misconfigured(name, "; ".join(held), advice)
    return enforced(name, f"none {', '.join(HELD[:-1])} or {HELD[-1]}")


def added(facts: Facts) -> Check:
    """The operator permits no dangerous capability."""
    name, extra = "what requests may add", facts.settings.extra_capabilities
    if dangerous := [one for one in extra if one in DANGEROUS_CAPABILITIES]:
        detail = f"AGENTCORE_EXTRA_CAPABILITIES permits dangerous ones: {', '.join(dangerous)}"
        return not_enforceable(name, detail, "take them out unless an agent needs them")
    permitted = f"; permitted by the operator: {', '.join(extra)}" if extra else ""
    return enforced(name, f"none that is dangerous{permitted}")
