"""Section 3: seccomp."""

from security_profiles import is_dangerous
from worker.security_audit.facts import NO_ENGINE, SEE_ENGINE, Facts
from worker.security_audit.verdicts import (
    Check,
    Section,
    enforced,
    misconfigured,
    not_enforceable,
    not_looked_at,
)

NEEDED_ACTION = "errno"  # what our filters answer a refused call with


def section(facts: Facts) -> Section:
    """Whether kernel and engine have it, and what requests may add to the allowed calls."""
    checks = (kernel(facts), engine(facts), added_calls(facts))
    return Section(number=3, title="seccomp", checks=checks)


def kernel(facts: Facts) -> Check:
    """The kernel has filters and they can refuse a call."""
    name, actions = "kernel support", facts.seccomp_actions
    if NEEDED_ACTION in actions:
        return enforced(name, f"filters, with the actions {' '.join(actions)}")
    advice = "use a kernel with CONFIG_SECCOMP_FILTER; without it no sandbox starts"
    if actions:
        return misconfigured(name, f"no action {NEEDED_ACTION} among {' '.join(actions)}", advice)
    return not_enforceable(name, "this kernel offers no seccomp filters", advice)


def engine(facts: Facts) -> Check:
    """The engine applies filters, ours to sandboxes and its own to everything else."""
    name = "Docker support"
    if facts.engine is None:
        return not_looked_at(name, NO_ENGINE, SEE_ENGINE)
    default = facts.engine.security_options.get("seccomp")
    if default is None:
        advice = "use an engine built with seccomp; without it no sandbox starts"
        return misconfigured(name, "the engine applies no filters", advice)
    if "unconfined" in default:
        advice = "take seccomp-profile out of the engine's settings"
        return misconfigured(name, "containers without a filter of their own have none", advice)
    kind = default.removeprefix("profile=")
    return enforced(name, f"sandboxes bring their own filter; the engine's own: {kind}")


def added_calls(facts: Facts) -> Check:
    """The operator permits no dangerous system call."""
    name, extra = "calls that requests may add", facts.settings.extra_syscalls
    if dangerous := [call for call in extra if is_dangerous(call)]:
        detail = f"AGENTCORE_EXTRA_SYSCALLS permits dangerous ones: {', '.join(dangerous)}"
        return not_enforceable(name, detail, "take them out unless an agent needs them")
    permitted = f"; permitted by the operator: {', '.join(extra)}" if extra else ""
    return enforced(name, f"none that is dangerous{permitted}")
