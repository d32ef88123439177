"""Cursors: where a page of executions ended, opaque to the client."""

import base64
import binascii
from datetime import datetime
from uuid import UUID

from models.errors import RequestRefusedError


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
