"""Compiles one program under the policy, runs it, and tells the supervisor what was refused."""

import ast
import linecache
import os
import sys
import traceback
import types
from typing import Any, NoReturn

from RestrictedPython import transformer

from ..protocol import POLICY_FD, POLICY_REFUSED
from . import guards, streams
from .errors import PolicyViolationError, said
from .offered import program_builtins
from .replacements import guard_copy, guard_enum
from .transformer import Policy

MAX_PROBLEMS = 10  # told one by one
MAX_REPORT = 1500  # bytes, far under what a pipe takes without a reader
REFUSED = 1  # exit code, as of any program that ends by an exception
TRANSFORM_DEPTH = 12_000  # Python frames, four for each level that the source nests
# Whose frames are no matter of the program.
_HIDDEN = ("<frozen runpy>", *(at.rpartition("/")[0] for at in (__file__, transformer.__file__)))


def main() -> None:
    """Run as `restricted IMPORTS FILE ARGS…`; IMPORTS are names with commas between."""
    # Or whoever takes the descriptor's number next would be told what was refused.
    os.set_inheritable(POLICY_FD, False)
    imports = frozenset(sys.argv[1].split(","))
    folder = os.getcwd()  # noqa: PTH109 - pathlib would cost time at every start
    path = f"{folder}/{sys.argv[2]}"
    del sys.argv[:2]
    with open(path, "rb") as file:  # noqa: PTH123
        source = file.read()
    code = _compiled(source, path, imports)
    guard_enum()
    guard_copy()
    streams.place()
    _run(code, path, program_builtins(imports, folder))


def _compiled(source: bytes, path: str, imports: frozenset[str]) -> types.CodeType:
    limit = sys.getrecursionlimit()
    try:
        tree = ast.parse(source, path)
        policy = Policy(imports, tree)
        sys.setrecursionlimit(TRANSFORM_DEPTH)
        try:
            tree = policy.visit(tree)
        except RecursionError:
            _refuse([(1, "the program nests deeper than the policy can check")])
        finally:
            sys.setrecursionlimit(limit)
        if policy.problems:
            _refuse(policy.problems)
        return compile(ast.fix_missing_locations(tree), path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        # What Python itself does not compile is no matter of the policy.
        sys.stderr.write("".join(traceback.format_exception_only(error)))
        sys.exit(1)


def _refuse(problems: list[tuple[int, str]]) -> NoReturn:
    lines = [f"line {line}: {what}" for line, what in sorted(set(problems))]
    shown, more = lines[:MAX_PROBLEMS], len(lines) - MAX_PROBLEMS
    if more > 0:
        shown.append(f"and {more} more")
    sys.stderr.write(f"{POLICY_REFUSED}:\n")
    sys.stderr.write("".join(f"  {line}\n" for line in shown))
    _report("; ".join(shown))
    sys.exit(REFUSED)


def _report(text: str) -> None:
    os.write(POLICY_FD, text.encode(errors="replace")[:MAX_REPORT])


def _run(code: types.CodeType, path: str, builtins: dict[str, Any]) -> None:
    guards.OWN_FILES.add(path)
    # Dataclasses look their module up by its name.
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    module.__dict__["__builtins__"] = builtins

    def show(_kind: Any, error: BaseException, _traceback: Any) -> None:
        if (words := said(error)) is not None:
            _report(f"line {_line(error, path)}: {words}")
        _show(error)

    sys.excepthook = show
    exec(code, module.__dict__)  # noqa: S102 - that is what this program is for


def _line(error: BaseException, path: str) -> int:
    """Return the line of the program that was refused."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == path]
    return lines[-1] if lines else 1


def _show(error: BaseException) -> None:
    """Write the traceback as Python does, without our own frames."""
    shown = traceback.TracebackException.from_exception(error, compact=True)
    seen: set[int] = set()
    _hide_own(shown, seen)
    linecache.checkcache()
    sys.stdout.flush()
    sys.__stderr__.write("".join(shown.format()))  # type: ignore[union-attr]


def _hide_own(shown: Any, seen: set[int]) -> None:
    if shown is None or id(shown) in seen:
        return
    seen.add(id(shown))
    shown.stack[:] = [frame for frame in shown.stack if not frame.filename.startswith(_HIDDEN)]
    if shown.exc_type is PolicyViolationError:
        shown.exc_type = type("PolicyViolationError", (Exception,), {"__module__": "__main__"})
    _hide_own(shown.__cause__, seen)
    _hide_own(shown.__context__, seen)
