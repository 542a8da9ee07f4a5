"""Workers and schedulers plan a statement once, whatever it is asked for: each is explained without its parameters."""

import asyncio
import re
from collections.abc import Mapping

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from tests.db.filled import fill
from tests.db.plan_cases import OF_A_USER, OF_THE_SYSTEM, USER, Call
from tests.db.test_plans import large_relations, parsed, partial_indexes, plans_of, whole_reads

_PARAMETER = re.compile(r"\$(\d+)")
# What people ask for by a command, in a process of its own, with filters that may be left out.
OF_PEOPLE = ("ErrorLogRepository", "LookupRepository", "ServiceLookRepository")


@pytest.fixture(scope="module")
def full(urls: ServerUrls) -> ServerUrls:
    return asyncio.run(fill(urls))


async def planned_once(session: AsyncSession, call: Call) -> list[str]:
    """Run a call. Returns what the one plan of each of its statements reads from end to end of a large table."""
    large, partial = await large_relations(session), await partial_indexes(session)
    connection, plans = await session.connection(), []
    for statement, _ in await plans_of(session, call):
        count = max(map(int, _PARAMETER.findall(statement)), default=0)
        nothing = f"({', '.join(['NULL'] * count)})" if count else ""
        await connection.exec_driver_sql(f"PREPARE asked AS {statement}")
        explained = await connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) EXECUTE asked{nothing}")
        plans.append((statement, parsed(explained.scalar_one())))
        await connection.exec_driver_sql("DEALLOCATE asked")
    return whole_reads(plans, large, partial)


@pytest.mark.parametrize(("calls", "user_id"), [(OF_A_USER, USER), (OF_THE_SYSTEM, None)], ids=["user", "system"])
async def test_one_plan_of_each_statement_of_the_processes_reads_large_tables_by_index(
    full: ServerUrls, calls: Mapping[str, Call], user_id: int | None
) -> None:
    database = Database(make_engine(full.sqlalchemy, pool_size=1), planned_once=True)
    found = {}
    for name, call in calls.items():
        if name.startswith(OF_PEOPLE):
            continue
        async with database.transaction(user_id) as session:
            found[name] = await planned_once(session, call)
            await session.rollback()
    await database.close()
    whole = [f"{name}: {read}" for name, reads in found.items() for read in reads]
    assert not whole, "\n".join(whole)


async def test_a_statement_that_is_planned_once_is_not_planned_for_what_it_is_asked_for(urls: ServerUrls) -> None:
    database = Database(make_engine(urls.sqlalchemy, pool_size=1), planned_once=True)
    once = text(
        "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT CAST%often asked%'"
    )
    async with database.reading(None) as session:
        for number in range(3):
            await session.execute(text("SELECT CAST(:number AS int) /* often asked */"), {"number": number})
        plans = (await session.execute(once)).one()
    await database.close()
    assert (plans.generic_plans, plans.custom_plans) == (3, 0)
