"""Row-level security that asks who looks once a statement, where `row_security` asked for each row."""

_BY_ROW = """
            current_setting('muhurat.scope', true) = 'system'
            OR %I = nullif(current_setting('muhurat.user_id', true), '')::bigint"""
# A subquery that names no column of the row is run once; a fan-out of a million asked some five million times.
_ONCE = """
            (SELECT current_setting('muhurat.scope', true)) = 'system'
            OR %I = (SELECT nullif(current_setting('muhurat.user_id', true), '')::bigint)"""

_PROTECT = """
CREATE OR REPLACE FUNCTION protect_rows(relation regclass, owner_column text) RETURNS void LANGUAGE plpgsql
AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', relation);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', relation);
    EXECUTE format($policy$CREATE POLICY tenant ON %s USING ({})$policy$, relation, owner_column);
END $$
"""
# Tables and partitions that are there: a policy names the owner's column, whichever form it has.
_ALTER = """
DO $$
DECLARE one record;
BEGIN
    FOR one IN SELECT format('%I.%I', schemaname, tablename) AS relation, substring(qual FROM 'OR [(](\\w+) =') AS owner
               FROM pg_policies WHERE policyname = 'tenant' AND schemaname = current_schema()
    LOOP
        EXECUTE format($policy$ALTER POLICY tenant ON %s USING ({})$policy$, one.relation, one.owner);
    END LOOP;
END $$
"""

ASK_ONCE = tuple(statement.replace("{}", _ONCE) for statement in (_PROTECT, _ALTER))
ASK_BY_ROW = tuple(statement.replace("{}", _BY_ROW) for statement in (_PROTECT, _ALTER))
