"""The audit vocabulary and the check of an execution's hash chain.

Events are appended by the database function `append_audit_event` in the transaction of the
change they record. The chain makes tampering evident; it cannot make it impossible.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.tables import AuditEventRow

GENESIS = bytes(32)  # previous hash of the first event

# Beside `submitted` and `status_changed`, which only the database itself can write.
START_FAILED = "start_failed"  # no user code ran in this attempt
HANDED_BACK = "handed_back"  # by a worker that ends, or whose engine failed while the program ran
ISOLATION_WEAKER = "isolation_weaker"  # than the profile asks: the layers this host lacks
NETWORK_DECISIONS = "network_decisions"  # what the egress proxy allowed and refused, in batches
USER_CODE_STARTED = "user_code_started"
CANCEL_REQUESTED = "cancel_requested"


def append(session: Session, execution_id: UUID, kind: str, data: dict[str, Any]) -> None:
    """Append one event in the session's transaction; `data` must hold no secrets."""
    session.execute(
        text("SELECT append_audit_event(:id, :kind, :data)"),
        {"id": execution_id, "kind": kind, "data": json.dumps(data, sort_keys=True)},
    )


def event_hash(event: AuditEventRow) -> bytes:
    """Return the hash that `event` must carry, over its stored characters."""
    head = f"{event.execution_id}|{event.sequence}|{event.kind}|{event.recorded_at_us}|"
    return hashlib.sha256(event.previous_hash + (head + event.data).encode()).digest()


def broken_at(events: Sequence[AuditEventRow]) -> int | None:
    """Return the sequence number of the first event that breaks the chain, or None.

    `events` are all events of one execution in order. A chain cut off at its end cannot be
    told from a shorter one; keep the last hash elsewhere where that matters.
    """
    previous = GENESIS
    for position, event in enumerate(events, start=1):
        intact = event.sequence == position and event.previous_hash == previous
        if not intact or event.hash != event_hash(event):
            return event.sequence
        previous = event.hash
    return None
