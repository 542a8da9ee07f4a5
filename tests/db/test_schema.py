"""The migrated database is what was written down: every table, column, constraint, index, policy and function."""

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


def test_every_table_of_the_models_is_written_down() -> None:
    written = {line.partition(":")[0] for line in written_facts()}
    assert written == {*metadata.tables, "(database)"}
