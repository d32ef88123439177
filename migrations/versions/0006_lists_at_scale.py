"""What keeps claims, lists, shares and sweeps as quick beside a million rows as beside none"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NEWEST = (sa.literal_column("created_at DESC"), sa.literal_column("id DESC"))

# A tenant's turn and what is done in it, in one round trip. Not one statement: each statement of
# a function that is VOLATILE sees what was committed before it, so the counts see what whoever
# had the turn before has done.
SHARES = """
CREATE FUNCTION take_turn(p_tenant uuid) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    -- "ACTS", and the start of a random UUID: two of one number would only wait for each other.
    PERFORM pg_advisory_xact_lock(1094931539, ('x' || left(p_tenant::text, 8))::bit(32)::integer);
END $$;

-- Each count stops at its limit.
CREATE FUNCTION tenant_load(p_tenant uuid, p_most integer, p_queue integer,
    OUT n_released bigint, OUT n_waiting bigint, OUT n_held bigint)
LANGUAGE plpgsql SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
    PERFORM take_turn(p_tenant);
    SELECT count(*) INTO n_released FROM (SELECT 1 FROM executions
        WHERE tenant_id = p_tenant AND released AND status IN ('queued', 'running')
        LIMIT p_most) AS r;
    SELECT count(*) INTO n_waiting FROM (SELECT 1 FROM executions
        WHERE tenant_id = p_tenant AND released AND status = 'queued' LIMIT p_queue) AS w;
    SELECT count(*) INTO n_held FROM (SELECT 1 FROM executions
        WHERE tenant_id = p_tenant AND NOT released AND status = 'queued' LIMIT p_queue) AS h;
END $$;

CREATE FUNCTION let_in(p_tenant uuid, p_most integer, p_resend double precision)
RETURNS TABLE (execution uuid, urgency integer, since timestamptz)
LANGUAGE plpgsql SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
BEGIN
    PERFORM take_turn(p_tenant);
    IF NOT EXISTS (SELECT 1 FROM executions
            WHERE tenant_id = p_tenant AND NOT released AND status = 'queued') THEN
        RETURN;
    END IF;
    RETURN QUERY
    UPDATE executions SET released = true, next_send_at = now() + make_interval(secs => p_resend)
    WHERE id = ANY (ARRAY(
        SELECT id FROM executions
        WHERE tenant_id = p_tenant AND NOT released AND status = 'queued'
        ORDER BY priority DESC, created_at, id
        LIMIT p_most - (SELECT count(*) FROM (SELECT 1 FROM executions
            WHERE tenant_id = p_tenant AND released AND status IN ('queued', 'running')
            LIMIT p_most) AS r)
        FOR UPDATE SKIP LOCKED))
    RETURNING id, priority, created_at;
