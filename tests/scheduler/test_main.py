"""The scheduler's door: it looks after services on any day, and one that is new goes on where the ones before it ended."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from config.settings import read_settings
from db.clock import ClockRepository
from db.transaction import Database
from scheduler import main as door
from scheduler.main import Scheduler
from scheduler.wakeups import Wakeups
from tests.people import MORNING, person, scalar
from tests.waiting import until
from worker.bells.ringing import Bells

SUNDAY = datetime(2024, 1, 7, 5, tzinfo=UTC)  # 10:30 IST
SYNC_AT = datetime(2024, 1, 2, 3, 5, tzinfo=UTC)  # 08:35 IST
START_SECONDS, STOP_SECONDS = 20.0, 10.0

FRESH = "SELECT bool_and(last_heartbeat > now() - interval '5 s') FROM service_status"
PLANNED = "SELECT bool_and(next_due_at IS NOT NULL) FROM schedules WHERE enabled"
SYNCS = "SELECT count(*) FROM service_task_execution WHERE task_name = 'order_sync' AND scheduled_for = :at"
TURNING = "SELECT count(*) FROM scheduler_processes WHERE stopped_at IS NULL"


async def clock_at(database: Database, at: datetime) -> None:
    """Let market time stand at a moment as on a live day: nobody moves it when all is done."""
    async with database.transaction(None) as session:
        await ClockRepository(session).rehearse(at, at, 1.0)


@asynccontextmanager
async def turning(database: Database, urls: ServerUrls, bells: Bells) -> AsyncIterator[Scheduler]:
    """Let a scheduler turn in this process."""
    wakeups = Wakeups(urls.database)
    scheduler = Scheduler(database, bells, wakeups, read_settings())
    running = asyncio.create_task(scheduler.run())
    try:
        yield scheduler
    finally:
        scheduler.stop()
        await running
        await wakeups.close()


@asynccontextmanager
async def deployed(urls: ServerUrls) -> AsyncIterator[None]:
    """Run the scheduler's door, told to end as a platform does it before the next deploy."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT")}
    process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [sys.executable, "-m", "scheduler.main"],
        env=kept | {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis, "MUHURAT_SCHEDULER_POLL_SECONDS": "0.1"},
    )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, STOP_SECONDS) == 0
    finally:
        process.kill()
        process.wait()


async def test_services_are_looked_after_again_and_again_on_a_day_without_a_session(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", urls.database)
    monkeypatch.setenv("REDIS_URL", urls.redis)
    monkeypatch.setattr(door, "SERVICE_BEAT_SECONDS", 0.0)
    await person(database)
    await clock_at(database, SUNDAY)
    assert await scalar(database, FRESH) is False
    async with turning(database, urls, bells):
        for _ in range(2):
            await until(lambda: scalar(database, FRESH), START_SECONDS)
            async with database.transaction(None) as session:
                await session.execute(text("UPDATE service_status SET last_heartbeat = now() - interval '1 hour'"))
        await until(lambda: scalar(database, FRESH), START_SECONDS)
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 0


async def test_a_service_that_runs_fires_its_next_slot_after_every_scheduler_was_replaced(
    database: Database, urls: ServerUrls
) -> None:
    await person(database)
    await clock_at(database, MORNING)
    async with deployed(urls):
        await until(lambda: scalar(database, PLANNED), START_SECONDS)
    assert await scalar(database, TURNING) == 0
    assert await scalar(database, "SELECT service_running FROM service_status") is True
    await clock_at(database, SYNC_AT + timedelta(seconds=1))
    assert await scalar(database, SYNCS, at=SYNC_AT) == 0
    async with deployed(urls):
        await until(lambda: scalar(database, SYNCS, at=SYNC_AT), START_SECONDS)
    assert await scalar(database, SYNCS, at=SYNC_AT) == 1
