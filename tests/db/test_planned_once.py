"""The ledger and the schedulers plan a statement once, whatever it is asked for, be it while a table is still empty."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from config.servers import ServerUrls
from db.engine import make_engine
from db.partitions import PartitionRepository
from db.transaction import Database
from tests.db.filled import fill
from tests.db.plan_cases import OF_THE_SYSTEM
from tests.db.test_plans import (
    INTENDED,
    indexes_of,
    large_relations,
    nodes,
    parsed,
    partial_indexes,
    statements_of,
    whole_reads,
)

ROOT = Path(__file__).parents[2]
_PARAMETER = re.compile(r"\$(\d+)")
_REPOSITORY = re.compile(r"\b(\w+Repository)\(")
_SETS = "SELECT set_config("
# Who runs the same statements for days; steps and commands have theirs planned for what they ask.
PROCESSES = [*(ROOT / "scheduler").glob("*.py"), ROOT / "worker" / "ledger.py", ROOT / "worker" / "settling.py"]


class Full(NamedTuple):
    """A database that is full. made: by the name of a call the statements it makes there, with their parameters."""

    urls: ServerUrls
    large: set[str]
    partial: set[str]
    made: dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def full(urls: ServerUrls) -> Full:
    return asyncio.run(_full(urls))


async def _full(urls: ServerUrls) -> Full:
    asked = {name for path in PROCESSES for name in _REPOSITORY.findall(path.read_text())}
    filled, made = await fill(urls), {}
    async with _entered(filled) as session:
        large, partial = await large_relations(session), await partial_indexes(session)
    for name, call in OF_THE_SYSTEM.items():
        if name.partition(".")[0] in asked:
            async with _entered(filled) as session:
                made[name] = await statements_of(session, call)
    return Full(filled, large, partial, made)


@asynccontextmanager
async def _entered(urls: ServerUrls) -> AsyncIterator[AsyncSession]:
    """Yield a session of somebody whose statements are planned once; nothing of it is kept."""
    database = Database(make_engine(urls.sqlalchemy, pool_size=1), planned_once=True)
    try:
        async with database.transaction(None) as session:
            yield session
            await session.rollback()
    finally:
        await database.close()


async def _plans(session: AsyncSession, statements: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the one plan of each statement, under the settings that stand among them."""
    connection, plans = await session.connection(), []
    for statement, parameters in statements.items():
        if statement.startswith(_SETS):
            await connection.exec_driver_sql(statement, parameters)
            continue
        count = max(map(int, _PARAMETER.findall(statement)), default=0)
        nothing = f"({', '.join(['NULL'] * count)})" if count else ""
        await connection.exec_driver_sql(f"PREPARE asked AS {statement}")
        explained = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) EXECUTE asked{nothing}")
        plans.append((statement, parsed(explained.scalar_one())))
        await connection.exec_driver_sql("DEALLOCATE asked")
    return plans


@pytest.mark.parametrize("while_empty", [False, True], ids=["full", "empty"])
async def test_the_one_plan_of_each_statement_reads_large_tables_by_the_index_that_is_meant(
    full: Full, database: Database, urls: ServerUrls, *, while_empty: bool
) -> None:
    """Planned on a full database, and on one where its tables have no row yet."""
    whole: list[str] = []
    used: dict[str, set[str]] = {}
    for name, statements in full.made.items():
        async with _entered(urls if while_empty else full.urls) as session:
            if while_empty:
                await PartitionRepository(session).make(date(2023, 12, 1), date(2024, 3, 31))
            names, plans = await indexes_of(session), await _plans(session, statements)
        whole += [f"{name}: {read}" for read in whole_reads(plans, full.large, full.partial)]
        met = {node.get("Index Name") for _, plan in plans for node in nodes(plan)}
        used[name] = {names[index] for index in met if index in names}
    assert not whole, "\n".join(whole)
    assert {name: {_of_a_kind(one) for one in used[name]} for name in INTENDED} == {
        name: {_of_a_kind(one) for one in meant} for name, meant in INTENDED.items()
    }


def _of_a_kind(index: str) -> str:
    """Return one name for both indexes that find what a user, or nobody, has of a task."""
    return index.replace("uq_service_task_execution_identity", "ix_service_task_execution_user_id")


async def test_a_statement_that_is_planned_once_is_not_planned_for_what_it_is_asked_for(urls: ServerUrls) -> None:
    counted = (
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT CAST%often asked%'"
    )
    async with _entered(urls) as session:
        for number in range(3):
            await session.execute(text("SELECT CAST(:number AS int) /* often asked */"), {"number": number})
        plans = (await session.execute(text(counted))).one()
    assert (plans.generic_plans, plans.custom_plans) == (3, 0)
