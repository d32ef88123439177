"""API keys: made once, shown once, stored as the hash of their secret part.

A key reads `ac_<id>_<secret>`. The secret is 256 random bits, so a plain SHA-256 is enough:
there is nothing to guess that a slow hash would protect.
"""

import hashlib
import hmac
import re
import secrets
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFoundError
from models.tables import ApiKey, Tenant

_KEY = re.compile(r"ac_([0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")
NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z")


def create(session: Session, tenant: str, name: str) -> str:
    """Make a key for a tenant, and the tenant when it is new; return the key."""
    session.execute(insert(Tenant).values(name=tenant).on_conflict_do_nothing())
    tenant_id = session.scalar(select(Tenant.id).where(Tenant.name == tenant))
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    session.add(ApiKey(id=key_id, tenant_id=tenant_id, name=name, secret_hash=_hash(secret)))
    return f"ac_{key_id}_{secret}"


def revoke(session: Session, key_id: str) -> None:
    """End a key at once. Raises NotFoundError."""
    statement = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    if session.scalar(statement.values(revoked_at=func.now()).returning(ApiKey.id)) is None:
        raise NotFoundError(f"no key {key_id} in force")


def tenant_of(session: Session, key: str) -> tuple[UUID, str] | None:
    """Return tenant and id of a key in force, else None."""
    match = _KEY.match(key)
    if match is None:
        return None
    key_id, secret = match.groups()
    row = session.execute(
        select(ApiKey.tenant_id, ApiKey.secret_hash).where(
            ApiKey.id == key_id,
            ApiKey.revoked_at.is_(None),
            (ApiKey.expires_at.is_(None)) | (ApiKey.expires_at > func.now()),
        )
    ).first()
    if row is None or not hmac.compare_digest(row.secret_hash, _hash(secret)):
        return None
    return row.tenant_id, key_id


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
