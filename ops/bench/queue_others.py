"""Celery and Procrastinate as they are measured. Needs both installed; `missing` tells."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ops.bench.queue_contender import ASIDE, move
from ops.bench.queue_world import PROCESSES, STUCK_SECONDS, THREADS, World
from ops.bench.report import BenchError

if TYPE_CHECKING:
    import psycopg

# Counting rows costs the server something: not too often, and a few in a hundred of what is measured at most.
_LOOK_SECONDS = 0.05
_WARM = 200

_CELERY_TABLE = "SELECT to_regclass('celery_taskmeta') IS NOT NULL AS there"
_CELERY_DONE = "SELECT count(*) AS done FROM celery_taskmeta WHERE status = 'SUCCESS'"
_PROCRASTINATE_TABLE = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there"
_PROCRASTINATE_LEFT = "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing')) AS any"
_PROCRASTINATE_DONE = "SELECT count(*) AS done FROM procrastinate_jobs WHERE status = 'succeeded'"


def missing(packages: Collection[str]) -> list[str]:
    """Return which packages are not installed."""
    return sorted(name for name in packages if find_spec(name) is None)


class CeleryPeer:
    """Celery over Redis, results in Postgres."""

    name, usual = "celery", 2_000

    def __init__(self, world: World) -> None:
        self.world, self._laid = world, 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run one `celery worker` of two processes: of what it offers, its best."""
        command = ["python", "-m", "celery", "-A", "ops.bench.peers.celery_app", "worker", "-c", str(PROCESSES)]
        async with self.world.running(self.name, command, {}, (b"[queues]", 1)):
            await self.lay(_WARM)
            await self.let_go()
            await self.drained()
            yield

    async def lay(self, count: int) -> None:
        """Send messages aside."""
        from ops.bench.peers.celery_app import application

        app = application(self.world.servers.redis_url, self.world.servers.database_url, ASIDE)

        def send() -> None:
            with app.producer_pool.acquire(block=True) as producer:
                for number in range(count):
                    app.send_task("noop", (number,), producer=producer)

        self._laid = await self._done() + count
        await asyncio.to_thread(send)
        app.close()

    async def let_go(self) -> None:
        """Move the messages before the workers."""
        await move(self.world, "celery")

    async def drained(self) -> None:
        """Return when every result is in Postgres."""

        async def over() -> bool:
            return await self._done() >= self._laid

        await self.world.until(over, STUCK_SECONDS, "celery did not come to its end", _LOOK_SECONDS)

    async def _done(self) -> int:
        [table] = await self.world.rows(_CELERY_TABLE)
        if not table.there:
            return 0
        [found] = await self.world.rows(_CELERY_DONE)
        return int(found.done)


class ProcrastinatePeer:
    """Procrastinate: its jobs lie in Postgres alone."""

    name, usual = "procrastinate", 1_500

    def __init__(self, world: World) -> None:
        self.world, self._laid = world, 0
        self._connection: psycopg.AsyncConnection | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run two workers."""
        await self._make_tables()
        module = "ops.bench.peers.procrastinate_app.app"
        command = ["python", "-m", "procrastinate", "--app", module, "worker", "--concurrency", str(THREADS)]
        async with AsyncExitStack() as ending:
            for number in range(PROCESSES):
                running = self.world.running(f"{self.name}{number}", command, {}, (b"Starting worker", 1))
                await ending.enter_async_context(running)
            await self.lay(_WARM)
            await self.let_go()
            await self.drained()
            yield

    async def lay(self, count: int) -> None:
        """Defer jobs in a transaction that stays open: nobody sees them."""
        import psycopg

        from ops.bench.peers.procrastinate_app import application

        [found] = await self.world.rows(_PROCRASTINATE_DONE)
        self._laid = found.done + count
        self._connection = await psycopg.AsyncConnection.connect(self.world.servers.database_url)
        app = application(self.world.servers.database_url)
        async with app.open_async():
            jobs = app.configure_task("noop", connection=self._connection)
            numbers: list[dict[str, Any]] = [{"number": number} for number in range(count)]
            await jobs.batch_defer_async(*numbers)

    async def let_go(self) -> None:
        """Commit the jobs."""
        if self._connection is not None:
            await self._connection.commit()
            await self._connection.close()

    async def drained(self) -> None:
        """Return when no job is left. They are counted."""

        async def over() -> bool:
            [left] = await self.world.rows(_PROCRASTINATE_LEFT)
            return not left.any

        await self.world.until(over, STUCK_SECONDS, "procrastinate did not come to its end", _LOOK_SECONDS)
        [found] = await self.world.rows(_PROCRASTINATE_DONE)
        if found.done != self._laid:
            raise BenchError(f"of {self._laid} jobs {found.done} succeeded")

    async def _make_tables(self) -> None:
        from ops.bench.peers.procrastinate_app import application

        [table] = await self.world.rows(_PROCRASTINATE_TABLE)
        if not table.there:
            app = application(self.world.servers.database_url)
            async with app.open_async():
                await app.schema_manager.apply_schema_async()
