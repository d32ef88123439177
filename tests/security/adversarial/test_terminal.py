"""A hostile program's output on the terminal of whoever runs it by the `agentcore` command."""

import subprocess

from tests.security.adversarial.arena import Arena
from tests.security.adversarial.cases import PROGRAMS
from tests.security.adversarial.terminal import PROGRAM, shown_on_a_terminal

SOURCE = PROGRAMS / "hostile_bytes.py"
# The command's own progress line moves the cursor; none of these is its own.
HOSTILE = (
    b"\x1b]0;", b"\x1b]52;", b"\x1b[31;5m", b"\x1b[2J", b"\x1b[6n", b"\x1b[c", b"\x1bP", b"\x1b(0",
    b"\x1b]8;", b"\x1b[?1049h", b"\x1bc", b"\x05", b"\x08", b"\x0e", b"\x7f", b"\x00", b"\xc2\x9b",
    b"\xe2\x80\xae", b"\xe2\x81\xa6", b"\x1b[8m",
)  # fmt: skip


def test_run_shows_escapes_written_out(arena: Arena) -> None:
    shown = shown_on_a_terminal(arena.command, "run", str(SOURCE))
    assert b"before\\x00" in shown
    assert b"\\x1b]0;stolen title\\x07" in shown
    assert b"\\x1b[8mhidden" in shown
    assert [sequence for sequence in HOSTILE if sequence in shown] == []


def test_json_on_a_terminal_is_plain_ascii(arena: Arena) -> None:
    shown = shown_on_a_terminal(arena.command, "run", "--json", str(SOURCE))
    assert b"stolen title" in shown
    assert [sequence for sequence in HOSTILE if sequence in shown] == []


def test_a_pipe_gets_the_very_bytes(arena: Arena) -> None:
    done = subprocess.run(
        [PROGRAM, "run", str(SOURCE)], env=arena.command, capture_output=True, check=True
    )
    assert done.stdout.startswith(b"before\x00\xff\xfe\xc3\x28")
    assert b"\x1b]0;stolen title\x07" in done.stdout
