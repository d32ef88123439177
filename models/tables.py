"""The rows. What the database itself enforces (status machine, audit chain) is in migrations."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from models.permissions import Permission
from models.status import Reason, Status


def _one_of(column: str, words: type[Status] | type[Reason]) -> str:
    return f"{column} IN ({', '.join(repr(str(word)) for word in words)})"


class Base(DeclarativeBase):
    """Base of all rows, with a naming convention so that every constraint can be migrated."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it off the class
        str: Text,
        datetime: DateTime(timezone=True),
        bytes: LargeBinary,
        UUID: Uuid,
        dict[str, Any]: JSONB,
        list[str]: JSONB,
    }


class Tenant(Base):
    """Who owns keys, agents and executions; nothing is shared between tenants."""

    __tablename__ = "tenants"

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKey(Base):
    """A key of a tenant; only the SHA-256 of its secret part is kept."""

    __tablename__ = "api_keys"
    __table_args__ = (
        CheckConstraint(
            "jsonb_typeof(permissions) = 'array' "
            f"AND permissions <@ '{json.dumps(list(Permission))}'::jsonb",
            name="permissions",
        ),
        CheckConstraint(
            "coalesce(jsonb_typeof(profiles), 'array') = 'array' "
            "AND coalesce(jsonb_typeof(images), 'array') = 'array' "
            "AND coalesce(jsonb_typeof(networks), 'array') = 'array'",
            name="lists",
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)  # the public part of the key
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"), index=True)
    name: Mapped[str]
    secret_hash: Mapped[bytes]
    permissions: Mapped[list[str]]
    # Names that executions may use; null is whatever the server offers.
    profiles: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    images: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    networks: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class Agent(Base):
    """One version of a stored agent's configuration."""

    __tablename__ = "agents"
    __table_args__ = (UniqueConstraint("tenant_id", "name", "version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("gen_random_uuid()"))
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id, ondelete="CASCADE"))
    name: Mapped[str]
    version: Mapped[int]
    config: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


_NEWEST = (text("created_at DESC"), text("id DESC"))

# Of executions: the words of the partial indexes, and of the queries that need them. Written out:
# with a parameter in its place, a prepared query's plan could not count on the index.
RUNNING = text("status = 'running'")
WAITING = text("status = 'queued' AND released")  # for a worker
HELD = text("status = 'queued' AND NOT released")
REPLY_DUE = text("reply_pending AND finished_at IS NOT NULL")


class ExecutionRow(Base):
    """One accepted execution: what was asked, where it stands, how it ended."""

    __tablename__ = "executions"
    __table_args__ = (
        UniqueConstraint("tenant_id", "idempotency_key"),
        CheckConstraint(_one_of("status", Status), name="status"),
        CheckConstraint(_one_of("reason", Reason), name="reason"),
        CheckConstraint("priority BETWEEN 0 AND 9", name="priority"),
        CheckConstraint("attempt >= 0 AND user_starts >= 0", name="counters"),
        CheckConstraint(
            "(status = 'running') = (lease_owner IS NOT NULL AND lease_expires_at IS NOT NULL)",
            name="lease",
        ),
        # The lists, by whatever filters: see api.pages.
        Index("ix_executions_by_status", "tenant_id", "status", "security_profile", *_NEWEST),
        Index(
            "ix_executions_by_agent",
            "tenant_id",
            "agent_name",
            "status",
            "security_profile",
            *_NEWEST,
            postgresql_where=text("agent_name IS NOT NULL"),
        ),
        CheckConstraint("released OR status <> 'running'", name="released"),
        Index("ix_executions_queued", "next_send_at", postgresql_where=WAITING),
        # A tenant's share: what counts against it, and who is next.
        Index(
            "ix_executions_released",
            "tenant_id",
            "status",
            postgresql_where=text("released AND status IN ('queued', 'running')"),
        ),
        Index(
            "ix_executions_held",
            "tenant_id",
            text("priority DESC"),
            "created_at",
            "id",
            postgresql_where=HELD,
        ),
        # Retention finds the oldest without looking at the others.
        Index(
            "ix_executions_finished",
            "finished_at",
            postgresql_where=text("finished_at IS NOT NULL"),
        ),
        # Not by the end of the lease: each renewal would be a write to every index.
        Index("ix_executions_lease_owner", "lease_owner", postgresql_where=RUNNING),
        Index("ix_executions_reply_pending", "finished_at", postgresql_where=REPLY_DUE),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey(Tenant.id))
    api_key_id: Mapped[str | None]
    idempotency_key: Mapped[str | None]
    request_hash: Mapped[bytes]
    request_id: Mapped[str | None]  # of the HTTP request that submitted it, for the logs
    trace_parent: Mapped[str | None]  # W3C `traceparent` of the submit, if that was traced

    # What was asked
    agent_name: Mapped[str | None]
    agent_version: Mapped[int | None]
    request: Mapped[dict[str, Any]] = mapped_column(deferred=True)
    security_profile: Mapped[str]
    image: Mapped[str]
    network_access: Mapped[str]
    limits: Mapped[dict[str, Any]]
    labels: Mapped[dict[str, Any]]
    priority: Mapped[int]
    max_attempts: Mapped[int]

    # Where it stands
    status: Mapped[str] = mapped_column(server_default=Status.QUEUED)
    reason: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default="0")  # fencing token
    user_starts: Mapped[int] = mapped_column(server_default="0")
    failed_starts: Mapped[int] = mapped_column(server_default="0")  # not the engine's outages
    lease_owner: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    next_send_at: Mapped[datetime] = mapped_column(server_default=func.now())  # outbox mark
    send_count: Mapped[int] = mapped_column(server_default="0")  # grows the resend interval
    # Within its tenant's share: workers may be told of it. False is held back, see worker.shares.
    released: Mapped[bool] = mapped_column(server_default=text("true"))
    reply_pending: Mapped[bool] = mapped_column(server_default=text("false"))  # Celery's .get()
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]

    # How it ended
    exit_code: Mapped[int | None]
    signal: Mapped[int | None]
    message: Mapped[str | None]
    stdout: Mapped[bytes | None] = mapped_column(deferred=True)
    stdout_bytes: Mapped[int | None] = mapped_column(BigInteger)
    stderr: Mapped[bytes | None] = mapped_column(deferred=True)
    stderr_bytes: Mapped[int | None] = mapped_column(BigInteger)
    output_truncated: Mapped[list[str] | None] = mapped_column(
        JSONB(none_as_null=True)
    )  # names of the streams
    result: Mapped[str | None] = mapped_column(deferred=True)  # JSON as text
    warnings: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    usage: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    network: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))  # totals
    # Of a batch: `inputs`, and once it has ended its runs by how they did. Null: no batch.
    batch: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    isolation: Mapped[dict[str, Any] | None] = mapped_column(
        JSONB(none_as_null=True), deferred=True
    )


