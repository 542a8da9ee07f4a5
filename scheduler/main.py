"""The door of the scheduler: `python -m scheduler.main`. Any number may run; extra ones do no harm."""

import asyncio
import math
import os
import secrets
import signal
import socket
import sys
import time
from contextlib import closing

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from config.servers import SettingsError
from config.settings import Settings, read_settings
from db.calendar import CalendarRepository
from db.engine import DatabaseError, check_database, make_engine
from db.schedulers import SchedulerRepository
from db.service_status import ServiceStatusRepository
from db.sweeps import Outlook
from db.transaction import Database
from migrations.run import head
from scheduler.coverage import CoverageWatch
from scheduler.due import Due
from scheduler.mending import Mender
from scheduler.replay import Replay
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from scheduler.wakeups import Wakeups
from trading.errors import TradingError
from worker.bells.ringing import Bells, RedisUnreachable
from worker.ending import cancel
from worker.log_writer import open_logs
from worker.promoting import Promoter

BEAT_SECONDS = 5.0
# What settles within this time is looked at in one turn; while one wake-up after another is for nothing, it doubles.
# After a turn that took long Postgres has twice as long for others.
QUIET_SECONDS, LONGEST_QUIET_SECONDS = 0.025, 0.2
QUIET_TURNS = 2.0
# In a replay nothing happens but what a turn makes happen. While more is under way and nothing waits a look is for
# nothing: the end of the last is looked at at once, or so much later where two end together and each sees the other.
REPLAY_QUIET_SECONDS = 0.1
SERVICE_BEAT_SECONDS = 60.0
SERVICES_A_STATEMENT = 2000
# For two pieces of a wide fan-out at once, and the look at Redis beside them.
CONNECTIONS = 3

log = structlog.get_logger(__name__)


