"""What the models cannot say: market time in SQL, partitions of executions, and row-level security on both."""

# Market now: the wall clock, or the replay's row.
MARKET_NOW = """
CREATE FUNCTION market_now() RETURNS timestamptz LANGUAGE sql STABLE
AS $$ SELECT coalesce((SELECT at FROM market_clock WHERE id = 1), now()) $$
"""

# A row is visible to its user and to the system; with neither set, nothing is.
PROTECT = """
CREATE FUNCTION protect_rows(relation regclass, owner_column text) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    EXECUTE format($policy$
        CREATE POLICY tenant ON %s USING (
            current_setting('muhurat.scope', true) = 'system'
            OR %I = nullif(current_setting('muhurat.user_id', true), '')::bigint)
        $policy$, relation, owner_column);
END $$
"""

# Monthly partitions of executions over a range of days; read directly they would leak, so each is protected too.
PARTITIONS = """
CREATE FUNCTION make_execution_partitions(first_day date, last_day date) RETURNS int LANGUAGE plpgsql
AS $$
DECLARE
    month date := date_trunc('month', first_day)::date;
    partition text;
    made int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_execution_partitions'));
    WHILE month <= last_day LOOP
        partition := 'service_task_execution_p' || to_char(month, 'YYYYMM');
        IF to_regclass(partition) IS NULL THEN
            -- Made apart and then attached: that waits for nobody who reads or writes executions.
            EXECUTE format(
                'CREATE TABLE %I (LIKE service_task_execution INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
            PERFORM protect_rows(partition::regclass, 'user_id');
            EXECUTE format(
                'ALTER TABLE service_task_execution ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                partition, month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month') AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
        month := (month + interval '1 month')::date;
    END LOOP;
    RETURN made;
END $$
"""

FUNCTIONS = (
    "make_execution_partitions(date, date)",
    "protect_rows(regclass, text)",
    "market_now()",
)
