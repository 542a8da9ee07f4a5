"""Who is measured, ours and stock Dramatiq: how each is given its messages, how they are let go, and when all are done.

All messages are laid down in a database of Redis where nobody looks, by each one's own way or as that would leave them,
and moved in one transaction to where the workers, booted and warm, wait for them.
"""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Protocol
from uuid import uuid4

from dramatiq import Message
from redis.asyncio import Redis
from sqlalchemy import text

from db.executions import Bell
from ops.bench.peers import STOCK
from ops.bench.queue_child import STEP, TASK
from ops.bench.queue_world import LOOK_SECONDS, PROCESSES, STUCK_SECONDS, THREADS, World, until
from ops.bench.report import BenchError
from worker.bells.keys import messages_key, ready_key
from worker.bells.ringing import Bells
from worker.messages import TASKS

# Where messages lie until they are let go.
_ASIDE = 1
_PIPELINE = 1000
_QUEUE = TASKS[TASK].queue

_INSERT = text(
    f"""
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, subject, queue, status, useful_until, as_of, rung_at)
    SELECT CAST(:slot AS timestamptz), '{TASK}', u.id, CAST(:subject AS text) || ':' || n.n, '{_QUEUE}', 'queued',
           CAST(:slot AS timestamptz) + interval '1 day', CAST(:slot AS timestamptz), now()
    FROM generate_series(1, CAST(:each AS int)) n(n) CROSS JOIN (SELECT id FROM users ORDER BY id) u
    ORDER BY n.n, u.id LIMIT :count
    RETURNING id
    """  # noqa: S608 - constants of ours
)
_DONE = text(
    "SELECT count(*) AS done, count(DISTINCT worker) AS workers FROM service_task_execution "
    "WHERE scheduled_for = :slot AND status = 'success'"
)


class Contender(Protocol):
    """One that is measured. usual: how many messages last some seconds."""

    name: str
    usual: int

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run its workers, booted and warm, until the context ends."""

    async def lay(self, count: int) -> None:
        """Enqueue messages where no worker looks yet."""

    async def let_go(self) -> None:
        """Let the workers have them."""

    async def drained(self) -> None:
        """Return when the last is done, with all that belongs to it. Raises BenchError when it never is."""


class Ours:
    """The queue of the product: every execution is claimed and settled in Postgres."""

    usual = 40_000

    def __init__(self, world: World, name: str = "ours", processes: int = PROCESSES, threads: int = THREADS) -> None:
        self.name, self._world, self._processes, self._threads = name, world, processes, threads
        self._slot = datetime.now(UTC)
        self._laid = 0

    @asynccontextmanager
    async def running(self, step: str = "noop", **settings: str) -> AsyncIterator[None]:
        """Run the supervisor and its processes; they are warm when each of them has taken work. step: of the child."""
        size = ["--processes", str(self._processes), "--threads", str(self._threads)]
        command = ["python", "-m", "ops.bench.queue_workers", "--queues", _QUEUE, *size]
        async with self._world.running(self.name, command, _at_once, **{STEP: step}, **settings):
            await until(self._warm, STUCK_SECONDS, "not every worker process of ours takes work", LOOK_SECONDS)
            yield

    async def _warm(self) -> bool:
        await self.lay(100 * self._processes * self._threads)
        await self.let_go()
        await self.drained()
        async with self._world.database.reading(None) as session:
            return bool((await session.execute(_DONE, {"slot": self._slot})).one().workers == self._processes)

    async def lay(self, count: int) -> None:
        """Insert executions of one slot, spread over all users, and ring them aside."""
        self._slot, self._laid = datetime.now(UTC), count
        values = {"slot": self._slot, "subject": "bench", "count": count, "each": -(-count // self._world.users)}
        async with self._world.database.transaction(None) as session:
            ids = (await session.execute(_INSERT, values)).scalars().all()
        bells = Bells(aside(self._world))
        try:
            await bells.ring([Bell(TASK, _QUEUE, self._slot, id_, 1) for id_ in ids])
        finally:
            await bells.close()

    async def let_go(self) -> None:
        """Move the messages before the workers."""
        await move(self._world, messages_key(_QUEUE), ready_key(_QUEUE))

    async def drained(self) -> None:
        """Return when every message is acknowledged, which none is before its row is settled. The rows are counted."""
        await empty(self._world.redis, messages_key(_QUEUE), self.name)
        async with self._world.database.reading(None) as session:
            done = (await session.execute(_DONE, {"slot": self._slot})).one().done
        if done != self._laid:
            raise BenchError(f"of {self._laid} executions {done} are settled as a success")


class Stock:
    """Stock Dramatiq. settings: environment of its workers. module: what the `dramatiq` command runs."""

    usual = 20_000

    def __init__(
        self, world: World, name: str = "stock", module: str = "ops.bench.peers.stock", **settings: str
    ) -> None:
        self.name, self._world, self._module, self._settings = name, world, module, settings
        self._numbers = count(1)
        self._messages, self._ready = f"{STOCK}:default.msgs", f"{STOCK}:default"

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the `dramatiq` command; it says when a process is ready."""
        command = ["python", "-m", "dramatiq", self._module, "-p", str(PROCESSES), "-t", str(THREADS)]

        async def ready(said: bytes) -> bool:
            return said.count(b"ready for action") >= PROCESSES

        async with self._world.running(self.name, command, ready, **self._settings):
            await self.lay(100 * PROCESSES * THREADS)
            await self.let_go()
            await self.drained()
            yield

    async def lay(self, count: int) -> None:
        """Write what `send()` leaves on Redis, many at a time."""
        redis = Redis.from_url(aside(self._world))
        try:
            for start in range(0, count, _PIPELINE):
                pipeline = redis.pipeline(transaction=False)
                messages = [self._message() for _ in range(min(_PIPELINE, count - start))]
                pipeline.hset(self._messages, mapping=dict(messages))
                pipeline.rpush(self._ready, *(id_ for id_, _ in messages))
                await pipeline.execute()
        finally:
            await redis.aclose()

    def _message(self) -> tuple[str, bytes]:
        id_ = str(uuid4())
        options = {"redis_message_id": id_}
        message: Message[None] = Message("default", "noop", (next(self._numbers),), {}, options)
        return id_, message.encode()

    async def let_go(self) -> None:
        """Move the messages before the workers."""
        await move(self._world, self._messages, self._ready)

    async def drained(self) -> None:
        """Return when every message is acknowledged."""
        await empty(self._world.redis, self._messages, self.name)


def aside(world: World) -> str:
    """Return the address of the database of Redis where messages wait."""
    return f"{world.servers.redis_url}?db={_ASIDE}"


async def move(world: World, *keys: str) -> None:
    """Move keys from aside to where workers look, in one transaction."""
    redis = Redis.from_url(aside(world))
    try:
        pipeline = redis.pipeline(transaction=True)
        for key in keys:
            pipeline.move(key, 0)
        if await pipeline.execute() != [1] * len(keys):
            raise BenchError(f"something lay already at {' or '.join(keys)}")
    finally:
        await redis.aclose()


async def empty(redis: Redis, messages: str, name: str) -> None:
    """Return when a hash of messages is empty: the last one is acknowledged."""

    async def gone() -> bool:
        left: Awaitable[int] | int = redis.hlen(messages)
        return (left if isinstance(left, int) else await left) == 0

    await until(gone, STUCK_SECONDS, f"{name} did not come to its end", LOOK_SECONDS)


async def _at_once(_said: bytes) -> bool:
    return True
