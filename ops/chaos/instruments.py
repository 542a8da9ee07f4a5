"""What the suite adds to its database: effects with a unique key, a record of every change, and gates to hold one up.

A change of an execution passes a gate inside its own statement: whoever holds the gate's advisory lock exclusively
stops claims, settles, orders on their way or an operator's action in their middle, and nothing of the product knows.
"""

CLAIMING, SETTLING, ACTING, SENDING = 1, 2, 3, 4
"""Keys of the advisory locks, one a gate."""

COMMAND = "muhurat command"
"""What the connections of an operator's command call themselves."""

TABLES = """
-- Every start of a step: (execution, generation) may stand here once.
CREATE TABLE chaos_begins (
    execution_id bigint NOT NULL, generation int NOT NULL,
    application text NOT NULL DEFAULT current_setting('application_name'),
    at timestamptz NOT NULL DEFAULT clock_timestamp());
-- The effect itself, committed in the step's own transaction.
CREATE TABLE chaos_effects (key text PRIMARY KEY, execution_id bigint NOT NULL, generation int NOT NULL);
-- Every transaction of a step that passed its fence and was committed.
CREATE TABLE chaos_passes (
    execution_id bigint NOT NULL, generation int NOT NULL,
    application text NOT NULL DEFAULT current_setting('application_name'),
    at timestamptz NOT NULL DEFAULT clock_timestamp());
-- A second effect, which the unique key had to refuse.
CREATE TABLE chaos_doubles (key text NOT NULL, generation int NOT NULL);
CREATE TABLE chaos_accepted (id bigint PRIMARY KEY, scheduled_for timestamptz NOT NULL, parent_id bigint);
CREATE TABLE chaos_changes (
    at timestamptz NOT NULL DEFAULT clock_timestamp(), id bigint NOT NULL, was text NOT NULL, became text NOT NULL,
    was_generation int NOT NULL, generation int NOT NULL, due timestamptz,
    application text NOT NULL DEFAULT current_setting('application_name'));
-- What became of orders, and when a halt was set. An effect and a halt keep each other out, and both stand here while
-- they do: so their times are in the order of their commits.
CREATE TABLE chaos_orders (
    order_id bigint NOT NULL, became text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE chaos_halts (halt_id bigint PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp());
-- What a broker was asked to place, committed before it was asked.
CREATE TABLE chaos_sends (order_id bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE INDEX ON chaos_begins (execution_id);
CREATE INDEX ON chaos_passes (execution_id);
CREATE INDEX ON chaos_effects (execution_id);
CREATE INDEX ON chaos_changes (id);
"""

TRIGGERS = """
CREATE FUNCTION chaos_accept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_accepted (id, scheduled_for, parent_id) VALUES (NEW.id, NEW.scheduled_for, NEW.parent_id);
    IF NEW.parent_id IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock_shared(:acting);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION chaos_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who text := current_setting('application_name');
BEGIN
    INSERT INTO chaos_changes (id, was, became, was_generation, generation, due)
    VALUES (NEW.id, OLD.status, NEW.status, OLD.generation, NEW.generation, NEW.next_attempt_at);
    IF who LIKE 'worker %' AND NEW.status = 'running' AND OLD.status <> 'running' THEN
        PERFORM pg_advisory_xact_lock_shared(:claiming);
    ELSIF who LIKE 'worker %' AND OLD.status = 'running' AND NEW.status <> 'queued' THEN
        PERFORM pg_advisory_xact_lock_shared(:settling);
    ELSIF who LIKE ':command%' THEN
        PERFORM pg_advisory_xact_lock_shared(:acting);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION chaos_order() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_orders (order_id, became) VALUES (NEW.id, NEW.status);
    IF NEW.status = 'sending' THEN
        PERFORM pg_advisory_xact_lock_shared(:sending);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION chaos_halt() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO chaos_halts (halt_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER chaos_plan AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION chaos_order();
CREATE TRIGGER chaos_order AFTER UPDATE ON orders FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION chaos_order();
CREATE TRIGGER chaos_halt AFTER INSERT ON halts FOR EACH ROW EXECUTE FUNCTION chaos_halt();
CREATE TRIGGER chaos_accept AFTER INSERT ON service_task_execution FOR EACH ROW EXECUTE FUNCTION chaos_accept();
CREATE TRIGGER chaos_change AFTER UPDATE ON service_task_execution FOR EACH ROW
WHEN (OLD.status IS DISTINCT FROM NEW.status OR OLD.generation IS DISTINCT FROM NEW.generation
      OR OLD.finished_at IS DISTINCT FROM NEW.finished_at)
EXECUTE FUNCTION chaos_change();
"""

# Live schedules would fire into a case whenever their time comes.
QUIET = "UPDATE schedules SET enabled = false"

EMPTY = (
    "TRUNCATE service_task_execution, execution_attempts, error_logs, service_logs, audit_logs, "
    "chaos_begins, chaos_passes, chaos_effects, chaos_doubles, chaos_accepted, chaos_changes, "
    "chaos_orders, chaos_halts, chaos_sends, halts, orders, paper_orders, market_clock CASCADE"
)
EMPTY_HOUSE = "TRUNCATE worker_processes"

# How many statements wait at a gate.
HELD_UP = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted"


def script() -> str:
    """Return every statement that makes a database the suite's."""
    keys = {"acting": ACTING, "claiming": CLAIMING, "settling": SETTLING, "sending": SENDING, "command": COMMAND}
    triggers = TRIGGERS
    for name, key in keys.items():
        triggers = triggers.replace(f":{name}", str(key))
    return f"{TABLES}{triggers}{QUIET};"
