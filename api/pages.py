"""Pages of executions: the query that finds one, and cursors, which are opaque to the client."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import get_args
from uuid import UUID

from sqlalchemy import Integer, Select, Text, bindparam, func, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models.errors import RequestRefusedError
from models.security import ProfileName
from models.status import Status
from models.tables import ExecutionRow

_NEWEST_FIRST = (ExecutionRow.created_at.desc(), ExecutionRow.id.desc())
_WORDS = {"statuses": tuple(Status), "profiles": get_args(ProfileName)}
_CONDITIONS = {
    "agent": ExecutionRow.agent_name == bindparam("agent"),
    "created_after": ExecutionRow.created_at > bindparam("created_after"),
    "created_before": ExecutionRow.created_at < bindparam("created_before"),
    # Where the page before ended.
    "last_id": tuple_(ExecutionRow.created_at, ExecutionRow.id)
    < tuple_(
        bindparam("last_created_at", type_=ExecutionRow.created_at.type),
        bindparam("last_id", type_=ExecutionRow.id.type),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which executions of one tenant a list shows; None is any."""

    tenant_id: UUID
    status: Status | None = None
    agent: str | None = None
    security_profile: ProfileName | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    after: tuple[datetime, UUID] | None = None  # where the page before ended


def newest(session: Session, wanted: Wanted, limit: int) -> Sequence[ExecutionRow]:
    """Return the newest of what is wanted, at most `limit`.

    Whatever the filters and however few they match, a page's worth of index entries is read for
    each status and profile that may be meant, and the rows of one page. To look for them among all
    of the tenant's would take the longer the fewer there are.
    """
    created_at, execution_id = wanted.after or (None, None)
    values = {
        "agent": wanted.agent,
        "created_after": wanted.created_after,
        "created_before": wanted.created_before,
        "last_created_at": created_at,
        "last_id": execution_id,
    }
    given = {name: value for name, value in values.items() if value is not None}
    query = _query(frozenset(given) & frozenset(_CONDITIONS))
    always = {
        "tenant": wanted.tenant_id,
        "statuses": [wanted.status] if wanted.status else _WORDS["statuses"],
        "profiles": [wanted.security_profile] if wanted.security_profile else _WORDS["profiles"],
        "most": limit,
    }
    return session.scalars(query, given | always).all()


@lru_cache
def _query(conditions: frozenset[str]) -> Select[ExecutionRow]:
    """Return the query with these of the conditions; made once, as that takes longer than it."""
    statuses, profiles = (
        func.unnest(bindparam(name, type_=ARRAY(Text)))
        .table_valued("word", name=name)
        .render_derived()
        for name in _WORDS
    )
    found = (
        select(ExecutionRow.id, ExecutionRow.created_at)
        .where(
            ExecutionRow.tenant_id == bindparam("tenant"),
            ExecutionRow.status == statuses.c.word,
            ExecutionRow.security_profile == profiles.c.word,
            *(_CONDITIONS[name] for name in sorted(conditions)),
        )
        .order_by(*_NEWEST_FIRST)
        .limit(bindparam("most", type_=Integer))
        .lateral("found")
    )
    page = (
        select(found.c.id)
        .select_from(statuses.join(profiles, true()).join(found, true()))
        .order_by(found.c.created_at.desc(), found.c.id.desc())
        .limit(bindparam("most", type_=Integer))
        .subquery("page")
    )
    return select(ExecutionRow).join(page, page.c.id == ExecutionRow.id).order_by(*_NEWEST_FIRST)


def encode_cursor(created_at: datetime, execution_id: UUID) -> str:
    """Return the cursor after this execution."""
    text = f"{created_at.isoformat()}|{execution_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, UUID]:
    """Return what `encode_cursor` was given. Raises RequestRefusedError."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        moment, _, execution_id = text.partition("|")
        created_at = datetime.fromisoformat(moment)
        if created_at.tzinfo is None:
            raise ValueError("no time zone")
        return created_at, UUID(execution_id)
    except (ValueError, binascii.Error) as error:
        raise RequestRefusedError("cursor", "is not one that this API gave") from error
