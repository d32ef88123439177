"""Fills the real schema with executions that have ended, as the owner of the tables.

Numbers decide everything, so that two fillings of one size are the same: 20 tenants, of which the
first has three fifths, 50 agents, the last ninety days, and statuses, profiles and sizes as skewed
as they are in use. The hash chains of the audit events hold.
"""

import hashlib
from collections.abc import Callable
from uuid import UUID

import psycopg
from psycopg import sql

TENANTS, AGENTS, DAYS = 20, 50, 90
RARE = 3  # executions of the first tenant that were rejected: for a filter that finds few
MAX_EVENTS = 5  # of one execution; the fewest are two
BATCH = 25_000  # executions of one statement

_TENANTS = """
INSERT INTO tenants (id, name) SELECT md5('tenant ' || n)::uuid, 'tenant-' || n
FROM generate_series(0, {tenants} - 1) AS n ON CONFLICT DO NOTHING
"""
# u1 to u6 are uniform in [0, 1) and differ for each execution.
_EXECUTIONS = """
WITH chances AS (
    SELECT n, n % greatest(1, {all} / {rare}) = 1 AS is_rare,
        (hashint8extended(n, 1) & 65535) / 65536.0 AS u1,
        (hashint8extended(n, 2) & 65535) / 65536.0 AS u2,
        (hashint8extended(n, 3) & 65535) / 65536.0 AS u3,
        (hashint8extended(n, 4) & 65535) / 65536.0 AS u4,
        (hashint8extended(n, 5) & 65535) / 65536.0 AS u5,
        (hashint8extended(n, 6) & 65535) / 65536.0 AS u6
    FROM generate_series({first}, {last}) AS n
), chosen AS (
    SELECT *, CASE WHEN is_rare THEN 0 ELSE floor({tenants} * u1 ^ 6)::int END AS tenant,
        CASE WHEN is_rare THEN 'rejected' WHEN u2 < 0.85 THEN 'succeeded'
            WHEN u2 < 0.94 THEN 'failed' WHEN u2 < 0.97 THEN 'timed_out'
            WHEN u2 < 0.99 THEN 'cancelled' ELSE 'lost' END AS status,
        CASE WHEN u3 > 0.3 THEN 'agent-' || floor({agents} * u4 * u4) END AS agent,
        now() - interval '1 hour' - {days} * interval '1 day' * (1 - n::float / {all}) AS begun
    FROM chances
)
INSERT INTO executions (id, tenant_id, idempotency_key, request_hash, agent_name, agent_version,
    request, security_profile, image, network_access, limits, labels, priority, max_attempts,
    status, reason, attempt, user_starts, created_at, started_at, finished_at, exit_code,
    stdout, stdout_bytes, stderr, stderr_bytes, output_truncated, result, warnings, usage,
    isolation)
SELECT md5('execution ' || n)::uuid, md5('tenant ' || tenant)::uuid,
    CASE WHEN n % 3 > 0 THEN md5('key ' || n) END, sha256(n::text::bytea), agent,
    CASE WHEN agent IS NOT NULL THEN 1 END,
    jsonb_build_object('source', repeat(md5(n::text), 2 + (u6 * 40)::int)),
    CASE WHEN u5 < 0.1 THEN 'minimal' WHEN u5 > 0.999 AND tenant > 0 THEN 'privileged'
        ELSE 'standard' END,
    'python', 'none',
    '{{"memory_mb": 256, "cpu_cores": 0.5, "execution_time_seconds": 30.0, "processes": 10,
        "file_descriptors": 50, "storage_mb": 1024, "network_requests": 100}}',
    '{{"team": "search"}}', 4, 1, status,
    CASE status WHEN 'failed' THEN 'exit_nonzero' WHEN 'timed_out' THEN 'time_limit'
        WHEN 'cancelled' THEN 'cancel_requested' WHEN 'lost' THEN 'worker_lost'
        WHEN 'rejected' THEN 'policy_violation' END,
    1, 1, begun, begun + interval '1 s', begun + interval '2 s' + u6 * interval '58 s',
    CASE status WHEN 'succeeded' THEN 0 WHEN 'failed' THEN 1 END,
    convert_to(repeat(md5(n::text), (u5 * 20)::int), 'UTF8'), (u5 * 20)::int * 32, '', 0, '[]',
    '{{"answer": 42}}', '[]', '{{"wall_seconds": 0.2, "cpu_seconds": 0.1,
        "peak_memory_bytes": 20000000}}',
    jsonb_build_object('inside', repeat(md5(n::text) || md5(u5::text), 48))
FROM chosen
"""
# One in ten has left a file.
_ARTIFACTS = """
INSERT INTO artifacts (execution_id, path, size, sha256, content)
SELECT md5('execution ' || n)::uuid, 'answer.txt', 2, encode(sha256('42'), 'hex'), '42'
FROM generate_series({first}, {last}) AS n WHERE n % 10 = 0
"""
_EVENTS = """
INSERT INTO audit_events (execution_id, sequence, kind, recorded_at_us, data, previous_hash, hash)
SELECT id, {number}, kind, at_us, data, previous, sha256(previous || convert_to(
    format('%s|%s|%s|%s|', id, {number}, kind, at_us) || data, 'UTF8'))
FROM (
    SELECT executions.id, coalesce(earlier.hash, decode(repeat('00', 32), 'hex')) AS previous,
        (extract(epoch FROM created_at) * 1000000)::bigint + {number} AS at_us,
        CASE {number} WHEN 1 THEN 'submitted' WHEN 3 THEN 'user_code_started'
            ELSE 'status_changed' END AS kind,
        json_build_object('facts', repeat(encode(request_hash, 'hex'), 4 + {number} % 3 * 10))::text
            AS data
    FROM generate_series({first}, {last}) AS n
        JOIN executions ON executions.id = md5('execution ' || n)::uuid
        LEFT JOIN audit_events AS earlier
            ON earlier.execution_id = executions.id AND earlier.sequence = {number} - 1
    WHERE {number} <= 2 + n % 4
) AS facts
"""


