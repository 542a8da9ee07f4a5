"""Live days at another pace: the real scheduler and workers, a clock that does not wait for them, and a folder of prices."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from adapters.prices.simulated import SimulatedPrices
from config.servers import ServerUrls
from db.bars import BarRepository
from db.clock import ClockRepository
from db.engine import make_engine
from db.service_status import ServiceStatusRepository
from db.transaction import Database
from db.users import UserRepository
from ops.doors import Door, door_environment
from ops.local import running
from ops.replay.drive import QUEUES, Watched, doors_running
from ops.replay.plan import exchange_calendar
from ops.replay.users import replay_users
from ops.schema import make_ready
from tests.flow.replays import short_folder
from trading.bars import Bar
from trading.calendar import ist

HISTORY = timedelta(days=3 * 365)
ROWS = 5000
MOST_SECONDS = 90.0
_PAUSE_SECONDS = 0.05
_HEADER = "symbol,date,open,high,low,close,volume\n"
_PLANNED = "SELECT bool_and(next_due_at IS NOT NULL) AS planned FROM schedules WHERE enabled"
_CLOCK = "SELECT market_now() AT TIME ZONE 'Asia/Kolkata' AS now"
_OPEN = """
    SELECT task_name, subject, account_id, status, reason, as_of AT TIME ZONE 'Asia/Kolkata' AS slot, attempt, waiting_for
    FROM service_task_execution WHERE status <> 'success' ORDER BY id DESC LIMIT 12
"""


@dataclass(frozen=True, slots=True)
class LiveDays:
    """A platform on live days. folder: where the files of days arrive."""

    database: Database
    watched: Watched
    market: SimulatedPrices
    folder: Path

    async def ready(self) -> None:
        """Return once every schedule is planned.

        The first scheduler plans from market now on: what a clock has passed before it was there is never due.
        """

        async def planned() -> bool:
            return bool((await self.rows(_PLANNED))[0].planned)

        await self.until(planned, "every schedule is planned")

    async def run_until(self, day: date, clock: str, speed: float = 3600.0) -> None:
        """Let market time run to an exchange time and stand there. speed: market seconds in a second."""
        moment = ist(day, datetime.strptime(clock, "%H:%M").time())  # noqa: DTZ007 - a clock time has no zone
        async with self.database.transaction(None) as session:
            clock_rows = ClockRepository(session)
            await clock_rows.rehearse((await clock_rows.read()).now, moment, speed)

        async def there() -> bool:
            async with self.database.reading(None) as session:
                return (await ClockRepository(session).read()).now >= moment

        await self.until(there, f"{day} {clock}")

    async def until(self, condition: Callable[[], Awaitable[object]], what: str) -> None:
        """Return once a condition holds while the doors run. Raises AssertionError when it does not in time."""
        end = time.monotonic() + MOST_SECONDS
        while not await condition():
            self.watched.keep_running()
            if time.monotonic() > end:
                raise AssertionError(f"not within {MOST_SECONDS} s: {what}\n{await self._stand()}")
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _stand(self) -> str:
        """Return market now and the newest executions that are not a success, a line each."""
        rows = [*await self.rows(_CLOCK), *await self.rows(_OPEN)]
        return "\n".join(str(row._asdict()) for row in rows)

    async def all_are(self, task: str, day: date, *statuses: str) -> None:
        """Return once every execution of a task for a day's slots has one of the statuses, and there are some."""

        async def so() -> bool:
            found = await self.statuses(task, day)
            return bool(found) and set(found) <= set(statuses)

        await self.until(so, f"every {task} of {day} is {' or '.join(statuses)}")

    async def statuses(self, task: str, day: date) -> list[str]:
        """Return the statuses of a task's executions for a day's slots."""
        return [row.status for row in await self.executions(task, day)]

    async def executions(self, task: str, day: date) -> list[Any]:
        """Return a task's executions for a day's slots, oldest first."""
        return await self.rows(
            "SELECT * FROM service_task_execution WHERE task_name = :task "
            "AND (as_of AT TIME ZONE 'Asia/Kolkata')::date = :day ORDER BY scheduled_for, id",
            task=task, day=day,
        )  # fmt: skip

    async def rows(self, query: str, **values: object) -> list[Any]:
        """Return the rows of a query, seen as the system."""
        async with self.database.reading(None) as session:
            return list((await session.execute(text(query), values)).all())

    async def text_of(self, day: date) -> str:
        """Return the file of a day as it should be."""
        bars = (await self.market.bars(day, day)).bars
        return _HEADER + "".join(_line(bar) for bar in bars)

    async def arrive(self, day: date) -> None:
        """Let the file of a day arrive: written under another name, then renamed."""
        part = self.folder / f"{day}.part"
        part.write_text(await self.text_of(day))
        part.rename(self.folder / f"{day}.csv")


def _line(bar: Bar) -> str:
    return f"{bar.symbol},{bar.day},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}\n"


@asynccontextmanager
async def live_days(eve: date, first: date, last: date, users: int, symbols: int) -> AsyncIterator[LiveDays]:
    """Run the platform from the first day's morning on, with the history up to the eve. last: the last day played."""
    calendar = exchange_calendar()
    days = [session.day for session in calendar.sessions_between(calendar.first, calendar.last)]
    market = SimulatedPrices(7, days, symbols)
    with short_folder() as folder, running(folder / "s", durable=False) as servers:
        urls = ServerUrls(servers.database_url, servers.redis_url)
        database = Database(make_engine(urls.sqlalchemy, pool_size=2, application="a test"))
        prices = folder / "bars"
        prices.mkdir()
        prices.chmod(0o755)
        await make_ready(urls.sqlalchemy, eve, last + timedelta(days=7))
        history = (await market.bars(eve - HISTORY, eve)).bars
        await _load(database, history, eve)
        begins = ist(first, datetime.min.time().replace(hour=8, minute=30))
        await _sign_up(database, users, begins)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT_")}
        environment = door_environment(kept, servers, f"folder:{prices}") | {
            "MUHURAT_SCHEDULER_POLL_SECONDS": "0.05",
            "MUHURAT_SCHEDULER_SWEEP_SECONDS": "0.2",
        }
        doors = [
            Door("scheduler", ["python", "-m", "scheduler.main"], environment),
            Door("worker", ["python", "-m", "worker.main", "--queues", QUEUES, "--threads", "4"], environment),
        ]
        try:
            with doors_running(doors, folder / "logs") as watched:
                live = LiveDays(database, watched, market, prices)
                await live.arrive(eve)
                await live.ready()
                yield live
        finally:
            await database.close()


async def _load(database: Database, history: Sequence[Bar], last: date) -> None:
    async with database.transaction(None) as session:
        rows = BarRepository(session)
        for start in range(0, len(history), ROWS):
            await rows.store(history[start : start + ROWS])
        await rows.store_day(last, sum(bar.day == last for bar in history), 0, True, "a test")


async def _sign_up(database: Database, users: int, at: datetime) -> None:
    async with database.transaction(None) as session:
        for user in replay_users(users):
            made = await UserRepository(session).sign_up(user.email, user.name, user.config, at)
            await ServiceStatusRepository(session).start(made.user_id, "a test")
        # From the first moment on, so that no schedule is planned by the wall clock.
        await ClockRepository(session).rehearse(at, at + timedelta(seconds=1), 1.0)
