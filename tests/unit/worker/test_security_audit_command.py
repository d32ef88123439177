"""The command line of the audit, and how it prints."""

import io
import json

import pytest

from worker.__main__ import main
from worker.security_audit.report import print_audit
from worker.security_audit.verdicts import (
    Audit,
    Section,
    enforced,
    misconfigured,
    not_enforceable,
)

AUDIT = Audit(
    sections=(
        Section(
            number=1,
            title="First",
            checks=(
                enforced("a", "fine [bold]"),
                not_enforceable("b", "missing", "get it"),
                not_enforceable("c", "missing too", "get it"),
                misconfigured("d", "wrong\x1b[31m\nline", "change it"),
            ),
        ),
    )
)


def printed(encoding="utf-8"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_audit(AUDIT, stream)
    stream.flush()
    return raw.getvalue().decode(encoding).splitlines()


def test_every_verdict_has_its_sign_and_advice_stands_below():
    assert printed() == [
        "1. First",
        "  ✓ a: fine [bold]",
        "  ⚠ b: missing",
        "  ⚠ c: missing too",
        "      get it",
        "  ✗ d: wrong [31m line",
        "      change it",
        "",
        "1 enforced, 2 not enforceable here, 1 misconfigured",
    ]


def test_a_terminal_without_the_signs_gets_words():
    assert [line.split(" ")[2] for line in printed("ascii") if line.startswith("  ")][:2] == [
        "ok",
        "warn",
    ]


def test_the_json_carries_sections_verdicts_and_totals():
    told = json.loads(json.dumps(AUDIT.as_json()))
    assert told["totals"] == {"enforced": 1, "not_enforceable": 2, "misconfigured": 1}
    (section,) = told["sections"]
    assert (section["number"], section["title"]) == (1, "First")
    assert section["checks"][1] == {
        "name": "b", "verdict": "not_enforceable", "detail": "missing", "advice": "get it",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words", [["run", "--json"], ["beat", "--json"], ["security-audit", "--yaml"]]
)
def test_an_option_that_a_command_does_not_have_is_refused(words):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2


def test_the_help_says_what_the_verdicts_and_exit_codes_mean(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["security-audit", "--help"])
    assert stopped.value.code == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("✓", "⚠", "✗", "exit code", "--json"))
