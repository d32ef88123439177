"""Section 2: AppArmor."""

from collections.abc import Callable

from models.security import named_profile
from worker.sandbox.container import apparmor_name
from worker.security_audit.facts import NO_ENGINE, SEE_ENGINE, Facts
from worker.security_audit.verdicts import (
    Check,
    Section,
    enforced,
    layer_is_off,
    misconfigured,
    missing_layer,
    not_enforceable,
    not_looked_at,
)

VARIABLE = "AGENTCORE_APPARMOR"
LOAD = "run `python -m security_profiles load` as root"
NO_KERNEL = "this kernel does not enforce AppArmor"
KERNEL = "start a kernel that has it with `apparmor=1 security=apparmor`"


def section(facts: Facts) -> Section:
    """Whether kernel and engine have it, with our profiles, and who may choose weaker ones."""
    layers = (("kernel module", kernel), ("engine support", engine), ("loaded profiles", loaded))
    checks = [_unless_off(facts, name, check) for name, check in layers]
    return Section(number=2, title="AppArmor", checks=(*checks, weaker_choices(facts)))


def _unless_off(facts: Facts, name: str, check: Callable[[str, Facts], Check]) -> Check:
    return layer_is_off(name, VARIABLE) if facts.settings.apparmor == "off" else check(name, facts)


def kernel(name: str, facts: Facts) -> Check:
    """The running kernel enforces AppArmor."""
    if facts.apparmor.kernel_enabled:
        return enforced(name, "in this kernel and on")
    return missing_layer(name, facts.settings.apparmor, VARIABLE, NO_KERNEL, KERNEL)


def engine(name: str, facts: Facts) -> Check:
    """The engine puts containers under AppArmor profiles."""
    if facts.engine is None:
        return not_looked_at(name, NO_ENGINE, SEE_ENGINE)
    if "apparmor" in facts.engine.security_options:
        return enforced(name, "the engine applies AppArmor profiles")
    if facts.apparmor.kernel_enabled:
        advice = "install the package `apparmor`, then restart the engine"
        return misconfigured(name, "the kernel has AppArmor, the engine does not use it", advice)
    detail = "the engine finds no AppArmor in the kernel"
    return missing_layer(name, facts.settings.apparmor, VARIABLE, detail, KERNEL)


def loaded(name: str, facts: Facts) -> Check:
    """The profiles of what is enabled are loaded, and not only complaining."""
    if not facts.apparmor.kernel_enabled:
        return missing_layer(
            name, facts.settings.apparmor, VARIABLE, NO_KERNEL, f"once it does, {LOAD}"
        )
    if facts.apparmor.loaded is None:
        return not_looked_at(name, "the kernel's list is root's to read", "run the audit as root")
    wanted = [apparmor_name(named_profile(one)) for one in facts.settings.allowed_profiles]
    modes = {one: facts.apparmor.loaded.get(one, "not loaded") for one in wanted}
    said = ", ".join(f"{one} ({mode})" for one, mode in modes.items())
    if set(modes.values()) == {"enforce"}:
        return enforced(name, said)
    return misconfigured(name, said, LOAD)


def weaker_choices(facts: Facts) -> Check:
    """No request may leave AppArmor."""
    name, extra = "what requests may choose", facts.settings.extra_apparmor_profiles
    if "unconfined" not in extra:
        others = f", or {', '.join(extra)}" if extra else ""
        return enforced(name, f"nothing weaker than the profile's own{others}")
    detail = "AGENTCORE_EXTRA_APPARMOR_PROFILES lets requests choose unconfined"
    return not_enforceable(name, detail, "take it out unless an agent needs it")
