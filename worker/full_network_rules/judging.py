"""What is wrong with the rules in force, in words."""

import re
import shlex
from collections.abc import Iterable, Iterator

from worker.full_network_rules.rules import Ruleset, Saved, target

_NAME_SERVER = re.compile(r"-d (\S+)/32 -p (udp|tcp) -m \2 --dport 53 -j RETURN")
# Targets of the filter table that end its rules for a packet and let it go on.
_LETTING = {"ACCEPT", "QUEUE", "NFQUEUE"}


def problems(ruleset: Ruleset, saved: Saved) -> list[str]:
    """Return, in words, all that is missing or changed; empty where the rules are in force."""
    found = []
    for chain, rules in ruleset.chains.items():
        if chain not in saved:
            found.append(f"the chain {chain} is missing")
        elif _fixed(saved[chain]) != _fixed(rules):
            found.append(f"the chain {chain} does not hold the rules of this release")
    for chain, rule in ruleset.jumps:
        found += _not_reached(saved, chain, rule, ruleset.bridge)
    for chain, rule in ruleset.needed:
        missing = _not_reached(saved, chain, rule, ruleset.bridge)
        found += [f"{text}; Docker puts it first when it starts" for text in missing]
    return found


def open_name_servers(ruleset: Ruleset, saved: Saved) -> list[str]:
    """Return the addresses that stay reachable on port 53, in order."""
    rules = (rule for chain in ruleset.chains for rule in saved.get(chain, ()))
    matches = (_NAME_SERVER.fullmatch(rule) for rule in rules)
    return list(dict.fromkeys(match[1] for match in matches if match))


def _fixed(rules: Iterable[str]) -> list[str]:
    """Without name servers: those differ from host to host, and with time."""
    return [rule for rule in rules if not _NAME_SERVER.fullmatch(rule)]


def _not_reached(saved: Saved, chain: str, rule: str, bridge: str) -> Iterator[str]:
    rules = saved.get(chain, ())
    if rule not in rules:
        yield f"{chain} has no rule `{rule}`"
        return
    for above in rules[: rules.index(rule)]:
        if _may_let_through(above, saved, bridge, {chain}):
            yield f"{chain}: `{above}` stands above `{rule}` and may let packets through"


def _may_let_through(rule: str, saved: Saved, bridge: str, seen: set[str]) -> bool:
    """Whether a packet of the bridge may end its way at this rule, unrefused.

    seen: chains on the way here; in the first, RETURN is an end, too.
    """
    words = shlex.split(rule)  # a comment is one word, whatever it says
    if "-i" in words and not _is_about(words, bridge):
        return False
    leads_to = target(rule)
    if leads_to in _LETTING or "-g" in words:
        return True
    if leads_to == "RETURN":
        return len(seen) == 1
    return leads_to not in seen and any(
        _may_let_through(inner, saved, bridge, {*seen, leads_to})
        for inner in saved.get(leads_to, ())
    )


def _is_about(words: list[str], bridge: str) -> bool:
    place = words.index("-i")
    name = words[place + 1]
    same = bridge.startswith(name[:-1]) if name.endswith("+") else bridge == name
    return same != (place > 0 and words[place - 1] == "!")
