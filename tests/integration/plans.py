"""Explains statements as a server plans them: for the values they were sent with, or for any."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import psycopg

LARGE = ("executions", "audit_events", "artifacts", "batch_results")
# Of the few executions that have not ended: these may be read whole.
SMALL = {f"ix_executions_{name}" for name in ("queued", "held", "lease_owner", "reply_pending")}

Connection = psycopg.Connection[Any]
Statement = tuple[str, Any]  # and its parameters


def nodes(
    connection: Connection, statements: Sequence[Statement], *, generic: bool
) -> Iterator[dict[str, Any]]:
    """Yield all nodes of the statements' plans."""
    for statement in statements:
        yield from _below(_plan(connection, statement, generic=generic))


def is_whole(node: dict[str, Any]) -> bool:
    """Whether a node reads a large table, or an index of all its rows, from end to end."""
    if "Index Name" in node:
        return "Index Cond" not in node and node["Index Name"] not in SMALL
    return node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE


def _below(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _below(inner)


def _plan(connection: Connection, statement: Statement, *, generic: bool) -> Any:
    """Return the root of a statement's plan: for the values it was sent with, or for any."""
    words, values = statement
    if not generic:
        found = connection.execute(f"EXPLAIN (FORMAT JSON) {words}", values)
    else:
        names = {name: number for number, name in enumerate(values or {}, 1)}
        words = re.sub(r"%\((\w+)\)s", lambda m: _place(names[m[1]], values[m[1]]), words)
        found = connection.execute(f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {words}")
    return found.fetchone()[0][0]["Plan"]


def _place(number: int, value: object) -> str:
    return f"${number}::interval" if isinstance(value, timedelta) else f"${number}"
