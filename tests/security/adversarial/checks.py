"""What the host itself looks at after single cases; each returns what is wrong, in words."""

import base64
import re
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from agentcore_client import AgentCoreClientError, Client

from tests.security.adversarial.arena import Arena
from tests.security.adversarial.terminal import shown_on_a_terminal

Execution = dict[str, Any]
Check = Callable[[Execution, Arena], list[str]]

# Bytes that a terminal acts on, but line ends and tabs. Those of 0x80 to 0x9f come as UTF-8.
CONTROL = {*range(0x20), 0x7F} - set(b"\t\r\n")
OWN_STYLE = re.compile(rb"\x1b\[[01]m")  # bold, and its end: the command's own headings
KEPT_BYTES = 300_000  # of one stream: the default of 256 KiB and the line about the gap


def _holds(holds: bool, words: str) -> list[str]:
    return [] if holds else [words]


def output_is(text: str) -> Check:
    """Standard output is exactly this."""
    return lambda execution, _: _holds(
        execution["stdout"]["text"] == text, f"stdout is {execution['stdout']['text'][:80]!r}"
    )


def warns(words: str) -> Check:
    """A warning holds these words."""
    return lambda execution, _: _holds(words in str(execution["warnings"]), f"no warning: {words}")


def exit_code_is(code: int) -> Check:
    """The exit code is the program's own."""
    return lambda execution, _: _holds(execution["exit_code"] == code, "another exit code")


def wall_below(seconds: float) -> Check:
    """From the start of its code to its recorded end it took no longer than this."""

    def check(execution: Execution, _: Arena) -> list[str]:
        began, ended = (
            datetime.fromisoformat(execution[name]) for name in ("started_at", "finished_at")
        )
        took = (ended - began).total_seconds()
        return _holds(took < seconds, f"took {took:.1f} s")

    return check


def cpu_share_below(share: float) -> Check:
    """It used less than this share of one core."""

    def check(execution: Execution, _: Arena) -> list[str]:
        usage = execution["usage"]
        if usage["cpu_seconds"] is None:
            return []  # it left its supervisor no time to report; the container was removed
        used = usage["cpu_seconds"] / usage["wall_seconds"]
        return _holds(used < share, f"used {used:.2f} cores")

    return check


def kept_output_is_small(execution: Execution, _: Arena) -> list[str]:
    """Little of a flood is kept, and its size is told."""
    streams = [execution["stdout"], execution["stderr"]]
    return _holds(
        all(len(stream["text"]) < KEPT_BYTES for stream in streams)
        and any(stream["truncated"] for stream in streams),
        "the flood was kept",
    )


def hostile_bytes_arrive(execution: Execution, _: Arena) -> list[str]:
    """Bytes that are no text are kept unchanged beside a readable form."""
    stream = execution["stdout"]
    kept = base64.b64decode(stream["base64"] or "")
    return _holds(
        kept.startswith(b"before\x00\xff\xfe") and kept.endswith(b"after\n")
        and stream["total_bytes"] == len(kept) and "\ufffd" in stream["text"],
        "bytes were changed",
    )  # fmt: skip


def command_line_is_harmless(execution: Execution, arena: Arena) -> list[str]:
    """What the command shows of it on a terminal drives no terminal."""
    problems = []
    for words in (("logs",), ("status",), ("artifacts",), ("audit",)):
        shown = shown_on_a_terminal(arena.command, *words, execution["id"])
        shown = OWN_STYLE.sub(b"", shown)
        acting = {byte for byte in shown if byte in CONTROL}
        text = shown.decode(errors="replace")
        hidden = [c for c in text if c in "\u202e\u2066\ufeff" or "\x80" <= c <= "\x9f"]
        if acting or hidden:
            problems.append(f"agentcore {words[0]} shows {sorted(acting)} {hidden}")
    return problems


def _paths(execution: Execution) -> list[str]:
    return [item["path"] for item in execution["artifacts"] if item["path"] != "result.json"]


def artifacts_are(*paths: str) -> Check:
    """Exactly these came out."""
    return lambda execution, _: _holds(
        _paths(execution) == list(paths), f"artifacts {_paths(execution)[:5]}"
    )


def artifacts_among(*paths: str) -> Check:
    """Nothing but these came out."""
    return lambda execution, _: _holds(
        set(_paths(execution)) <= set(paths), f"artifacts {_paths(execution)[:5]}"
    )


def artifact_count_at_most(count: int) -> Check:
    """Some came out, and no more than this."""
    return lambda execution, _: _holds(
        0 < len(execution["artifacts"]) <= count, f"{len(execution['artifacts'])} artifacts"
    )


def nothing_of_etc(execution: Execution, arena: Arena) -> list[str]:
    """No artifact holds a line of /etc/passwd."""
    base = f"/v1/executions/{execution['id']}/artifacts"
    contents = [arena.api.get(f"{base}/{path}").content for path in _paths(execution)]
    return _holds(not any(b":0:0:" in content for content in contents), "/etc/passwd came out")


def artifact_names_are_harmless(execution: Execution, _: Arena) -> list[str]:
    """Every name is printable, leads nowhere else, and the plain file is there."""
    bad = [
        path
        for path in _paths(execution)
        if not path.isprintable() or path.startswith("/") or ".." in path.split("/")
    ]
    return _holds("good.txt" in _paths(execution) and not bad, f"names {bad}")


def download_stays_inside(execution: Execution, arena: Arena) -> list[str]:
    """The client saves all of them inside the folder, or refuses."""
    with tempfile.TemporaryDirectory() as outer:
        inner = Path(outer, "inner")
        try:
            with Client(arena.stack.url, arena.api.key) as client:
                client.download(execution["id"], inner)
        except AgentCoreClientError:
            pass
        return _holds(set(Path(outer).iterdir()) <= {inner}, "a download left its folder")


def no_secret_in_output(execution: Execution, arena: Arena) -> list[str]:
    """Nothing that is secret of the deployment or tells about the host is in the output."""
    shown = execution["stdout"]["text"]
    return [f"shows {name}" for name, value in arena.secrets.items() if value in shown]
