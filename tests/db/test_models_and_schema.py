"""The models alone would make the migrated schema: checks and partial indexes too, which Alembic does not compare."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from config.servers import ServerUrls
from db.tables import metadata
from db.transaction import Database
from tests.db.written_schema import schema_facts

OTHER = "muhurat_models"
# What the models do not hold: policies and functions are the migrations' own.
_MIGRATED_ONLY = {"policy", "function"}


@pytest.fixture
async def unmigrated(urls: ServerUrls) -> AsyncIterator[AsyncEngine]:
    """An empty database beside the one of the other tests, and its engine."""
    first = create_async_engine(urls.sqlalchemy, isolation_level="AUTOCOMMIT")
    async with first.connect() as connection:
        await connection.execute(text(f"DROP DATABASE IF EXISTS {OTHER}"))
        await connection.execute(text(f"CREATE DATABASE {OTHER}"))
    engine = create_async_engine(urls.sqlalchemy.replace("/muhurat?", f"/{OTHER}?"))
    yield engine
    await engine.dispose()
    async with first.connect() as connection:
        await connection.execute(text(f"DROP DATABASE {OTHER}"))
    await first.dispose()


async def test_the_models_make_the_schema_that_the_migrations_make(database: Database, unmigrated: AsyncEngine) -> None:
    async with unmigrated.begin() as connection:
        await connection.run_sync(metadata.create_all)
        modelled = {_comparable(line) for line in await schema_facts(connection)}
    async with database.engine.connect() as connection:
        found = await schema_facts(connection)
    migrated = {_comparable(line) for line in found if _kind(line) not in _MIGRATED_ONLY}
    differences = [f"- {line}" for line in migrated - modelled] + [f"+ {line}" for line in modelled - migrated]
    assert not differences, "\n".join(["- only in the migrations, + only in the models", *sorted(differences)])


def _kind(line: str) -> str:
    return line.partition(": ")[2].partition(" ")[0]


def _comparable(line: str) -> str:
    return line.removesuffix(", row security forced")
