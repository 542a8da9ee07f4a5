"""What executions cost under load: waiting for a network, requests to the servers, memory after very many."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import unquote

import asyncpg

from ops.bench.queue_child import IO as IO_STEP
from ops.bench.queue_child import IO_SECONDS
from ops.bench.queue_contender import rate
from ops.bench.queue_ours import Ours
from ops.bench.queue_world import Told, World
from ops.bench.report import BenchError
from ops.local_postgres import ROLE

IO_PLACES = 64
# Executions at full pace: ten seconds of waiting, and so many that what a process does by itself is little of it.
IO, REQUESTS = 6_400, 20_000
# Our own looks at Redis count too: few.
_LOOK_SECONDS = 0.25
# Executions before memory is looked at first, and of each portion after that.
FIRST, PORTION = 10_000, 20_000

_OVER = b"the bench has seen enough"
_MONITOR_SECONDS = 30.0
_ADMINISTRATOR = "postgres"
_OF_THIS_BENCH = "SELECT pid FROM pg_stat_activity WHERE application_name = 'bench'"
# Each request of the extended protocol is a line `execute`, of the simple one a line `statement`.
_STATEMENT = re.compile(
    rb"^[^\[\n]*\[(?P<pid>\d+)\] LOG:  (?:statement|execute [^:\n]*):\s*(?P<word>\S*)", re.MULTILINE
)
_TRANSACTION = {b"BEGIN", b"COMMIT", b"ROLLBACK"}


async def io_share(world: World, count: int, told: Told) -> dict[str, float]:
    """Run executions that wait 100 ms, 64 at a time in one process. Returns the share of the ideal rate."""
    told(f"{count:,} executions that wait for a network")
    found = await rate(Ours(world, "ours_io", 1, IO_PLACES, IO_STEP), count)
    return {"io_per_s": found, "io_share": found * IO_SECONDS / IO_PLACES}


async def requests(world: World, count: int, told: Told) -> dict[str, float]:
    """Count what Redis and Postgres are asked while executions run at full pace, by what both servers saw."""
    told(f"Requests of {count:,} executions")
    ours = Ours(world, "ours_requests")
    ours.look_seconds = _LOOK_SECONDS
    async with statements_logged(world) as statements, ours.running():
        await ours.lay(count)
        async with _monitored(world) as monitor:
            statements.begin()
            await ours.let_go()
            await ours.drained()
            statements.end()
    return {"redis_per_execution": monitor.requests() / count, "sql_per_execution": await statements.count() / count}


async def rss_growth(world: World, executions: int, told: Told) -> dict[str, float]:
    """Run very many executions. Returns the memory of the worker processes after the first of them and at the end."""
    ours = Ours(world, "ours_memory")
    async with ours.running():
        await _run(ours, min(FIRST, executions))
        first, done = _rss_mb(ours), FIRST
        while done < executions:
            told(f"Memory after {executions:,} executions: {done:,}")
            portion = min(PORTION, executions - done)
            await _run(ours, portion)
            done += portion
        last = _rss_mb(ours)
    return {"executions": executions, "rss_first_mb": first, "rss_last_mb": last, "rss_growth": last / first}


async def _run(ours: Ours, count: int) -> None:
    await ours.lay(count)
    await ours.let_go()
    await ours.drained()


def _rss_mb(ours: Ours) -> float:
    """Return what the worker processes hold in memory, the supervisor not counted."""
    import psutil

    if ours.door is None or ours.door.pid is None:
        raise BenchError("the workers are not running")
    workers = psutil.Process(ours.door.pid).children()
    return sum(float(worker.memory_info().rss) for worker in workers) / (1 << 20)


@dataclass(slots=True)
class _Monitor:
    """What Redis tells of every command it runs: with where it came from, which of a script's own is `lua`."""

    said: bytearray
    over: asyncio.Event

    def requests(self) -> int:
        """Return the commands that clients sent, those of a pipeline each for itself."""
        return self.said.count(b"\r\n") - self.said.count(b' lua] "')


@asynccontextmanager
async def _monitored(world: World) -> AsyncIterator[_Monitor]:
    path = unquote(world.servers.redis_url.removeprefix("unix://"))
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"MONITOR\r\n")
    await reader.readexactly(len(b"+OK\r\n"))
    monitor = _Monitor(bytearray(), asyncio.Event())

    async def read() -> None:
        while data := await reader.read(1 << 20):
            monitor.said.extend(data)
            if _OVER in monitor.said[-len(data) - len(_OVER) :]:
                monitor.over.set()

    reading = asyncio.create_task(read())
    try:
        yield monitor
        # What Redis has told until it answers this is all there was.
        await world.redis.echo(_OVER.decode())
        await asyncio.wait_for(monitor.over.wait(), _MONITOR_SECONDS)
    finally:
        reading.cancel()
        writer.close()


@dataclass(slots=True)
class Statements:
    """The part of Postgres's log between two moments."""

    world: World
    first: int = 0
    last: int = 0

    def begin(self) -> None:
        """Count from here."""
        self.first = self._size()

    def end(self) -> None:
        """Count until here."""
        self.last = self._size()

    async def count(self) -> int:
        """Return the statements that anybody but this bench sent, without those that begin or end a transaction.

        Raises BenchError when there is none: then it looked at the wrong place.
        """
        if not (found := await self.seen()):
            raise BenchError(f"Postgres logged no statement between bytes {self.first} and {self.last}")
        return found

    async def seen(self) -> int:
        """Return what `count` does, of a span in which there may be none."""
        bench = {str(row.pid).encode() for row in await self.world.rows(_OF_THIS_BENCH)}
        with (self.world.folder / "postgres.log").open("rb") as log:
            log.seek(self.first)
            said = log.read(self.last - self.first)
        return sum(
            match["word"].upper().rstrip(b";") not in _TRANSACTION and match["pid"] not in bench
            for match in _STATEMENT.finditer(said)
        )

    def _size(self) -> int:
        return (self.world.folder / "postgres.log").stat().st_size


@asynccontextmanager
async def statements_logged(world: World) -> AsyncIterator[Statements]:
    """Have Postgres log every statement of connections that are opened from now on."""
    url = world.servers.database_url.replace(f"://{ROLE}@", f"://{_ADMINISTRATOR}@", 1)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"ALTER ROLE {ROLE} SET log_statement = 'all'")
        await connection.execute(f"ALTER ROLE {ROLE} SET log_parameter_max_length = 0")
        yield Statements(world)
        await connection.execute(f"ALTER ROLE {ROLE} RESET ALL")
    finally:
        await connection.close()
