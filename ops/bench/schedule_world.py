"""Who the bench's schedules fire for and by which clock: people laid by the thousand, and a rehearsed market day.

Market time is a rehearsal's, so that a figure is the same on a holiday and after the calendar's end. It runs at the
machine's own pace but where lateness is measured, and never backwards.
"""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

import asyncpg
from sqlalchemy import text

from db.accounts import AccountRow
from db.calendar import CalendarRepository
from db.claims import SETTLED_CHANNEL
from db.clock import ClockRepository
from db.config_rows import UserTradingConfigRow
from db.partitions import PartitionRepository
from db.service_status import ServiceStatusRow
from ops.bench.queue_world import Told, World
from ops.bench.report import BenchError
from ops.local_postgres import ROLE
from trading.calendar import ist
from worker.bells.keys import messages_key, ready_key
from worker.messages import TASKS

TASK = "order_sync"
QUEUE = TASKS[TASK].queue
READY, MESSAGES = ready_key(QUEUE), messages_key(QUEUE)
# The schedule that is measured, and one of a single subscriber by which a scheduler is seen to be warm.
WIDE, WARM = "bench", "bench warm"

OPENS, CLOSES, NOON = time(9, 15), time(15, 30), time(12, 0)
# As many sessions before the calendar's end that everything due later lies in it.
_BEFORE_THE_END = 30
_DAY = timedelta(days=1)

_PORTION = 50_000
# Of so many new ones the server's statistics and its disk should know.
_TIDIED = 500
# Long enough that a scheduler knows of it before.
_AHEAD = timedelta(seconds=1.3)
# A look of the sweep at rows and at their messages takes less.
_LOOK_ENDS_SECONDS = 0.25

_USERS = (
    "INSERT INTO users (email, name) SELECT 'bench' || g || '@example.org', 'Bench' "
    "FROM generate_series(CAST(:first AS int), CAST(:last AS int)) g"
)
_LIKE_THE_FIRST = (
    "INSERT INTO {table} (user_id, {columns}) SELECT u.id, {values} FROM users u, {table} t "
    "WHERE t.user_id = (SELECT min(id) FROM users) AND u.id > :after"
)
# What is a user's own; the rest is as the first one's. A service is as fresh as in a system that runs.
_OWN = {"code": "'bench' || u.id", "last_heartbeat": "now()"}
_START = "UPDATE service_status SET service_running = true, last_heartbeat = now()"
_SUBSCRIBE = (
    "INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id) SELECT d.id, a.user_id, a.id "
    "FROM schedules d, broker_accounts a WHERE d.name = :name AND a.user_id > :after ORDER BY a.user_id LIMIT :count"
)
_SCHEDULE = f"INSERT INTO schedules (name, task_name, trigger, scope) VALUES (:name, '{TASK}', 'on request', 'account')"  # noqa: S608 - a constant of ours
_DUE = (
    "UPDATE schedules SET trigger = :trigger, next_due_at = :slot, firing_slot = NULL, cursor = 0, runs = 0 "
    "WHERE name = :name"
)
_MACHINE = (
    "SELECT extract(epoch FROM c.set_at + (CAST(:slot AS timestamptz) - c.at) / c.speed) AS due FROM market_clock c"
)
_FIRED = "SELECT firing_slot IS NULL AND next_due_at <> :slot AS fired FROM schedules WHERE name = :name"


