"""Replays of the real processes on servers of their own: disturbed while they run, looked into when they are over."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from ops.doors import Door, door_environment
from ops.local import running
from ops.replay.drive import Look, Watched, doors_running, drive, replay_doors
from ops.replay.plan import Plan, Request, make_plan
from ops.replay.prepare import prepare
from ops.replay.report import Report, report_of

# Short, so that a supervisor's death is noticed soon; long enough for renewals on a busy machine.
LEASE_SECONDS = 3
# The longest wait for a moment: most of a replay on a busy machine.
MOMENT_SECONDS = 120.0
# Work takes some 20 ms: looked for less often, it is over when it is found. Looking costs the replay time, though.
_AT_ONCE_SECONDS = 0.002
_SOON_SECONDS = 0.1

# The last sessions of the simulated market on one thread. Few symbols, but enough to buy, hold, sell and learn from.
TWELVE_SESSIONS = Request(first=date(2025, 12, 15), last=date(2025, 12, 31), users=4, symbols=12, workers=1, threads=1)
THREE_SESSIONS = Request(first=date(2025, 12, 29), last=date(2025, 12, 31), users=4, symbols=20, workers=1, threads=1)


@dataclass(frozen=True, slots=True)
class Scene:
    """A replay that runs: what was asked, its database, its processes by name, the folder of their logs."""

    plan: Plan
    database: Database
    doors: dict[str, Door]
    logs: Path

    async def rows(self, query: str, **values: object) -> list[Any]:
        """Return the rows of a query, seen as the system."""
        async with self.database.reading(None) as session:
            return list((await session.execute(text(query), values)).all())

    async def one(self, query: str, **values: object) -> Any:
        """Return the first value of a query, None without a row."""
        found = await self.rows(query, **values)
        return found[0][0] if found else None

    async def caught(self, query: str, pause_seconds: float = _AT_ONCE_SECONDS, **values: object) -> Any:
        """Return the first row of a query as soon as there is one. Raises AssertionError when there is none in time."""
        end = time.monotonic() + MOMENT_SECONDS
        while not (found := await self.rows(query, **values)):
            assert time.monotonic() < end, f"not within {MOMENT_SECONDS} s: {query} {values}"
            await asyncio.sleep(pause_seconds)
        return found[0]

    async def reached(self, session: int) -> None:
        """Return when the clock has come to a session's open. session: 0 is the first."""
        opens = self.plan.sessions[session].opens
        await self.caught("SELECT 1 FROM market_clock WHERE at >= :at", _SOON_SECONDS, at=opens)

    def kill(self, name: str) -> None:
        """Kill -9 one of the processes; the replay starts it again."""
        self.doors[name].signal(signal.SIGKILL)


Disturbance = Callable[[Scene], Awaitable[None]]
Undisturbed = Callable[[Request], Awaitable[dict[str, Any]]]
"""Returns the summary of a request's replay that nothing disturbed."""


@contextmanager
def short_folder() -> Iterator[Path]:
    """Yield a folder for sockets, whose paths must not be long."""
    with TemporaryDirectory(prefix="flow-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@asynccontextmanager
async def played(
    request: Request, disturb: Disturbance | None = None, schedulers: int = 1
) -> AsyncIterator[tuple[Scene, Report]]:
    """Run a replay to its end and yield it while its servers still run.

    disturb: runs beside it. Raises AssertionError when it did not come to its end within the replay.
    """
    plan = await make_plan(request)
    with short_folder() as folder, running(folder / "s", durable=False) as servers:
        urls = ServerUrls(servers.database_url, servers.redis_url)
        database = Database(make_engine(urls.sqlalchemy, pool_size=4, application="a test"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT_")}
        environment = door_environment(kept, servers, plan.prices)
        environment["MUHURAT_WORKER_LEASE_SECONDS"] = str(LEASE_SECONDS)
        doors = replay_doors(plan, environment)
        for number in range(2, schedulers + 1):
            doors.append(Door(f"scheduler {number}", ["python", "-m", "scheduler.main"], environment))
        scene = Scene(plan, database, {door.name: door for door in doors}, folder / "logs")
        try:
            yield scene, await _run(urls, scene, disturb)
        finally:
            await database.close()


async def _run(urls: ServerUrls, scene: Scene, disturb: Disturbance | None) -> Report:
    began = time.monotonic()
    await prepare(urls.sqlalchemy, scene.database, scene.plan, lambda *_: None)
    with doors_running(list(scene.doors.values()), scene.logs) as watched:
        await _drive(scene, watched, disturb)
    return await report_of(scene.database, scene.plan, time.monotonic() - began)


async def _drive(scene: Scene, watched: Watched, disturb: Disturbance | None) -> None:
    if disturb is None:
        await drive(scene.database, scene.plan, watched, lambda _: None)
        return
    disturbing = asyncio.ensure_future(disturb(scene))

    def look(_: Look) -> None:
        if disturbing.done():
            disturbing.result()  # what it raised ends the replay

    try:
        await drive(scene.database, scene.plan, watched, look)
        assert disturbing.done(), "the replay was over before it was disturbed to the end"
    finally:
        disturbing.cancel()
        await asyncio.wait([disturbing])
    disturbing.result()