class Scheduler:
    """One scheduler process: fire, ring, heal, and in a replay move the clock; then sleep until there is more.

    Beside its turns it promotes retries on Redis's clock and mends what is wrong on Redis itself.
    """

    def __init__(self, database: Database, bells: Bells, wakeups: Wakeups, settings: Settings) -> None:
        self.database, self.wakeups, self.settings = database, wakeups, settings
        self.stopping = asyncio.Event()
        self.name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._beat_at: float | None = None
        self._services_beat_at: float | None = None
        self.ringer, share = Ringer(bells), settings.worker.share
        self.replay = Replay(database, self.ringer, share)
        lease, every = settings.worker.lease_seconds, settings.scheduler.sweep_seconds
        self.sweep = Sweep(database, self.ringer, lease, every, share)
        self.promoter = Promoter(bells, lambda count: self.sweep.healed.note("drained", count))
        self.mender = Mender(database, self.ringer, self.sweep.healed)
        self.coverage = CoverageWatch(database)
        self._is_replay, self._quiet = False, QUIET_SECONDS
        self._next_at: float | None = None

    async def run(self) -> None:
        """Turn until `stopping` is set. What Postgres refuses now is tried again at the next turn."""
        due = await self._open()
        await self.promoter.open()
        mending = asyncio.create_task(self.mender.run())
        try:
            while not self.stopping.is_set():
                await self._turn_and_rest(due)
        finally:
            await cancel([mending])
            await self.promoter.close()

    async def _turn_and_rest(self, due: Due) -> None:
        began = time.monotonic()
        try:
            if await self._turn(due):
                self._quiet = QUIET_SECONDS
                return
        except (SQLAlchemyError, RedisError, OSError, TradingError) as error:
            log.warning("turn_failed", error=str(error))
        took, poll = time.monotonic() - began, self.settings.scheduler.poll_seconds
        quiet = REPLAY_QUIET_SECONDS if self._is_replay else min(max(self._quiet, QUIET_TURNS * took), poll)
        # What is due next is begun at its moment; nothing that comes by itself is looked for more often than the sweep.
        sleep = min(poll, max(0.0, (self._next_at or math.inf) - time.monotonic()))
        is_woken = await self.wakeups.wait(sleep, min(quiet, sleep), or_over=self._is_replay)
        self._quiet = min(2 * self._quiet, LONGEST_QUIET_SECONDS) if is_woken else QUIET_SECONDS

    def stop(self) -> None:
        """End after the present turn."""
        self.stopping.set()
        self.wakeups.event.set()

    async def _open(self) -> Due:
        async with self.database.reading(None) as session:
            await CalendarRepository(session).stored()  # without one nothing can be planned: better said at once
        return Due(self.database, self.ringer, self.name, self.settings.worker.share)

    async def _beat(self) -> None:
        """Say every few seconds that this process turns."""
        now = time.monotonic()
        if self._beat_at is None or now - self._beat_at > BEAT_SECONDS:
            async with self.database.transaction(None) as session:
                await SchedulerRepository(session).beat(self.name, socket.gethostname(), os.getpid())
            self._beat_at = now

    async def _beat_services(self) -> None:
        """Say every minute, on days without a session too, that the services switched on are looked after."""
        now = time.monotonic()
        if self._services_beat_at is not None and now - self._services_beat_at < SERVICE_BEAT_SECONDS:
            return
        more = True
        while more:
            async with self.database.transaction(None) as session:
                more = await ServiceStatusRepository(session).beat(SERVICES_A_STATEMENT)
        self._services_beat_at = now

    async def say_stopped(self) -> None:
        """Say that this process ends by itself."""
        async with self.database.transaction(None) as session:
            await SchedulerRepository(session).stop(self.name)

    async def _look_around(self, outlook: Outlook, is_due: bool) -> None:
        """Do what a live day needs now and then; what is due comes first."""
        if not is_due:
            await self.sweep.heal(is_quiet=outlook.is_quiet)
        await self._beat_services()
        await self.coverage.look()

    async def _turn(self, due: Due) -> bool:
        """Do everything once. Returns whether anything was done."""
        await self._beat()
        if self._is_replay:
            await self.sweep.heal()  # first: what it makes is seen before the clock goes on
        outlook = await self.sweep.outlook()
        self._is_replay = outlook.replay
        self._next_at = None if outlook.next_seconds is None else time.monotonic() + outlook.next_seconds
        is_due = outlook.due or outlook.wide
        if not outlook.replay:
            await self._look_around(outlook, is_due)
        if outlook.unplanned:
            await due.plan_new(outlook.replay)
        fired = await due.fire(outlook.replay, is_wide=outlook.wide) if is_due else 0
        moved = await self.sweep.ring_due() if fired or outlook.unrung else 0
        moved += await self.sweep.ring_waiting() if fired or outlook.waiting else 0
        if is_due and not outlook.replay:
            await self.sweep.heal(is_firing=bool(fired))
        if fired or moved or not outlook.replay:
            return bool(fired or moved)
        return not outlook.busy and await self.replay.advance()


async def _schedule(settings: Settings) -> None:
    urls = settings.urls
    engine = make_engine(urls.sqlalchemy, pool_size=CONNECTIONS, application="scheduler")
    database, bells, wakeups = Database(engine, planned_once=True), Bells(urls.redis), Wakeups(urls.database)
    try:
        await check_database(engine, head())
        await bells.check()
        scheduler = Scheduler(database, bells, wakeups, settings)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, scheduler.stop)
        log.info("scheduler_ready", scheduler=scheduler.name)
        await scheduler.run()
        await scheduler.say_stopped()
        log.info("scheduler_stopped", scheduler=scheduler.name)
    finally:
        await wakeups.close()
        await bells.close()
        await database.close()


def main() -> int:
    """Schedule until TERM. Returns the exit code."""
    try:
        settings = read_settings()
        with closing(open_logs(settings, "scheduler")):
            asyncio.run(_schedule(settings))
    except (SettingsError, DatabaseError, RedisUnreachable, LookupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
