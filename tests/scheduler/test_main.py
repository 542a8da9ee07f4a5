"""The scheduler's door: it looks after services on any day, and one that is new goes on where the ones before it ended."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from dramatiq import Message
from sqlalchemy import text

from config.servers import ServerUrls
from config.settings import WorkerSettings, read_settings
from db.claims import SETTLED_CHANNEL
from db.clock import ClockRepository
from db.transaction import Database
from scheduler import main as door
from scheduler.due import Due
from scheduler.main import QUIET_SECONDS, Scheduler
from scheduler.wakeups import Wakeups
from tests.people import MORNING, person, queued, scalar
from tests.scheduler.messages import ready, waiting
from tests.waiting import until
from worker.bells.keys import delayed_key, delayed_messages_key
from worker.bells.ringing import Bells

SUNDAY = datetime(2024, 1, 7, 5, tzinfo=UTC)  # 10:30 IST
SYNC_AT = datetime(2024, 1, 2, 3, 5, tzinfo=UTC)  # 08:35 IST
START_SECONDS, STOP_SECONDS = 20.0, 10.0
FLOOD_SECONDS, RETRY_SECONDS = 1.0, 5.0

FRESH = "SELECT bool_and(last_heartbeat > now() - interval '5 s') FROM service_status"
PLANNED = "SELECT bool_and(next_due_at IS NOT NULL) FROM schedules WHERE enabled"
SYNCS = "SELECT count(*) FROM service_task_execution WHERE task_name = 'order_sync' AND scheduled_for = :at"
TURNING = "SELECT count(*) FROM scheduler_processes WHERE stopped_at IS NULL"


async def clock_at(database: Database, at: datetime) -> None:
    """Let market time stand at a moment as on a live day: nobody moves it when all is done."""
    async with database.transaction(None) as session:
        await ClockRepository(session).rehearse(at, at, 1.0)


class Counting(Scheduler):
    """Counts its turns."""

    turns = 0

    async def _turn(self, due: Due) -> bool:
        self.turns += 1
        return await super()._turn(due)


@asynccontextmanager
async def turning(database: Database, urls: ServerUrls, bells: Bells) -> AsyncIterator[Counting]:
    """Let a scheduler turn in this process."""
    wakeups = Wakeups(urls.database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", urls.database)
        patch.setenv("REDIS_URL", urls.redis)
        scheduler = Counting(database, bells, wakeups, read_settings())
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
    monkeypatch.setattr(door, "SERVICE_BEAT_SECONDS", 0.0)
    await person(database)
    await clock_at(database, SUNDAY)
    assert not await scalar(database, FRESH)
    async with turning(database, urls, bells):
        for _ in range(2):
            await until(lambda: scalar(database, FRESH), START_SECONDS)
            async with database.transaction(None) as session:
                await session.execute(text("UPDATE service_status SET last_heartbeat = now() - interval '1 hour'"))
        await until(lambda: scalar(database, FRESH), START_SECONDS)
    assert await scalar(database, "SELECT count(*) FROM service_task_execution") == 0


async def test_a_retry_is_rung_at_its_time_by_a_scheduler_alone(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    bell = await queued(database, "prices", rung=False)
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "UPDATE service_task_execution SET status = 'retrying', next_attempt_at = now() + interval '1 second', "
                "useful_until = 'infinity'"
            )
        )
    await bells.wait([(bell, 1000)])
    began = time.monotonic()

    async def is_rung() -> bool:
        return bool(await ready(bells))

    async with turning(database, urls, bells):
        await until(is_rung, START_SECONDS)
    assert 0.9 < time.monotonic() - began < RETRY_SECONDS
    assert await waiting(bells) == {}


async def test_what_a_stock_client_delayed_waits_in_sight_and_is_told(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    message: Message[None] = Message(
        "default.DQ", "foreign", (), {}, {"redis_message_id": "r1", "eta": 4_000_000_000_000}
    )
    await bells.redis.hset(delayed_messages_key("default"), "r1", message.encode())
    await bells.redis.rpush(delayed_key("default"), "r1")

    async def is_told() -> bool:
        return await scalar(database, "SELECT count(*) FROM healings WHERE kind = 'drained'") == 1

    async with turning(database, urls, bells):
        await until(is_told, START_SECONDS)
    assert (await waiting(bells)).keys() == {"r1"}


async def test_a_flood_of_settles_is_answered_by_a_few_turns(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await clock_at(database, SUNDAY)
    async with turning(database, urls, bells) as scheduler:
        await until(lambda: scalar(database, PLANNED), START_SECONDS)
        before, began, settled = scheduler.turns, time.monotonic(), 0
        while (took := time.monotonic() - began) < FLOOD_SECONDS or scheduler.turns - before < 2:
            assert took < START_SECONDS, "nobody answers"
            async with database.transaction(None) as session:
                await session.execute(text(f"NOTIFY {SETTLED_CHANNEL}"))
            settled += 1
        turns = scheduler.turns - before
    assert turns <= took / QUIET_SECONDS + 2
    assert settled > turns


async def test_a_backlog_without_room_keeps_no_scheduler_busy(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await clock_at(database, SUNDAY)
    asha = await person(database)
    share = WorkerSettings().share
    for number in range(share + 5):
        await queued(database, "order_sync", asha, str(number), rung=number < share)
    async with turning(database, urls, bells) as scheduler:
        await until(lambda: scalar(database, PLANNED), START_SECONDS)
        before, began = scheduler.turns, time.monotonic()

        async def some_time_has_passed() -> bool:
            return time.monotonic() - began > FLOOD_SECONDS

        await until(some_time_has_passed, START_SECONDS)
        assert scheduler.turns - before <= 3
    behind = "SELECT count(*) FROM service_task_execution WHERE is_ringable"
    assert await scalar(database, behind) == 5


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
