"""Ages out what has ended, in small batches; safe to run in several places at once.

The application's role may delete nothing: two functions of the database (migration 0004) do, and
hold floors of their own. An audit trail goes whole, and after its execution.
"""

import time

from sqlalchemy import func, select, text

from models.session import transaction
from models.settings import Settings

LOCK = 0x41435241  # advisory lock number, "ACRA"
# Executions, or trails, of one transaction; an execution may hold 32 MiB of artifacts, and ten
# thousand results of 64 MiB.
BATCH = 25
RUN_SECONDS = 15  # for executions, as many for trails; the rest is left to the next run
BATCH_TIMEOUT = "5min"  # deleting large artifacts may take longer than other statements


def age_out(settings: Settings) -> dict[str, int]:
    """Delete what is older than the settings keep; return the counts."""
    counts = {"executions": 0, "audit_trails": 0}
    if settings.retention_days is not None:
        counts["executions"] = _batches("age_out_executions", settings.retention_days)
    if settings.audit_retention_days is not None:
        days = settings.audit_retention_days
        counts["audit_trails"] = _batches("age_out_audit_trails", days)
    return counts


def _batches(function: str, days: float) -> int:
    give_up = time.monotonic() + RUN_SECONDS
    total = 0
    while time.monotonic() < give_up:
        with transaction() as session:
            # One run at a time: a slow one must not take every thread of the control process.
            if not session.scalar(select(func.pg_try_advisory_xact_lock(LOCK))):
                break
            session.execute(text(f"SET LOCAL statement_timeout = '{BATCH_TIMEOUT}'"))
            statement = text(f"SELECT {function}(:days, :batch)")
            deleted = session.scalar(statement, {"days": days, "batch": BATCH}) or 0
        total += deleted
        if deleted < BATCH:
            break
    return total
