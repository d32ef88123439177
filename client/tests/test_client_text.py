"""Hostile text is written out, never obeyed."""

import pytest
from agentcore_client.text import is_hostile, visible, visible_line
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\ttext\nnext", "plain\ttext\nnext"),
        ("dos\r\nline", "dos\nline"),
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("100%\r  0%", r"100%\r  0%"),
        ("\x9b31m", r"\x9b31m"),
        ("back\x08\x7f", r"back\x08\x7f"),
        ("\u202eevil\u2066", r"\u202eevil\u2066"),
        ("\U000e0041\ufeff\u2028", r"\U000e0041\ufeff\u2028"),
        ("می\u200cخواهم 👩\u200d👧", "می\u200cخواهم 👩\u200d👧"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_control_characters_are_written_out(text, shown):
    assert visible(text) == shown


def test_a_line_stays_one_line_and_short():
    assert visible_line("a\nb\tc") == r"a\nb\tc"
    assert visible_line("x" * 50, limit=10) == "x" * 9 + "…"


@given(st.text())
def test_nothing_hostile_is_left(text):
    assert not any(is_hostile(char) for char in visible(text) if char not in "\n\t")
    assert not any(is_hostile(char) for char in visible_line(text))
