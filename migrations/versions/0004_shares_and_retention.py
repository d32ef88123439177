"""Shares of tenants in the queue, and the retention of what has ended"""

import sqlalchemy as sa
from alembic import op

from models.settings import load_settings

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Only what has ended may go; the artifacts go with their execution (ON DELETE CASCADE).
EXECUTIONS = """
CREATE FUNCTION guard_execution_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status IN ('queued', 'running') THEN
        RAISE EXCEPTION 'execution % has not ended: it cannot be deleted', OLD.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER executions_guard_delete BEFORE DELETE ON executions
    FOR EACH ROW EXECUTE FUNCTION guard_execution_delete();

-- Days, not an interval: '1 month -29 days' compares as one day and may reach into the future.
CREATE FUNCTION age_out_executions(p_days double precision, p_limit integer) RETURNS integer
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
    WITH old AS MATERIALIZED (
        SELECT id FROM executions WHERE finished_at < cut AND NOT reply_pending
            AND status NOT IN ('queued', 'running')
        ORDER BY finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    )
    DELETE FROM executions USING old WHERE executions.id = old.id;
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END $$;
REVOKE ALL ON FUNCTION age_out_executions(double precision, integer) FROM PUBLIC;
"""

# Whoever deletes: whole trails of executions that are gone, whose last event is a week old.
AUDIT = """
DROP TRIGGER audit_events_append_only ON audit_events;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION guard_audit_delete() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    week_ago_us bigint := (extract(epoch FROM now() - interval '168 hours') * 1000000)::bigint;
BEGIN
    IF EXISTS (SELECT 1 FROM gone WHERE recorded_at_us >= week_ago_us)
        OR EXISTS (SELECT 1 FROM gone JOIN executions ON executions.id = gone.execution_id)
        OR EXISTS (SELECT 1 FROM gone JOIN audit_events USING (execution_id)) THEN
        RAISE EXCEPTION 'DELETE on audit_events is refused: audit events are append-only, and '
            'only whole trails that outlived their execution and a week can go'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_events_guard_delete AFTER DELETE ON audit_events
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION guard_audit_delete();

-- Without its execution a trail cannot grow: what is found here is complete.
CREATE FUNCTION age_out_audit_trails(p_days double precision, p_limit integer) RETURNS integer
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
    WITH old AS MATERIALIZED (
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
    SELECT count(DISTINCT execution_id) INTO deleted FROM events;
    RETURN deleted;
END $$;
REVOKE ALL ON FUNCTION age_out_audit_trails(double precision, integer) FROM PUBLIC;
"""

GRANTS = """
GRANT EXECUTE ON FUNCTION age_out_executions(double precision, integer) TO {role};
GRANT EXECUTE ON FUNCTION age_out_audit_trails(double precision, integer) TO {role};
"""


def upgrade() -> None:
    """Count what is queued already as released: its message may have been sent."""
    op.execute("SET LOCAL lock_timeout = '5s'")  # rather fail than queue everybody behind us
    op.add_column(
        "executions",
        sa.Column("released", sa.Boolean(), server_default=sa.text("true"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_executions_released"), "executions", "released OR status <> 'running'"
    )
    _index("queued", ["next_send_at"], "status = 'queued' AND released", replaces=True)
    _index("released", ["tenant_id", "status"], "released AND status IN ('queued', 'running')")
    next_in_line = ["tenant_id", sa.literal_column("priority DESC"), "created_at", "id"]
    _index("held", next_in_line, "status = 'queued' AND NOT released")
    _index("finished", ["finished_at"], "finished_at IS NOT NULL")
    op.create_index(
        "ix_audit_events_first",
        "audit_events",
        ["recorded_at_us"],
        postgresql_where=sa.text("sequence = 1"),
    )
    op.execute(EXECUTIONS)
    op.execute(AUDIT)
    if role := load_settings().database_app_role:
        op.execute(GRANTS.format(role=f'"{role}"'))


def downgrade() -> None:
    """Release what is held: the release before knows no holding."""
    op.execute("DROP FUNCTION age_out_audit_trails(double precision, integer)")
    op.execute("DROP TRIGGER audit_events_guard_delete ON audit_events")
    op.execute("DROP FUNCTION guard_audit_delete()")
    op.execute("DROP TRIGGER audit_events_append_only ON audit_events")
    op.execute("""
        CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
            FOR EACH ROW EXECUTE FUNCTION refuse_change()
    """)
    op.execute("DROP FUNCTION age_out_executions(double precision, integer)")
    op.execute("DROP TRIGGER executions_guard_delete ON executions")
    op.execute("DROP FUNCTION guard_execution_delete()")
    op.drop_index("ix_audit_events_first", "audit_events")
    for name in ("finished", "held", "released"):
        op.drop_index(f"ix_executions_{name}", "executions")
    _index("queued", ["next_send_at"], "status = 'queued'", replaces=True)
    op.drop_constraint(op.f("ck_executions_released"), "executions")
    op.drop_column("executions", "released")


def _index(name: str, columns: list[object], where: str, *, replaces: bool = False) -> None:
    if replaces:
        op.drop_index(f"ix_executions_{name}", "executions")
    op.create_index(f"ix_executions_{name}", "executions", columns, postgresql_where=sa.text(where))
