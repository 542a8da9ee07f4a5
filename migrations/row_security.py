"""What the models cannot say: market time in SQL, partitions by time, and row-level security on both."""

# Market now: the wall clock, or the row's: standing in a replay, running in a rehearsal.
MARKET_NOW = """
CREATE FUNCTION market_now() RETURNS timestamptz LANGUAGE sql STABLE
AS $$ SELECT coalesce((SELECT CASE WHEN speed IS NULL THEN at ELSE least(at + (now() - set_at) * speed, ends_at) END
                       FROM market_clock WHERE id = 1), now()) $$
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

# Partitions of a table over a range of days, a month or a week each; read directly they would leak, so each is
# protected too. Their names carry the day they begin on.
PARTITIONS = """
CREATE FUNCTION make_partitions(parent text, step text, first_day date, last_day date) RETURNS int LANGUAGE plpgsql
AS $$
DECLARE
    first date := date_trunc(step, first_day)::date;
    next date;
    partition text;
    made int := 0;
    bounds text := (SELECT CASE WHEN atttypid = 'date'::regtype THEN '' ELSE ' 00:00:00+00' END
                    FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
                    WHERE partrelid = parent::regclass);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    WHILE first <= last_day LOOP
        next := (first + ('1 ' || step)::interval)::date;
        partition := parent || '_p' || to_char(first, 'YYYYMMDD');
        IF to_regclass(partition) IS NULL THEN
            -- Made apart and then attached: that waits for nobody who reads or writes the table.
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition, parent);
            PERFORM protect_rows(partition::regclass, 'user_id');
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                parent, partition, first || bounds, next || bounds);
            made := made + 1;
        END IF;
        first := next;
    END LOOP;
    RETURN made;
END $$
"""

# Drops the partitions of a table that end on or before a day.
DROP_PARTITIONS = """
CREATE FUNCTION drop_partitions(parent text, step text, before_day date) RETURNS int LANGUAGE plpgsql
AS $$
DECLARE
    partition text;
    dropped int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_partitions'));
    FOR partition IN
        -- Materialized: the planner may else read the day in the name of every table there is.
        WITH children AS MATERIALIZED (
            SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = parent::regclass)
        SELECT relname FROM children
        WHERE (to_date(right(relname, 8), 'YYYYMMDD') + ('1 ' || step)::interval)::date <= before_day
        ORDER BY relname
    LOOP
        EXECUTE format('DROP TABLE %I', partition);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$
"""

FUNCTIONS = (
    "drop_partitions(text, text, date)",
    "make_partitions(text, text, date, date)",
    "protect_rows(regclass, text)",
    "market_now()",
)
