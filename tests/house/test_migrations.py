"""The schema and the models are the same thing, forwards and backwards."""

import asyncio

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from config.servers import ServerUrls
from db.engine import make_engine
from migrations.run import DEPLOY_LOCK, configuration, head, migrate
from ops.local import Servers
from tests.waiting import until

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


async def test_an_old_record_moves_to_its_own_column_and_back(servers: Servers) -> None:
    engine = make_engine(await _other(servers), pool_size=1)
    await migrate(engine, "20261130_tags")
    async with engine.begin() as connection:
        for statement in _AN_IMPORTED_ORDER:
            await connection.execute(text(statement))
    both = "SELECT metadata, old_record FROM orders ORDER BY id"
    await migrate(engine)
    assert await _seen(engine, both) == [({"rsi": 24.8}, {"qty": 100, "note": "ok"}), ({"rsi": 30}, None)]
    await migrate(engine, "-1")
    kept = {"rsi": 24.8, "legacy": {"qty": 100, "note": "ok"}}
    assert await _seen(engine, "SELECT metadata FROM orders ORDER BY id") == [(kept,), ({"rsi": 30},)]
    await engine.dispose()


_ALL = "SELECT set_config('muhurat.scope', 'system', true)"
_AN_IMPORTED_ORDER = (
    _ALL,
    "INSERT INTO users (email) VALUES ('asha@example.in')",
    "INSERT INTO broker_accounts (user_id, code, name, mode, venue) SELECT id, 'c', 'paper', 'paper', 'paper' FROM users",
    """INSERT INTO orders (user_id, account_id, symbol, side, order_type, variety, quantity, status, intent_key, strategy,
            leg, rank, reference_price, as_of, session_day, config_version, metadata)
       SELECT user_id, id, 'S', 'buy', 'market', 'amo', 100, 'filled', key, 'dip', 'entry', 0, 10, now(), '2024-01-09', 0,
              CAST(facts AS jsonb)
       FROM broker_accounts, (VALUES ('k1', '{"rsi": 24.8, "legacy": {"qty": 100, "note": "ok"}}'), ('k2', '{"rsi": 30}'))
            AS made(key, facts)""",
)


async def _seen(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.begin() as connection:
        await connection.execute(text(_ALL))
        return [tuple(row) for row in await connection.execute(text(query))]


async def test_two_deploys_at_once_migrate_once(servers: Servers) -> None:
    url = await _other(servers)
    engines = [make_engine(url, pool_size=1) for _ in range(2)]
    await asyncio.gather(*(migrate(engine) for engine in engines))
    for engine in engines:
        await engine.dispose()


async def test_a_deploy_waits_while_another_one_migrates(servers: Servers) -> None:
    engine = make_engine(await _other(servers), pool_size=2)
    async with engine.connect() as first:
        await first.execute(text("SELECT pg_advisory_lock(:key)"), {"key": DEPLOY_LOCK})
        second = asyncio.create_task(migrate(engine))
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        await until(lambda: _is_one(first, waiting))
        assert not second.done()
        await first.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": DEPLOY_LOCK})
        await second
    await engine.dispose()


async def test_a_migration_gives_up_soon_when_a_table_is_in_use(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(await _other(servers), pool_size=2)
    await migrate(engine)
    monkeypatch.setattr("migrations.run.LOCK_TIMEOUT", "50ms")
    async with engine.connect() as reader:
        await reader.execute(text("LOCK TABLE orders IN ACCESS SHARE MODE"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            await migrate(engine, "base")
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == head()
    await engine.dispose()


async def test_a_migration_ends_at_its_time_limit(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = make_engine(await _other(servers), pool_size=1)
    monkeypatch.setattr("migrations.run.STATEMENT_TIMEOUT", "1ms")
    try:
        # A limit that is reached as a statement ends stops the next one, and Postgres calls that a request.
        with pytest.raises(DBAPIError, match=r"canceling statement due to (statement timeout|user request)"):
            await migrate(engine)
    finally:
        await engine.dispose()


def test_there_is_one_head() -> None:
    assert ScriptDirectory.from_config(configuration()).get_heads() == [head()]


async def _is_one(connection: AsyncConnection, query: TextClause) -> bool:
    return bool(await connection.scalar(query) == 1)


def _check(connection: Connection) -> None:
    command.check(configuration(connection))
