"""The migrated database is what was written down: every table, column, constraint, index, policy and function."""

from sqlalchemy import text

from db.tables import metadata
from db.transaction import Database
from tests.db.written_schema import schema_facts, written_facts

_CURE = "change the migration, or read the difference and run: python -m tests.db.written_schema"


async def test_the_migrated_database_is_the_written_schema(database: Database) -> None:
    async with database.engine.connect() as connection:
        found = await schema_facts(connection)
    written = written_facts()
    missing = [f"- {line}" for line in written if line not in set(found)]
    unwritten = [f"+ {line}" for line in found if line not in set(written)]
    assert not missing + unwritten, "\n".join([_CURE, *missing, *unwritten])


# What they refer to is never deleted; `users` and what is shared by all among it.
_KEPT = {"users", "broker_accounts", "schedules", "parameter_sets", "artifacts"}
_UNINDEXED = text(
    """
    SELECT c.conname, c.confrelid::regclass::text AS parent FROM pg_constraint c
    WHERE c.contype = 'f' AND c.conparentid = 0 AND NOT EXISTS (
        SELECT FROM pg_index i WHERE i.indrelid = c.conrelid
          AND (CAST(i.indkey AS int2[]))[0:cardinality(c.conkey) - 1] @> c.conkey
          AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) LIKE '(% IS NOT NULL)'))
    """
)


async def test_what_refers_to_rows_that_are_deleted_is_found_by_an_index(database: Database) -> None:
    async with database.engine.connect() as connection:
        unindexed = (await connection.execute(_UNINDEXED)).all()
    # Postgres looks for each deleted row in every table that refers to its own: without an index, through all of it.
    assert [key for key, parent in unindexed if parent not in _KEPT] == []
    assert unindexed, "a key to a kept table has none, so that it is seen that this would tell of others"


def test_every_table_of_the_models_is_written_down() -> None:
    written = {line.partition(":")[0] for line in written_facts()}
    assert written == {*metadata.tables, "(database)"}
