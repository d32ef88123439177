"""API keys: made once, shown once, stored as the hash of their secret part.

A key reads `ac_<id>_<secret>`. The secret is 256 random bits, so a plain SHA-256 is enough:
there is nothing to guess that a slow hash would protect.
"""

import hashlib
import hmac
import re
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models.errors import NotFoundError
from models.permissions import Permission, Permissions
from models.tables import ApiKey, Tenant
from worker.submit import Caller

_KEY = re.compile(r"ac_([0-9a-f]{16})_([A-Za-z0-9_-]{43})\Z")
_IN_FORCE = select(*ApiKey.__table__.c).where(
    ApiKey.id == bindparam("id"),
    ApiKey.revoked_at.is_(None),
    (ApiKey.expires_at.is_(None)) | (ApiKey.expires_at > func.now()),
)
NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?\Z")


def create(
    session: Session,
    tenant: str,
    name: str,
    permissions: Permissions,
    *,
    expires_days: int | None = None,
) -> str:
    """Make a key for a tenant, and the tenant when it is new; return the key.

    Without `expires_days` it is in force until it is revoked.
    """
    session.execute(insert(Tenant).values(name=tenant).on_conflict_do_nothing())
    tenant_id = session.scalar(select(Tenant.id).where(Tenant.name == tenant))
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    session.add(
        ApiKey(
            id=key_id,
            tenant_id=tenant_id,
            name=name,
            secret_hash=_hash(secret),
            expires_at=expires_days and func.now() + timedelta(days=expires_days),
            permissions=[verb for verb in Permission if verb in permissions.verbs],
            profiles=_stored(permissions.profiles),
            images=_stored(permissions.images),
            networks=_stored(permissions.networks),
        )
    )
    return f"ac_{key_id}_{secret}"


def revoke(session: Session, key_id: str) -> None:
    """End a key at once. Raises NotFoundError."""
    statement = update(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
    if session.scalar(statement.values(revoked_at=func.now()).returning(ApiKey.id)) is None:
        raise NotFoundError(f"no key {key_id} in force")


def caller_of(session: Session, key: str) -> Caller | None:
    """Return who holds a key in force, with its permissions; else None."""
    match = _KEY.match(key)
    if match is None:
        return None
    key_id, secret = match.groups()
    row = session.execute(_IN_FORCE, {"id": key_id}).first()
    if row is None or not hmac.compare_digest(row.secret_hash, _hash(secret)):
        return None
    return Caller(tenant_id=row.tenant_id, api_key_id=key_id, permissions=_permissions(row))


def _permissions(row: Row[Any]) -> Permissions:
    # A word that a later release has stored grants nothing here.
    return Permissions(
        verbs=frozenset(verb for verb in Permission if verb in row.permissions),
        profiles=_granted(row.profiles),
        images=_granted(row.images),
        networks=_granted(row.networks),
    )


def _granted(stored: list[str] | None) -> frozenset[str] | None:
    return None if stored is None else frozenset(stored)


def _stored(names: frozenset[str] | None) -> list[str] | None:
    return None if names is None else sorted(names)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