class Artifact(Base):
    """A file that a program left in its output folder."""

    __tablename__ = "artifacts"
    __table_args__ = (CheckConstraint("size >= 0", name="size"),)

    execution_id: Mapped[UUID] = mapped_column(
        ForeignKey(ExecutionRow.id, ondelete="CASCADE"), primary_key=True
    )
    path: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    content: Mapped[bytes] = mapped_column(deferred=True)


class BatchResultRow(Base):
    """How the run over one input of a batch ended, in one attempt."""

    __tablename__ = "batch_results"
    __table_args__ = (
        CheckConstraint("status IN ('succeeded', 'failed', 'timed_out')", name="status"),
        CheckConstraint(_one_of("reason", Reason), name="reason"),
        CheckConstraint("index >= 0 AND stdout_bytes >= 0 AND stderr_bytes >= 0", name="sizes"),
    )

    execution_id: Mapped[UUID] = mapped_column(
        ForeignKey(ExecutionRow.id, ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(primary_key=True)
    index: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]
    reason: Mapped[str | None]
    exit_code: Mapped[int | None]
    signal: Mapped[int | None]
    stdout: Mapped[bytes]
    stdout_bytes: Mapped[int] = mapped_column(BigInteger)
    stderr: Mapped[bytes]
    stderr_bytes: Mapped[int] = mapped_column(BigInteger)
    # Names of what was cut: streams, or the result that did not fit.
    output_truncated: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    result: Mapped[str | None]  # JSON as text
    wall_seconds: Mapped[float | None]


class AuditEventRow(Base):
    """One audit event; append-only, each hashing the one before it in its execution."""

    __tablename__ = "audit_events"
    __table_args__ = (
        # One entry a trail: retention finds the oldest ones.
        Index("ix_audit_events_first", "recorded_at_us", postgresql_where=text("sequence = 1")),
    )

    execution_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    recorded_at_us: Mapped[int] = mapped_column(BigInteger)  # microseconds since the epoch
    data: Mapped[str]  # JSON as text: the hash is over these very characters
    previous_hash: Mapped[bytes]
    hash: Mapped[bytes]


SWEEP_ID = "sweep"  # the row that tells when the sweep last ran


class WorkerHeartbeat(Base):
    """A worker process as it last reported itself."""

    __tablename__ = "worker_heartbeats"

    worker_id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    slots: Mapped[int]
    running: Mapped[int]
    engine_error: Mapped[str | None]  # why sandboxes cannot be started; null when they can
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    heartbeat_at: Mapped[datetime] = mapped_column(server_default=func.now())