# Of the first tenant they are held; of the others they have been let in, and workers know of them.
_QUEUED = """
INSERT INTO tenants (id, name) SELECT md5('other ' || n)::uuid, 'other-' || n
FROM generate_series(1, {count} / {each}) AS n ON CONFLICT DO NOTHING;
INSERT INTO executions (id, tenant_id, request_hash, request, security_profile, image,
    network_access, limits, labels, priority, max_attempts, released, next_send_at)
SELECT gen_random_uuid(), md5(owner)::uuid, '\\x00', '{{"source": "pass"}}', 'standard', 'python',
    'none', '{{"memory_mb": 256, "cpu_cores": 0.5, "execution_time_seconds": 30.0,
        "processes": 10, "file_descriptors": 50, "storage_mb": 1024, "network_requests": 100}}',
    '{{}}', 4, 1, owner <> 'tenant 0', now() + interval '1 day'
FROM generate_series(0, {count} - 1) AS n,
    LATERAL (VALUES ('tenant 0'), ('other ' || 1 + n % ({count} / {each}))) AS owners (owner)
"""


def fill(owner_url: str, executions: int, say: Callable[[str], object] = lambda _: None) -> None:
    """Fill an empty, migrated database; `say` hears how far it is.

    A million executions take some minutes and 6 GB.
    """
    with psycopg.connect(owner_url, autocommit=True) as owner:
        _run(owner, _TENANTS)
        _switch(owner, "DISABLE")  # what has ended already could not be inserted otherwise
        for first in range(1, executions + 1, BATCH):
            last = min(executions, first + BATCH - 1)
            _run(owner, _EXECUTIONS, first=first, last=last, all=executions)
            _run(owner, _ARTIFACTS, first=first, last=last)
            for number in range(1, MAX_EVENTS + 1):
                _run(owner, _EVENTS, first=first, last=last, number=number)
            say(f"{last} of {executions} executions")
        _switch(owner, "ENABLE")
        owner.execute("VACUUM ANALYZE tenants, executions, audit_events, artifacts")


def _switch(owner: psycopg.Connection[tuple[object, ...]], state: str) -> None:
    for table in ("executions", "artifacts"):
        owner.execute(f"ALTER TABLE {table} {state} TRIGGER USER")


def enqueue(owner: psycopg.Connection[tuple[object, ...]], count: int, each: int) -> None:
    """Let `count` executions of the first tenant wait for their turn, and as many of others for a
    worker: `each` of one tenant.
    """
    _run(owner, _QUEUED, count=count, each=each)


def tenant(number: int = 0) -> UUID:
    """Return the id of a filled tenant; the first, 0, has by far the most executions."""
    return _md5(f"tenant {number}")


def execution(number: int) -> UUID:
    """Return the id of a filled execution, the oldest being 1."""
    return _md5(f"execution {number}")


def _md5(words: str) -> UUID:
    return UUID(hashlib.md5(words.encode()).hexdigest())


def _run(connection: psycopg.Connection[tuple[object, ...]], statement: str, **values: int) -> None:
    known = {"tenants": TENANTS, "agents": AGENTS, "days": DAYS, "rare": RARE}
    literals = {name: sql.Literal(value) for name, value in (known | values).items()}
    connection.execute(sql.SQL(statement).format(**literals))
