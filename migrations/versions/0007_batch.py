"""Batches: the results of their runs, and the audit trail's word on them"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from models.settings import load_settings

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Once a statement, not once a row: results come by the hundred. The lock keeps the status as it
# is: the final audit event covers the results, and none may come after it.
GUARD = """
CREATE FUNCTION guard_batch_results() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    told record;
BEGIN
    FOR told IN SELECT DISTINCT execution_id, attempt FROM fresh LOOP
        PERFORM 1 FROM executions WHERE id = told.execution_id AND attempt = told.attempt
            AND status = 'running' AND batch IS NOT NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'results come while their attempt of a batch runs'
                USING ERRCODE = 'check_violation';
        END IF;
        PERFORM pg_notify('agentcore_results', told.execution_id::text);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER batch_results_guard AFTER INSERT ON batch_results
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION guard_batch_results();
"""

# A line for each result, in the order of their index; anyone with the rows can compute it again.
DIGEST = """
CREATE FUNCTION batch_results_digest(p_execution uuid, p_attempt integer) RETURNS text
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT encode(sha256(convert_to(string_agg(format(E'%s|%s|%s|%s|%s|%s|%s|%s\\n',
            index, status, reason, exit_code, signal, encode(sha256(stdout), 'hex'),
            encode(sha256(stderr), 'hex'), encode(sha256(convert_to(result, 'UTF8')), 'hex')),
            '' ORDER BY index), 'UTF8')), 'hex')
    FROM batch_results WHERE execution_id = p_execution AND attempt = p_attempt
$$;
"""

# As migration 0002 made it, with a place for more.
RECORD = """
CREATE OR REPLACE FUNCTION record_execution() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    artifacts_digest text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM chain_audit_event(NEW.id, 'submitted', jsonb_build_object(
            'tenant', NEW.tenant_id, 'api_key', NEW.api_key_id, 'agent', NEW.agent_name,
            'agent_version', NEW.agent_version, 'image', NEW.image,
            'security_profile', NEW.security_profile, 'network_access', NEW.network_access,
            'limits', NEW.limits, 'max_attempts', NEW.max_attempts,
            'request_sha256', encode(NEW.request_hash, 'hex'))::text);
    ELSIF NEW.status <> OLD.status THEN
        SELECT encode(sha256(convert_to(
                string_agg(path || chr(10) || sha256 || chr(10), '' ORDER BY path), 'UTF8')), 'hex')
            INTO artifacts_digest FROM artifacts WHERE execution_id = NEW.id;
        PERFORM chain_audit_event(NEW.id, 'status_changed', jsonb_strip_nulls(jsonb_build_object(
            'from', OLD.status, 'to', NEW.status, 'reason', NEW.reason, 'attempt', NEW.attempt,
            'worker', coalesce(NEW.lease_owner, OLD.lease_owner), 'exit_code', NEW.exit_code,
            'signal', NEW.signal, 'stdout_sha256', encode(sha256(NEW.stdout), 'hex'),
            'stderr_sha256', encode(sha256(NEW.stderr), 'hex'),
            'result_sha256', encode(sha256(convert_to(NEW.result, 'UTF8')), 'hex'),
            'artifacts_sha256', artifacts_digest{more}))::text);
        IF NEW.status NOT IN ('queued', 'running') THEN
            PERFORM pg_notify('agentcore_finished', NEW.id::text);
        END IF;
    END IF;
    RETURN NULL;
END $$;
"""
OF_BATCHES = """, 'batch', NEW.batch,
            'results_sha256', CASE WHEN NEW.batch IS NOT NULL AND OLD.status = 'running'
                THEN batch_results_digest(NEW.id, NEW.attempt) END"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")  # rather fail than queue everybody behind us
    json = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column("executions", sa.Column("batch", json, nullable=True))
    op.create_table(
        "batch_results",
        sa.Column("execution_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("signal", sa.Integer(), nullable=True),
        sa.Column("stdout", sa.LargeBinary(), nullable=False),
        sa.Column("stdout_bytes", sa.BigInteger(), nullable=False),
        sa.Column("stderr", sa.LargeBinary(), nullable=False),
        sa.Column("stderr_bytes", sa.BigInteger(), nullable=False),
        sa.Column("output_truncated", json, nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("wall_seconds", sa.Float(), nullable=True),
        sa.CheckConstraint(
            "status IN ('succeeded', 'failed', 'timed_out')", name=op.f("ck_batch_results_status")
        ),
        sa.CheckConstraint(
            "reason IN ('exit_nonzero', 'signal', 'oom_killed', 'output_limit', 'result_invalid', 'command_not_found', 'time_limit', 'cancel_requested', 'policy_violation', 'network_denied', 'image_unavailable', 'sandbox_error', 'sandbox_unavailable', 'worker_lost')",
            name=op.f("ck_batch_results_reason"),
        ),
        sa.CheckConstraint(
            "index >= 0 AND stdout_bytes >= 0 AND stderr_bytes >= 0",
            name=op.f("ck_batch_results_sizes"),
        ),
        sa.ForeignKeyConstraint(
            ["execution_id"],
            ["executions.id"],
            name=op.f("fk_batch_results_execution_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("execution_id", "attempt", "index", name=op.f("pk_batch_results")),
    )
    op.execute(GUARD)
    op.execute(DIGEST)
    op.execute(RECORD.format(more=OF_BATCHES))
    if role := load_settings().database_app_role:
        op.execute(f'GRANT SELECT, INSERT ON batch_results TO "{role}"')


def downgrade() -> None:
    op.execute(RECORD.format(more=""))
    op.execute("DROP FUNCTION batch_results_digest(uuid, integer)")
    op.drop_table("batch_results")
    op.execute("DROP FUNCTION guard_batch_results()")
    op.drop_column("executions", "batch")
