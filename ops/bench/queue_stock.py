"""Stock Dramatiq as it is measured: with its defaults, with a prefetch, and with a record that a middleware writes."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from ops.bench.peers import BEGAN, STOCK
from ops.bench.queue_contender import empty, lay_stock, move
from ops.bench.queue_world import PROCESSES, THREADS, World
from ops.bench.report import BenchError

PREFETCH = "dramatiq_queue_prefetch"
_READY, _MESSAGES = f"{STOCK}:default", f"{STOCK}:default.msgs"

_TABLE = """
    CREATE TABLE IF NOT EXISTS bench_records (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message_id text NOT NULL UNIQUE, actor text NOT NULL, status text NOT NULL,
        started_at timestamptz NOT NULL, finished_at timestamptz)
"""
_RECORDED = "SELECT count(*) AS done FROM bench_records WHERE status = 'success'"


class Stock:
    """Stock Dramatiq without a record."""

    def __init__(
        self, world: World, name: str = "stock", module: str = "ops.bench.peers.stock", prefetch: int | None = None
    ) -> None:
        """module: what the `dramatiq` command runs. prefetch: messages a process holds; None: as it comes."""
        self.name, self.world = name, world
        # With its defaults it sleeps most of the time.
        self.usual = 20_000 if prefetch is None else 40_000
        self._module = module
        self._settings = {} if prefetch is None else {PREFETCH: str(prefetch)}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the `dramatiq` command, which says when a process is ready, and warm it."""
        command = ["python", "-m", "dramatiq", self._module, "-p", str(PROCESSES), "-t", str(THREADS)]
        told = (b"ready for action", PROCESSES)
        async with self.world.running(self.name, command, self._settings, told):
            await self.lay(50 * PROCESSES * THREADS)
            await self.let_go()
            await self.drained()
            yield

    async def lay(self, count: int) -> None:
        """Write what `send()` leaves on Redis, many at a time."""
        await lay_stock(self.world, _READY, _MESSAGES, "default", "noop", count)

    async def let_go(self) -> None:
        """Move the messages before the workers."""
        await move(self.world, _MESSAGES, _READY)

    async def drained(self) -> None:
        """Return when every message is acknowledged."""
        await empty(self.world, _MESSAGES, self.name)


class StockRecorded(Stock):
    """Stock Dramatiq with a row inserted at the start of each message and updated at its end."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "stock_recorded", "ops.bench.peers.recorded")
        self.usual, self._laid = 10_000, 0

    async def lay(self, count: int) -> None:
        """Write what `send()` leaves on Redis, and see to it that there is a table."""
        await self.world.rows(_TABLE)
        [found] = await self.world.rows(_RECORDED)
        self._laid = found.done + count
        await super().lay(count)

    async def drained(self) -> None:
        """Return when every message is acknowledged, which none is before its row is updated. The rows are counted."""
        await super().drained()
        [found] = await self.world.rows(_RECORDED)
        if found.done != self._laid:
            raise BenchError(f"of {self._laid} records {found.done} say success")


class Sender:
    """Sends single messages as a program does that uses stock Dramatiq."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._broker = RedisBroker(url=world.servers.redis_url, namespace=STOCK)  # type: ignore[no-untyped-call]

    def send(self, number: int) -> float:
        """Send a message whose actor writes down when it began. Returns when it was sent, in monotonic seconds."""
        message: Message[None] = Message("default", "began", (number,), {}, {})
        at = time.monotonic()
        self._broker.enqueue(message)
        return at

    async def began(self) -> Mapping[int, float]:
        """Return when each message began, by its number, in monotonic seconds."""
        await empty(self._world, _MESSAGES, "stock")
        found = await self._world.redis.hgetall(BEGAN)
        return {int(number): float(at) for number, at in found.items()}

    def close(self) -> None:
        """Close the connection."""
        self._broker.client.close()
