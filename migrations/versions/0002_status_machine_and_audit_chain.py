"""The status machine, the audit chain and the rights of the application's role"""

from alembic import op

from models.settings import load_settings

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Events hash the bytes that are stored, so that anyone with the rows can check them:
# sha256(previous hash || "execution|sequence|kind|microseconds|" || data).
APPEND = """
CREATE FUNCTION chain_audit_event(p_execution uuid, p_kind text, p_data text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    last_sequence integer;
    last_hash bytea;
    at_us bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
BEGIN
    -- Appends to one execution take turns on its row.
    PERFORM 1 FROM executions WHERE id = p_execution FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no execution %', p_execution USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF length(p_data) > 65536 OR p_kind !~ '^[a-z_]{1,64}$' OR jsonb_typeof(p_data::jsonb) <> 'object' THEN
        RAISE EXCEPTION 'audit event out of bounds' USING ERRCODE = 'check_violation';
    END IF;
    SELECT sequence, hash INTO last_sequence, last_hash FROM audit_events
        WHERE execution_id = p_execution ORDER BY sequence DESC LIMIT 1;
    last_sequence := coalesce(last_sequence, 0) + 1;
    last_hash := coalesce(last_hash, decode(repeat('00', 32), 'hex'));
    INSERT INTO audit_events (execution_id, sequence, kind, recorded_at_us, data, previous_hash, hash)
    VALUES (p_execution, last_sequence, p_kind, at_us, p_data, last_hash,
        sha256(last_hash || convert_to(
            format('%s|%s|%s|%s|', p_execution, last_sequence, p_kind, at_us) || p_data, 'UTF8')));
END $$;
REVOKE ALL ON FUNCTION chain_audit_event(uuid, text, text) FROM PUBLIC;

-- The application's door to the chain. What only the database may say, it cannot say.
CREATE FUNCTION append_audit_event(p_execution uuid, p_kind text, p_data text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF p_kind IN ('submitted', 'status_changed') THEN
        RAISE EXCEPTION 'the database itself records %', p_kind USING ERRCODE = 'check_violation';
    END IF;
    PERFORM chain_audit_event(p_execution, p_kind, p_data);
END $$;
REVOKE ALL ON FUNCTION append_audit_event(uuid, text, text) FROM PUBLIC;
"""

IMMUTABLE = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: audit events are append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_events_no_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

STATUS = """
CREATE FUNCTION execution_status_allowed(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE p_from
        WHEN 'queued' THEN p_to IN ('running', 'cancelled', 'rejected', 'lost')
        WHEN 'running' THEN p_to IN ('queued', 'succeeded', 'failed', 'timed_out', 'cancelled',
                                     'rejected', 'lost')
        ELSE false END
$$;

CREATE FUNCTION guard_execution() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.status <> 'queued' OR NEW.attempt <> 0 THEN
            RAISE EXCEPTION 'an execution starts queued' USING ERRCODE = 'check_violation';
        END IF;
        RETURN NEW;
    END IF;
    IF OLD.status NOT IN ('queued', 'running')
        AND to_jsonb(NEW) - 'reply_pending' IS DISTINCT FROM to_jsonb(OLD) - 'reply_pending' THEN
        RAISE EXCEPTION 'execution % has ended: % is final', OLD.id, OLD.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status <> OLD.status AND NOT execution_status_allowed(OLD.status, NEW.status) THEN
        RAISE EXCEPTION 'an execution cannot go from % to %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.attempt < OLD.attempt OR NEW.user_starts < OLD.user_starts THEN
        RAISE EXCEPTION 'the fencing token only grows' USING ERRCODE = 'check_violation';
    END IF;
    IF (NEW.id, NEW.tenant_id, NEW.request_hash, NEW.created_at)
        IS DISTINCT FROM (OLD.id, OLD.tenant_id, OLD.request_hash, OLD.created_at)
        OR NEW.request IS DISTINCT FROM OLD.request THEN
        RAISE EXCEPTION 'what was asked cannot change' USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.status <> OLD.status AND NEW.status <> 'running' THEN
        NEW.lease_owner := NULL;
        NEW.lease_expires_at := NULL;
        IF NEW.status <> 'queued' THEN
            NEW.finished_at := clock_timestamp();
        END IF;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER executions_guard BEFORE INSERT OR UPDATE ON executions
    FOR EACH ROW EXECUTE FUNCTION guard_execution();

CREATE FUNCTION record_execution() RETURNS trigger
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
            'artifacts_sha256', artifacts_digest))::text);
        IF NEW.status NOT IN ('queued', 'running') THEN
            PERFORM pg_notify('agentcore_finished', NEW.id::text);
        END IF;
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION guard_artifact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- The final audit event covers the artifacts: none may come after it.
    PERFORM 1 FROM executions WHERE id = NEW.execution_id AND status = 'running' FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'artifacts come while their execution runs'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER artifacts_guard BEFORE INSERT ON artifacts
    FOR EACH ROW EXECUTE FUNCTION guard_artifact();

CREATE TRIGGER executions_record AFTER INSERT OR UPDATE OF status ON executions
    FOR EACH ROW EXECUTE FUNCTION record_execution();
"""

GRANTS = """
GRANT SELECT, INSERT, UPDATE ON tenants, api_keys, agents, executions, worker_heartbeats TO {role};
GRANT DELETE ON worker_heartbeats TO {role};
GRANT SELECT, INSERT ON artifacts TO {role};
GRANT SELECT ON audit_events, alembic_version TO {role};
GRANT EXECUTE ON FUNCTION append_audit_event(uuid, text, text) TO {role};
"""


def upgrade() -> None:
    op.execute(APPEND)
    op.execute(IMMUTABLE)
    op.execute(STATUS)
    if role := load_settings().database_app_role:
        op.execute(GRANTS.format(role=f'"{role}"'))


def downgrade() -> None:
    op.execute("DROP TRIGGER artifacts_guard ON artifacts")
    op.execute("DROP TRIGGER executions_record ON executions")
    op.execute("DROP TRIGGER executions_guard ON executions")
    op.execute("DROP TRIGGER audit_events_no_truncate ON audit_events")
    op.execute("DROP TRIGGER audit_events_append_only ON audit_events")
    for function in (
        "guard_artifact()",
        "record_execution()",
        "guard_execution()",
        "execution_status_allowed(text, text)",
        "refuse_change()",
        "append_audit_event(uuid, text, text)",
        "chain_audit_event(uuid, text, text)",
    ):
        op.execute(f"DROP FUNCTION {function}")
