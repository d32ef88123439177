"""JSON as the supervisor reads and writes it, beside the standard library's."""

import builtins
import importlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.sandbox.guest import lean

GUEST = Path(lean.__file__).parent
HEAVY = {"json", "re", "enum", "signal", "contextlib", "functools", "collections", "runpy"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_it_reads_and_writes_what_json_does(value: object) -> None:
    assert lean.dumps(value) == json.dumps(value).encode()
    assert lean.loads(json.dumps(value).encode()) == value


@given(st.text(st.characters(codec="utf-8")))
def test_it_reads_text_that_is_not_escaped(text: str) -> None:
    assert lean.loads(json.dumps(text, ensure_ascii=False).encode()) == text


@pytest.mark.parametrize(
    ("missing", "instead"),
    [("_json", lambda: lean._dumps is json.dumps), ("_signal", lambda: lean.signal is signal)],
)
def test_an_interpreter_without_those_parts_takes_the_long_way(
    missing: str, instead: Callable[[], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name == missing:
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    assert not instead()
    monkeypatch.setattr(builtins, "__import__", without)
    try:
        importlib.reload(lean)
        assert instead()
        assert lean.loads(lean.dumps({"a": [1.5, None]})) == {"a": [1.5, None]}
        assert lean.signal.SIGKILL == 9
    finally:
        monkeypatch.undo()
        importlib.reload(lean)


def test_a_suppressed_error_ends_its_block_and_no_more() -> None:
    with lean.suppress(ValueError, OSError):
        raise FileNotFoundError
    with pytest.raises(KeyError), lean.suppress(ValueError):
        raise KeyError


def test_the_supervisor_loads_nothing_heavy_before_its_job() -> None:
    """Outside of a sandbox it goes no further than that."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", GUEST / "__main__.py"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "runs only as process 1" in done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "guest.supervisor" in loaded
    assert loaded & HEAVY == set()


def test_nor_does_a_batch() -> None:
    script = f"import sys; sys.path.insert(0, {str(GUEST.parent)!r}); import guest.batch"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{script}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) & HEAVY == set()
