"""A transaction is a user's or the system's; and whoever writes knows every table."""

import asyncio
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from config.servers import ServerUrls
from db.engine import make_engine
from db.error_logs import ErrorLogRow
from db.errors import AWAY
from db.transaction import Database, NotEnteredError
from tests.people import person, scalar
from tests.worker.relay import relayed

ROOT = Path(__file__).parents[2]

_WRITER = """
import asyncio, sys
from db.engine import make_engine
from db.error_logs import ErrorLogRow
from db.transaction import Database

async def write():
    database = Database(make_engine(sys.argv[1]))
    assert "db.users" not in sys.modules
    async with database.transaction(None) as session:
        session.add(ErrorLogRow(user_id=int(sys.argv[2]), error_type="Oversold", error_message="sold too much"))
    await database.close()

asyncio.run(write())
"""


async def test_a_process_that_imports_one_table_can_write_rows_whose_foreign_keys_name_another(
    database: Database, urls: ServerUrls
) -> None:
    asha = await person(database)
    command = [sys.executable, "-c", _WRITER, urls.sqlalchemy, str(asha.user_id)]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert await scalar(database, "SELECT error_type FROM error_logs") == "Oversold"


async def test_a_transaction_without_a_statement_leaves_nothing_for_who_has_its_connection_next(
    urls: ServerUrls, database: Database
) -> None:
    asha = await person(database)
    alone = Database(make_engine(urls.sqlalchemy, pool_size=1))
    async with alone.transaction(asha.user_id):
        pass
    async with alone.engine.connect() as connection:
        seen = await connection.scalar(text("SELECT current_setting('muhurat.user_id', true)"))
        assert not seen
        assert await connection.scalar(text("SELECT count(*) FROM broker_accounts")) == 0
    async with alone.transaction(asha.user_id) as session:
        assert (await session.execute(text("SELECT count(*) FROM broker_accounts"))).scalar_one() == 1
    await alone.close()


async def test_what_is_written_at_the_commit_alone_is_written_as_the_one_who_entered(database: Database) -> None:
    asha = await person(database)
    async with database.transaction(asha.user_id) as session:
        session.add(ErrorLogRow(user_id=asha.user_id, error_type="Oversold", error_message="sold too much"))
    bala = await person(database, "bala")
    with pytest.raises(DBAPIError, match="row-level security"):
        async with database.transaction(bala.user_id) as session:
            session.add(ErrorLogRow(user_id=asha.user_id, error_type="Oversold", error_message="sold too much"))
    assert await scalar(database, "SELECT count(*) FROM error_logs") == 1


async def test_who_only_reads_cannot_write(database: Database) -> None:
    with pytest.raises(DBAPIError, match="read-only transaction"):
        async with database.reading(None) as session:
            await session.execute(text("DELETE FROM error_logs"))
    async with database.transaction(None) as session:
        await session.execute(text("DELETE FROM error_logs"))


async def test_a_transaction_that_is_begun_and_cannot_be_entered_costs_its_connection_alone(
    urls: ServerUrls, database: Database
) -> None:
    asha = await person(database)
    alone = Database(make_engine(urls.sqlalchemy, pool_size=1))
    async with alone.engine.connect() as connection:
        pooled = await connection.get_raw_connection()
        pooled.driver_connection.entry = "SET LOCAL work_mem = 'much'"  # type: ignore[union-attr]
        with pytest.raises(DBAPIError, match="work_mem"):
            await connection.execute(text("SELECT 1"))
    async with alone.transaction(asha.user_id) as session:
        assert (await session.execute(text("SELECT count(*) FROM broker_accounts"))).scalar_one() == 1
    await alone.close()


async def test_a_database_that_is_asked_answers_or_the_error_is_raised_though_its_connection_was_good(
    urls: ServerUrls,
) -> None:
    with TemporaryDirectory(prefix="line-") as folder:
        async with relayed(urls, Path(folder)) as (relays, postgres, _):
            alone = Database(make_engine(relays.sqlalchemy, pool_size=1))
            await alone.ask()
            postgres.cut()
            with pytest.raises(AWAY):
                await alone.ask()
            postgres.mend()
            await alone.ask()
            await alone.close()


async def test_a_transaction_that_was_begun_by_other_words_sees_nothing_and_is_told(
    urls: ServerUrls, database: Database
) -> None:
    await person(database)
    alone = Database(make_engine(urls.sqlalchemy, pool_size=1))

    async def see() -> None:
        async with alone.transaction(None) as session:
            pooled = await (await session.connection()).get_raw_connection()
            driver: Any = pooled.driver_connection
            await driver.execute("START TRANSACTION")
            seen.append(await driver.fetchval("SELECT count(*) FROM broker_accounts"))

    seen: list[int] = []
    with pytest.raises(NotEnteredError, match="other words"):
        await see()
    assert seen == [0]
    await alone.close()
