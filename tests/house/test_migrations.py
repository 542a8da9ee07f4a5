"""The schema and the models are the same thing, forwards and backwards."""

import asyncio

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from config.servers import ServerUrls
from db.engine import make_engine
from migrations.run import configuration, head, migrate
from ops.local import Servers

OTHER = "muhurat_migrations"


async def _other(servers: Servers) -> str:
    """Make a second, empty database beside the one of the other tests and return its address."""
    urls = ServerUrls(servers.database_url, servers.redis_url)
    engine = make_engine(urls.sqlalchemy, pool_size=1)
    async with engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text(f"DROP DATABASE IF EXISTS {OTHER}"))
        await plain.execute(text(f"CREATE DATABASE {OTHER}"))
    await engine.dispose()
    return urls.sqlalchemy.replace("/muhurat?", f"/{OTHER}?")


async def test_up_down_up_ends_with_models_and_schema_alike(servers: Servers) -> None:
    engine = make_engine(await _other(servers), pool_size=1)
    await migrate(engine)
    await migrate(engine, "base")
    async with engine.connect() as connection:
        left = await connection.execute(
            text(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')"
            )
        )
        assert set(left.scalars()) <= {"alembic_version"}
    await migrate(engine)
    async with engine.begin() as connection:
        await connection.run_sync(_check)
    await engine.dispose()


async def test_two_deploys_at_once_migrate_once(servers: Servers) -> None:
    url = await _other(servers)
    engines = [make_engine(url, pool_size=1) for _ in range(2)]
    await asyncio.gather(*(migrate(engine) for engine in engines))
    for engine in engines:
        await engine.dispose()


def test_there_is_one_head() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [head()]


def _check(connection: Connection) -> None:
    command.check(configuration(connection))
