"""Where queues are measured: servers of their own, the migrated schema with users and a past, and who runs on it."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from redis.asyncio import Redis
from sqlalchemy import CursorResult, Row, text

from config.servers import ServerUrls
from db.config_rows import UserTradingConfigRow
from db.engine import make_engine
from db.service_status import ServiceStatusRow
from db.transaction import Database
from db.users import UserRepository
from ops.bench.queue_child import TASK
from ops.bench.report import BenchError
from ops.doors import Door, door_environment, stop_all
from ops.local import Servers
from ops.local_process import last_words
from ops.schema import make_ready
from trading.config import DEFAULTS

Told = Callable[[str], None]

PROCESSES, THREADS = 2, 8
# Months before this one that hold the old executions.
OLD_MONTHS = 4
BOOT_SECONDS, STUCK_SECONDS = 60.0, 300.0
LOOK_SECONDS = 0.01
_BOOT_LOOK_SECONDS = 0.1

_PRICES = "simulated:7:5"
# Everybody runs under the defaults, whatever this shell says.
_SETTINGS = ("MUHURAT_", "dramatiq_", "CELERY", "PROCRASTINATE_")

_USERS = (
    "INSERT INTO users (email, name) SELECT 'bench' || g || '@example.org', 'Bench' FROM generate_series(2, :users) g"
)
_LIKE_THE_FIRST = (
    "INSERT INTO {table} (user_id, {columns}) SELECT u.id, {values} FROM users u, {table} t "
    "WHERE t.user_id = (SELECT min(id) FROM users) AND u.id <> t.user_id"
)
_OLD = f"""
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, subject, queue, status, attempt, config_version, worker, useful_until,
         as_of, rung_at, executed_at, finished_at, duration_seconds, details)
    SELECT CAST(:slot AS timestamptz), '{TASK}', u.id, 'old', 'default', 'success', 1, 1, 'long gone',
           CAST(:slot AS timestamptz) + interval '1 hour', CAST(:slot AS timestamptz), CAST(:slot AS timestamptz),
           CAST(:slot AS timestamptz) + interval '1 second', CAST(:slot AS timestamptz) + interval '2 seconds', 0.01,
           '{{"sent": 1}}'
    FROM (SELECT id FROM users ORDER BY id LIMIT :count) u
"""  # noqa: S608 - a constant of ours


@dataclass(slots=True)
class World:
    """Servers that are ready. folder: for logs. environment: what every process here is told. doors: that run."""

    servers: Servers
    folder: Path
    environment: dict[str, str]
    database: Database
    redis: Redis
    users: int
    doors: list[Door] = field(default_factory=list)

    async def rows(self, query: str, **values: Any) -> Sequence[Row[Any]]:
        """Run a statement in a transaction of the system. Returns its rows."""
        async with self.database.transaction(None) as session:
            found: CursorResult[Any] = await session.execute(text(query), values)  # type: ignore[assignment]
            return found.all() if found.returns_rows else []

    @asynccontextmanager
    async def running(
        self, name: str, command: Sequence[str], settings: Mapping[str, str], told: tuple[bytes, int] | None = None
    ) -> AsyncIterator[Door]:
        """Run processes until the context ends. Raises BenchError when they end before.

        settings: added to their environment. told: what they say when they are up, and how often; None: not waited for.
        """
        door, log = Door(name, command, {**self.environment, **settings}), self._log(name)

        async def is_up() -> bool:
            return told is None or log.read_bytes().count(told[0]) >= told[1]

        try:
            with log.open("wb") as output:
                door.start(output)
            self.doors.append(door)
            await self.until(is_up, BOOT_SECONDS, f"{name} did not start; its log is {log}", _BOOT_LOOK_SECONDS)
            yield door
        finally:
            stop_all([door])
            self.doors = [one for one in self.doors if one is not door]

    async def until(
        self, happened: Callable[[], Awaitable[bool]], seconds: float, otherwise: str, pause: float = LOOK_SECONDS
    ) -> None:
        """Wait for a condition. Raises BenchError after so many seconds, or when a process ended that should run."""
        limit = time.monotonic() + seconds
        while not await happened():
            for door in self.doors:
                if (code := door.ended()) is not None:
                    log = self._log(door.name)
                    said = last_words(log.read_bytes())
                    raise BenchError(f"{door.name} ended with code {code}: {said} (all of it in {log})")
            if time.monotonic() > limit:
                raise BenchError(otherwise)
            await asyncio.sleep(pause)

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@asynccontextmanager
async def open_world(servers: Servers, folder: Path, users: int, old_rows: int, told: Told) -> AsyncIterator[World]:
    """Migrate the database, sign users up and give them a past."""
    urls = ServerUrls(servers.database_url, servers.redis_url)
    today = datetime.now(UTC).date()
    await make_ready(urls.sqlalchemy, today.replace(day=1) - timedelta(days=31 * OLD_MONTHS), today + timedelta(days=1))
    database = Database(make_engine(urls.sqlalchemy, pool_size=4, application="bench", command_seconds=None))
    redis = Redis.from_url(servers.redis_url)
    defaults = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    environment = door_environment(defaults, servers, _PRICES)
    try:
        await _sign_up(database, users)
        await _load(database, users, old_rows, told)
        await _vacuum(servers)
        yield World(servers, folder, environment, database, redis, users)
    finally:
        await redis.aclose()
        await database.close()


async def _sign_up(database: Database, users: int) -> None:
    """Sign one up as everybody is, and give the others the same rows, as far as a queue reads or writes them."""
    async with database.transaction(None) as session:
        await UserRepository(session).sign_up("bench1@example.org", "Bench", DEFAULTS, datetime.now(UTC))
        await session.execute(text(_USERS), {"users": users})
        for row in (ServiceStatusRow, UserTradingConfigRow):
            columns = [column.name for column in row.__table__.columns if column.name not in {"id", "user_id"}]
            values = ", ".join(f"t.{name}" for name in columns)
            like = _LIKE_THE_FIRST.format(table=row.__tablename__, columns=", ".join(columns), values=values)
            await session.execute(text(like))


async def _load(database: Database, users: int, rows: int, told: Told) -> None:
    """Load settled executions, a slot of all users in one statement, over the months before this one."""
    slots = -(-rows // users)
    end = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(days=30 * OLD_MONTHS) / (slots + 1)

    async def one(first: int) -> None:
        for number in range(first, slots, 2):
            told(f"Loading {rows:,} old executions: {number * users:,}")
            async with database.transaction(None) as session:
                count = min(users, rows - number * users)
                await session.execute(text(_OLD), {"slot": end - (number + 1) * step, "count": count})

    await asyncio.gather(one(0), one(1))


async def _vacuum(servers: Servers) -> None:
    connection = await asyncpg.connect(servers.database_url)
    try:
        await connection.execute("VACUUM (ANALYZE)")
    finally:
        await connection.close()