class Subscribers:
    """The people of a world, from the one it came with to a million. users: how many there are."""

    def __init__(self, world: World, days: Sequence[date]) -> None:
        """days: two regular sessions of the calendar, the earlier one first."""
        self.world, self.users, self.days = world, 1, days

    async def grow(self, users: int, told: Told) -> None:
        """Lay users until there are so many, each with a service that runs, configuration, account and subscription."""
        before = self.users
        while self.users < users:
            told(f"Laying {users:,} subscribers: {self.users:,}")
            await self._lay(min(_PORTION, users - self.users))
        if users - before >= _TIDIED:
            await tidy(self.world)

    async def _lay(self, count: int) -> None:
        [found] = await self.world.rows("SELECT max(id) AS after FROM users")
        after = {"after": found.after}
        # A key that is looked up by a plan of when its table was small is looked up slowly.
        analyze = "ANALYZE {}" if count >= self.users else "SELECT 1"
        async with self.world.database.transaction(None) as session:
            await session.execute(text(_USERS), {"first": self.users + 1, "last": self.users + count})
            await session.execute(text(analyze.format("users")))
            for row in (ServiceStatusRow, UserTradingConfigRow, AccountRow):
                columns = [column.name for column in row.__table__.columns if column.name not in {"id", "user_id"}]
                values = ", ".join(_OWN.get(name, f"t.{name}") for name in columns)
                like = _LIKE_THE_FIRST.format(table=row.__tablename__, columns=", ".join(columns), values=values)
                await session.execute(text(like), after)
                await session.execute(text(analyze.format(row.__tablename__)))
            await session.execute(text(_SUBSCRIBE), {"name": WIDE, "count": count, **after})
        self.users += count

    async def set_clock(self, day: date, clock: time, speed: float = 1.0) -> None:
        """Let market time go on from there, at that pace, and tell the schedulers."""
        at = ist(day, clock)
        async with self.world.database.transaction(None) as session:
            await ClockRepository(session).rehearse(at, at + _DAY, speed)
        await self.notify()

    async def make_due(self, name: str, ahead: timedelta = _AHEAD) -> tuple[datetime, float]:
        """Let a schedule be due so long ahead, or up to a second earlier.

        Returns its slot, and when that is by this machine's clock, in seconds.
        """
        [now] = await self.world.rows("SELECT market_now() AS at")
        slot = (now.at + ahead).replace(microsecond=0)
        await self.world.rows(_DUE, name=name, slot=slot, trigger=once(slot))
        await self.notify()
        [machine] = await self.world.rows(_MACHINE, slot=slot)
        return slot, float(machine.due)

    async def is_fired(self, name: str, slot: datetime) -> bool:
        """Tell whether a schedule is over with a slot."""
        [row] = await self.world.rows(_FIRED, name=name, slot=slot)
        return bool(row.fired)

    async def notify(self) -> None:
        """Wake the schedulers, as whoever changes something does."""
        await self.world.rows(f"SELECT pg_notify('{SETTLED_CHANNEL}', '')")

    async def clear(self) -> None:
        """Remove every execution and its message, schedulers running or not."""
        await self.world.rows("TRUNCATE service_task_execution")
        # A look that saw the rows still finds their messages, and rings none of them again.
        await asyncio.sleep(_LOOK_ENDS_SECONDS)
        await self.world.redis.unlink(READY, MESSAGES)


async def subscribed(world: World) -> Subscribers:
    """Prepare a world for its schedules: those it came with are switched off, and its one user's service runs."""
    async with world.database.reading(None) as session:
        calendar = await CalendarRepository(session).load()
    sessions = calendar.sessions_between(calendar.first, calendar.last)[: -_BEFORE_THE_END or None]
    regular = [one.day for one in sessions if (one.opens, one.closes) == (ist(one.day, OPENS), ist(one.day, CLOSES))]
    if len(regular) < 2:
        raise BenchError(f"the calendar has no two sessions from {OPENS:%H:%M} to {CLOSES:%H:%M}")
    people = Subscribers(world, regular[-2:])
    async with world.database.transaction(None) as session:
        await PartitionRepository(session).make(regular[-2], regular[-1] + _DAY)
        await session.execute(text("UPDATE schedules SET enabled = false"))
        await session.execute(text(_START))
        for name in (WIDE, WARM):
            await session.execute(text(_SCHEDULE), {"name": name})
            await session.execute(text(_SUBSCRIBE), {"name": name, "after": 0, "count": 1})
    await people.set_clock(people.days[0], NOON)
    return people


async def tidy(world: World) -> None:
    """Leave nothing to do of what was just laid: fresh statistics, and every page on the disk."""
    url = world.servers.database_url
    for address, command in ((url, "VACUUM (ANALYZE)"), (url.replace(f"://{ROLE}@", "://postgres@", 1), "CHECKPOINT")):
        connection = await asyncpg.connect(address, command_timeout=None)
        try:
            await connection.execute(command)
        finally:
            await connection.close()


def once(slot: datetime) -> str:
    """Return the trigger of a moment that comes once. slot: aware, of whole seconds."""
    return f"once {slot.isoformat()}"
