"""Days at the pace of the machine: the real scheduler in this process, a replay's clock, and somebody who does all work."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from config.settings import read_settings
from db.claims import SETTLED_CHANNEL, LedgerRepository, Settlement
from db.clock import ClockRepository
from db.executions import Bell
from db.sweeps import SweepRepository
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.main import Scheduler
from scheduler.wakeups import Wakeups
from tests.waiting import until
from worker.bells.ringing import Bells

WORKER, LEASE_SECONDS = "does everything", 3600.0
MOST_SECONDS = 60.0
_RUNG = (
    "SELECT task_name, queue, scheduled_for, id, generation FROM service_task_execution "
    "WHERE is_open AND rung_at IS NOT NULL AND status = 'queued' ORDER BY id LIMIT 1000"
)
_PAUSE_SECONDS = 0.005


@asynccontextmanager
async def scheduling(database: Database, urls: ServerUrls, bells: Bells) -> AsyncIterator[Scheduler]:
    """Let a scheduler turn in this process."""
    wakeups = Wakeups(urls.database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", urls.database)
        patch.setenv("REDIS_URL", urls.redis)
        scheduler = Scheduler(database, bells, wakeups, read_settings())
    running = asyncio.create_task(scheduler.run())
    try:
        yield scheduler
    finally:
        scheduler.stop()
        await running
        await wakeups.close()


@dataclass(frozen=True, slots=True)
class Days:
    """A market whose clock goes on as soon as all is done. What is rung is claimed and succeeds at once."""

    database: Database

    async def run_until(self, moment: datetime) -> None:
        """Let market time run to a moment, and all that was due before it be done."""
        async with self.database.transaction(None) as session:
            await session.execute(text("UPDATE market_clock SET ends_at = :at"), {"at": moment})
            await session.execute(text(f"NOTIFY {SETTLED_CHANNEL}"))

        async def there() -> bool:
            async with self.database.reading(None) as session:
                clock = await ClockRepository(session).read()
                return clock.now >= moment and not await SweepRepository(session).busy()

        await until(there, MOST_SECONDS)

    async def rows(self, query: str, **values: object) -> Sequence[Any]:
        """Return the rows of a query, seen as the system."""
        async with self.database.reading(None) as session:
            return (await session.execute(text(query), values)).all()


@asynccontextmanager
async def days_from(
    database: Database, urls: ServerUrls, bells: Bells, at: datetime, span: timedelta
) -> AsyncIterator[Days]:
    """Yield a market that stands at a moment. span: what of it has partitions."""
    from db.partitions import PartitionRepository

    async with database.transaction(None) as session:
        await PartitionRepository(session).make(at.date() - timedelta(days=1), (at + span).date())
        await WorkerRepository(session).register(WORKER, "here", 1, "all", LEASE_SECONDS)
        await ClockRepository(session).begin_replay(at, at)
    working = asyncio.create_task(_work(database))
    try:
        async with scheduling(database, urls, bells):
            yield Days(database)
    finally:
        working.cancel()
        await asyncio.wait([working])


async def _work(database: Database) -> None:
    while True:
        async with database.reading(None) as session:
            bells = [Bell(*row) for row in await session.execute(text(_RUNG))]
        if bells:
            await _do(database, bells)
        else:
            await asyncio.sleep(_PAUSE_SECONDS)


async def _do(database: Database, bells: Sequence[Bell]) -> None:
    async with database.transaction(None) as session:
        won, _ = await LedgerRepository(session).claim(bells, WORKER)
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        await ledger.settle([Settlement(one, "success", 0.001, '{"seen": 1}') for one in won], WORKER)
        await ledger.notify()
