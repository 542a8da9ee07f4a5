"""A crowd of subscribers of two morning slots, and real schedulers as processes to fire them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import SETTLED_CHANNEL
from db.clock import ClockRepository
from db.transaction import Database
from ops.doors import Door
from ops.replay.drive import Watched, doors_running
from tests.people import person, scalar
from tests.waiting import until

SUBSCRIBERS = 20_000
# Of Tuesday 2024-01-02: 08:30 IST, and the slots of 08:35 and 09:15 with their schedules.
EARLY = datetime(2024, 1, 2, 3, tzinfo=UTC)
SLOTS = (datetime(2024, 1, 2, 3, 5, tzinfo=UTC), datetime(2024, 1, 2, 3, 45, tzinfo=UTC))
_NAMES = ("order_sync before open", "order_sync at open")
# A claim of a dead scheduler runs out after ten seconds, and what it had not rung is rung again by a sweep.
START_SECONDS, FIRED_SECONDS = 30.0, 60.0

_CROWD = (
    f"INSERT INTO users (email) SELECT 'more' || g || '@example.in' FROM generate_series(2, {SUBSCRIBERS}) g",
    "INSERT INTO service_status (user_id, service_running) SELECT id, true FROM users WHERE id > :first",
    """INSERT INTO user_trading_config (user_id, parameter_hash)
       SELECT u.id, c.parameter_hash FROM users u, user_trading_config c WHERE u.id > :first AND c.user_id = :first""",
    """INSERT INTO broker_accounts (user_id, code, name, mode, venue)
       SELECT id, email || '/paper', 'paper', 'paper', 'paper' FROM users WHERE id > :first""",
    """INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id)
       SELECT d.id, a.user_id, a.id FROM schedules d, broker_accounts a
       WHERE d.name = ANY(:names) AND a.user_id > :first ORDER BY d.id, a.id""",
)
_PLANNED = "SELECT bool_and(next_due_at IS NOT NULL) FROM schedules WHERE enabled"
_SCHEDULERS = "SELECT count(*) FROM scheduler_processes WHERE stopped_at IS NULL"
_FIRED = "SELECT firing_slot IS NULL AND next_due_at > :slot FROM schedules WHERE name = :name"
MADE = "SELECT count(*) FROM service_task_execution WHERE scheduled_for = :slot"


async def crowd(database: Database) -> None:
    """Sign one user up, lay many more like him, and stand at the early morning: nothing but the two slots comes."""
    first = await person(database)
    # Where one user was known to be the only one his connection checks each key by reading all of them, for good.
    await database.engine.dispose()
    async with database.transaction(None) as session:
        for statement in _CROWD:
            values = {"first": first.user_id, "names": list(_NAMES)}
            needed = {name: value for name, value in values.items() if f":{name}" in statement}
            await session.execute(text(statement), needed)
        await session.execute(text("UPDATE schedules SET enabled = name = ANY(:names)"), {"names": list(_NAMES)})
    async with database.engine.connect() as line:
        await line.execution_options(isolation_level="AUTOCOMMIT")
        # Pages of dead rows would be analysed as a table that stays empty, and the fan-out planned for one row.
        await line.execute(text("TRUNCATE service_task_execution, schedule_pieces"))
        await line.execute(text("ANALYZE"))
    await stand_at(database, EARLY)


async def stand_at(database: Database, moment: datetime) -> None:
    """Let market time stand at a moment as on a live day, and tell the schedulers."""
    async with database.transaction(None) as session:
        await ClockRepository(session).rehearse(moment, moment, 1.0)
        await session.execute(text(f"NOTIFY {SETTLED_CHANNEL}"))


@contextmanager
def schedulers(urls: ServerUrls, logs: Path, names: str) -> Iterator[Watched]:
    """Run real schedulers, one a letter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT")}
    environment = kept | {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis}
    doors = [Door(f"scheduler {name}", ["python", "-m", "scheduler.main"], environment) for name in names]
    with doors_running(doors, logs) as watched:
        yield watched


async def ready_to_fire(database: Database, count: int) -> None:
    """Return once so many schedulers turn, and every schedule is planned."""

    async def all_there() -> bool:
        return await scalar(database, _SCHEDULERS) == count and await scalar(database, _PLANNED) is True

    await until(all_there, START_SECONDS)


async def fired(database: Database, slot: datetime) -> None:
    """Return once a slot is fired to its end."""
    name = _NAMES[SLOTS.index(slot)]
    await until(lambda: scalar(database, _FIRED, slot=slot, name=name), FIRED_SECONDS)
