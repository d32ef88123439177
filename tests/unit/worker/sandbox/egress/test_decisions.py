"""Decisions come in batches that no program can make large, and are checked when they arrive."""

import itertools
import json
from typing import get_args

import pytest

from models.sandbox import Outcome
from worker.sandbox.egress import reasons
from worker.sandbox.egress.decisions import (
    MAX_DECISIONS,
    MAX_HOST_CHARS,
    MAX_HOSTS,
    MAX_REASONS,
    OTHER_HOSTS,
    Decision,
    Ledger,
    Report,
    shown,
)
from worker.sandbox.egress.limits import MOST
from worker.sandbox.egress.policy import DenialReason
from worker.sandbox.network import add_network

more = [letter * size for letter in "bc" for size in range(1, 12)]  # with forty: over the limit


def decision(**changes):
    values = {
        "time": 1.5, "protocol": "http", "host": "a.test", "port": 80, "address": "192.0.2.1",
        "allowed": True, "reason": "closed", "bytes_up": 1, "bytes_down": 2, "seconds": 0.1,
    }  # fmt: skip
    return Decision(**values | changes)


def report(ledger):
    return Report(requests=1, bytes_up=2, bytes_down=3, **ledger.take())


def test_the_first_decisions_are_told_in_full_and_the_rest_is_counted():
    ledger = Ledger()
    for number in range(MAX_DECISIONS + 300):
        host = f"host-{number % 70}.test"
        ledger.add(decision(host=host, allowed=False, reason="host_not_allowed"))
    told = report(ledger)
    assert len(told.decisions) == MAX_DECISIONS
    assert told.denied == MAX_DECISIONS + 300
    assert told.more == {"host_not_allowed": 300}
    assert len(told.more_hosts) == MAX_HOSTS + 1
    assert sum(told.more_hosts.values()) == 300
    assert told.more_hosts[OTHER_HOSTS] > 0


def test_totals_go_on_over_batches():
    ledger = Ledger()
    ledger.add(decision())
    assert len(report(ledger).decisions) == 1
    ledger.add(decision(allowed=False, reason="quota_exceeded"))
    second = report(ledger)
    assert [one.reason for one in second.decisions] == ["quota_exceeded"]
    assert second.outcomes == {"closed": 1, "quota_exceeded": 1}
    assert second.denied == 1


def test_a_report_travels_as_json():
    ledger = Ledger()
    for _ in range(MAX_DECISIONS + 1):
        ledger.add(decision(port=None, address=None))
    told = report(ledger)
    assert Report.from_json(json.loads(json.dumps(told.as_json()))) == told


@pytest.mark.parametrize(
    "change",
    [
        {"denied": -1},
        {"denied": "1"},
        {"denied": True},
        {"unknown": 1},
        {"outcomes": {"closed": -1}},
        {"outcomes": {"closed": 1.5}},
        {"outcomes": {str(number): 1 for number in range(100)}},
        {"outcomes": []},
        {"outcomes": {"Closed": 1}},
        {"outcomes": {"": 1}},
        {"outcomes": {"a\x00b": 1}},
        {"outcomes": {"a" * 41: 1}},
        {"outcomes": {"a" * (number + 1): 1 for number in range(40)} | dict.fromkeys(more, 1)},
        {"outcomes": {"closed": 10**30}},
        {"more": {"\ud800": 1}},
        {"more_hosts": {"a\x00.test": 1}},
        {"more_hosts": {"\ud800.test": 1}},
        {"more_hosts": {"b\xe4.test": 1}},
        {"more_hosts": {"a" * 256: 1}},
        {"bytes_up": 10**30},
        {"restarts": MOST + 1},
        {"requests": float("nan")},
        {"decisions": None},
        {"decisions": [{}]},
        {"decisions": [1]},
    ],
)
def test_a_report_that_our_code_would_not_write_is_refused(change):
    value = json.loads(json.dumps(report(Ledger()).as_json())) | change
    with pytest.raises(ValueError):
        Report.from_json(value)


@pytest.mark.parametrize("value", [None, [], {}, "report", 1])
def test_what_is_no_report_at_all_is_refused_in_the_same_way(value):
    with pytest.raises(ValueError):
        Report.from_json(value)


@pytest.mark.parametrize(
    "change",
    [
        {"host": "a\nb"},
        {"host": "a" * 256},
        {"reason": 1},
        {"bytes_up": -1},
        {"time": "now"},
        {"time": float("nan")},
        {"time": float("inf")},
        {"time": -1.0},
        {"time": True},
        {"seconds": float("inf")},
        {"seconds": 10**400},
        {"bytes_down": MOST + 1},
        {"host": "a\x00"},
        {"host": "\ud800"},
        {"host": "b\xe4.test"},
        {"reason": "a" * 41},
        {"reason": "Closed"},
        {"reason": ""},
        {"protocol": "ftp"},
        {"protocol": []},
        {"port": 65_536},
        {"address": "nowhere"},
        {"address": "1" * 46},
        {"port": "80"},
        {"allowed": "yes"},
        {"address": "\x1b[2J"},
    ],
)
def test_a_decision_that_our_code_would_not_write_is_refused(change):
    ledger = Ledger()
    ledger.add(decision())
    value = json.loads(json.dumps(report(ledger).as_json()))
    Report.from_json(json.loads(json.dumps(value)))
    value["decisions"][0] |= change
    with pytest.raises(ValueError):
        Report.from_json(value)


def test_more_decisions_than_a_batch_has_are_refused():
    ledger = Ledger()
    ledger.add(decision())
    value = json.loads(json.dumps(report(ledger).as_json()))
    value["decisions"] *= MAX_DECISIONS + 1
    with pytest.raises(ValueError):
        Report.from_json(value)


def test_a_host_is_shown_as_printable_ascii_of_bounded_length():
    assert shown("a\x1b[2J\r\nb\xe4") == "a?[2J??b?"
    assert shown("a" * 1000) == "a" * 255


def test_the_largest_report_that_is_let_in_fits_into_audit_events():
    worst = decision(
        time=MOST - 0.1, protocol="connect", host='"' * MAX_HOST_CHARS, port=65_535,
        address=":" * 45, reason="_" * 40, bytes_up=MOST, bytes_down=MOST, seconds=MOST - 0.1,
    )  # fmt: skip
    hosts = {f"{number:03}" + '"' * (MAX_HOST_CHARS - 3): MOST for number in range(MAX_HOSTS + 1)}
    words = {
        "".join(letters).rjust(40, "_"): MOST
        for letters in itertools.islice(itertools.product("abcdefgh", repeat=2), MAX_REASONS)
    }
    largest = Report(
        decisions=(worst,) * MAX_DECISIONS, outcomes=words, more=words, more_hosts=hosts
    )
    value = json.loads(json.dumps(largest.as_json()))
    assert Report.from_json(value) == largest
    nothing = Outcome(status="completed", exit_code=0)
    events = add_network(nothing, largest).network_events
    assert max(len(json.dumps(event)) for event in events) < 40_000


def test_every_word_of_ours_passes_the_check():
    words = [word for name, word in vars(reasons).items() if name.isupper() and str is type(word)]
    words += get_args(DenialReason)
    ledger = Ledger()
    for word in words:
        ledger.add(decision(reason=word))
    told = report(ledger)
    assert Report.from_json(json.loads(json.dumps(told.as_json()))) == told
    assert len(told.outcomes) <= MAX_REASONS