END $$;
"""

# As in migration 0004 but for how the old ones are found: one after the other in the order of an
# index, however many are old and whatever the plan is made for. OFFSET 0 keeps a question about
# one trail from becoming a join with all executions.
AGE_OUT = """
CREATE OR REPLACE FUNCTION age_out_executions(p_days double precision, p_limit integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    cut timestamptz;
    deleted integer;
BEGIN
    IF p_days IS NULL OR NOT p_days BETWEEN 1 AND 36500 THEN
        RAISE EXCEPTION 'executions are kept for at least a day after their end'
            USING ERRCODE = 'check_violation';
    END IF;
    cut := now() - p_days * interval '1 day';
    {executions}
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END $$;

CREATE OR REPLACE FUNCTION age_out_audit_trails(p_days double precision, p_limit integer)
RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    cut_us bigint;
    deleted integer;
BEGIN
    IF p_days IS NULL OR NOT p_days BETWEEN 7 AND 36500 THEN
        RAISE EXCEPTION 'audit trails are kept for at least a week'
            USING ERRCODE = 'check_violation';
    END IF;
    cut_us := (extract(epoch FROM now() - p_days * interval '1 day') * 1000000)::bigint;
    {trails}
    RETURN deleted;
END $$;
"""
NEW = {
    "executions": """DELETE FROM executions WHERE id = ANY (ARRAY(
        SELECT id FROM executions WHERE finished_at < cut AND NOT reply_pending
            AND status NOT IN ('queued', 'running')
        ORDER BY finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED));""",
    "trails": """WITH events AS (
        DELETE FROM audit_events WHERE execution_id = ANY (ARRAY(
            SELECT execution_id FROM audit_events AS first
            WHERE sequence = 1 AND recorded_at_us < cut_us
                AND NOT EXISTS (SELECT 1 FROM executions WHERE id = first.execution_id OFFSET 0)
                AND NOT EXISTS (SELECT 1 FROM audit_events AS late
                    WHERE late.execution_id = first.execution_id
                        AND late.recorded_at_us >= cut_us OFFSET 0)
            ORDER BY recorded_at_us LIMIT p_limit FOR UPDATE OF first SKIP LOCKED))
        RETURNING execution_id
    )
    SELECT count(DISTINCT execution_id) INTO deleted FROM events;""",
}
OLD = {
    "executions": """WITH old AS MATERIALIZED (
        SELECT id FROM executions WHERE finished_at < cut AND NOT reply_pending
            AND status NOT IN ('queued', 'running')
        ORDER BY finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    )
    DELETE FROM executions USING old WHERE executions.id = old.id;""",
    "trails": """WITH old AS MATERIALIZED (
        SELECT execution_id FROM audit_events AS first
        WHERE sequence = 1 AND recorded_at_us < cut_us
            AND NOT EXISTS (SELECT 1 FROM executions WHERE id = first.execution_id)
            AND NOT EXISTS (SELECT 1 FROM audit_events AS late
                WHERE late.execution_id = first.execution_id AND late.recorded_at_us >= cut_us)
        ORDER BY recorded_at_us LIMIT p_limit FOR UPDATE OF first SKIP LOCKED
    ), events AS (
        DELETE FROM audit_events USING old WHERE audit_events.execution_id = old.execution_id
        RETURNING old.execution_id
    )
    SELECT count(DISTINCT execution_id) INTO deleted FROM events;""",
}


def upgrade() -> None:
    """Two indexes for all lists take the place of one; no index changes with a renewed lease."""
    op.execute("SET LOCAL lock_timeout = '5s'")  # rather fail than queue everybody behind us
    by_status = ["tenant_id", "status", "security_profile", *NEWEST]
    by_agent = ["tenant_id", "agent_name", "status", "security_profile", *NEWEST]
    _index("by_status", by_status)
    _index("by_agent", by_agent, "agent_name IS NOT NULL")
    op.drop_index("ix_executions_listing", "executions")
    op.drop_index("ix_executions_running", "executions")
    op.drop_index("ix_executions_reply_pending", "executions")
    _index("reply_pending", ["finished_at"], "reply_pending AND finished_at IS NOT NULL")
    # Room on each page for its rows as they change: a start and a renewal write no index then.
    op.execute("ALTER TABLE executions SET (fillfactor = 90)")
    op.execute(SHARES)
    op.execute(AGE_OUT.format(**NEW))


def downgrade() -> None:
    op.execute(AGE_OUT.format(**OLD))
    op.execute("DROP FUNCTION let_in(uuid, integer, double precision)")
    op.execute("DROP FUNCTION tenant_load(uuid, integer, integer)")
    op.execute("DROP FUNCTION take_turn(uuid)")
    op.execute("ALTER TABLE executions RESET (fillfactor)")
    op.drop_index("ix_executions_reply_pending", "executions")
    _index("reply_pending", ["id"], "reply_pending")
    _index("running", ["lease_expires_at"], "status = 'running'")
    _index("listing", ["tenant_id", *NEWEST])
    op.drop_index("ix_executions_by_agent", "executions")
    op.drop_index("ix_executions_by_status", "executions")


def _index(name: str, columns: list[object], where: str | None = None) -> None:
    condition = {} if where is None else {"postgresql_where": sa.text(where)}
    op.create_index(f"ix_executions_{name}", "executions", columns, **condition)
