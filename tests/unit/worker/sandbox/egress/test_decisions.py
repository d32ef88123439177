"""Decisions come in batches that no program can make large, and are checked when they arrive."""

import json

import pytest

from worker.sandbox.egress.decisions import (
    MAX_DECISIONS,
    MAX_HOSTS,
    OTHER_HOSTS,
    Decision,
    Ledger,
    Report,
    shown,
)


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
        {"decisions": [{}]},
        {"decisions": [1]},
    ],
)
def test_a_report_that_our_code_would_not_write_is_refused(change):
    value = json.loads(json.dumps(report(Ledger()).as_json())) | change
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        Report.from_json(value)


@pytest.mark.parametrize(
    "change",
    [
        {"host": "a\nb"},
        {"host": "a" * 256},
        {"reason": 1},
        {"bytes_up": -1},
        {"time": "now"},
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
    with pytest.raises((ValueError, TypeError)):
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
