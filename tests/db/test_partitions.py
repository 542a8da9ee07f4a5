"""Partitions are made ahead of the market's day, and of executions for the week behind it as well."""

from datetime import UTC, datetime

from sqlalchemy import text

from db.clock import ClockRepository
from db.partitions import PartitionRepository
from db.transaction import Database

MONDAY = datetime(2031, 3, 3, 4, tzinfo=UTC)
THERE = "SELECT array_agg(relname::text ORDER BY relname) FROM pg_class WHERE relispartition AND relkind = 'r' AND relname ~ 'p2031'"


async def test_what_was_missed_in_the_week_before_a_new_month_has_a_partition_to_be_recorded_in(
    database: Database,
) -> None:
    async with database.transaction(None) as session:
        await ClockRepository(session).begin_replay(MONDAY, MONDAY)
        await PartitionRepository(session).make_ahead(1, behind=7)
        made = (await session.execute(text(THERE))).scalar_one()
        await session.rollback()
    assert made == ["decisions_p20310301", "service_task_execution_p20310201", "service_task_execution_p20310301"]
