"""The leases of one supervisor's processes: begun, renewed and ended in Postgres, all of them in one transaction."""

import asyncio
import socket
import time
from collections.abc import Collection, Coroutine
from dataclasses import dataclass

import structlog

from db.errors import is_temporary
from db.transaction import Database
from db.workers import WorkerRepository
from worker.messages import HARD_LIMIT_FACTOR, TASKS

log = structlog.get_logger(__name__)

# A lease outlives this many missed renewals.
RENEWALS_A_LEASE = 5
# A Postgres that does not answer is asked again after this part of a lease, on another connection.
TURNS_A_LEASE = 3
SHORTEST_TURN_SECONDS = 1.0
HARD_LIMITS = {task.name: task.limit_seconds * HARD_LIMIT_FACTOR for task in TASKS.values()}
# What is past its limit is looked for so often within the shortest one.
LOOKS_A_LIMIT = 5


@dataclass(frozen=True, slots=True)
class Findings:
    """Processes that may not go on. lost: their work was given to others. hanging: past a hard limit."""

    lost: frozenset[str] = frozenset()
    hanging: frozenset[str] = frozenset()


class Leases:
    """What is begun or ended waits here for the next turn: any number of deaths needs one connection.

    Every turn may be repeated, so that one of unknown end is simply tried again.
    """

    def __init__(self, database: Database, queues: Collection[str], seconds: float) -> None:
        self.database, self.queues, self.seconds = database, ",".join(queues), seconds
        self.changed = asyncio.Event()
        self._begun: dict[str, int] = {}
        self._held: set[str] = set()
        self._gone: set[str] = set()
        self._late: set[asyncio.Future[frozenset[str]]] = set()
        self._looked_at = time.monotonic()

    @property
    def every_seconds(self) -> float:
        """How long to wait between two turns, unless something changed."""
        return self.seconds / RENEWALS_A_LEASE

    def begin(self, name: str, pid: int) -> None:
        """Give a process its first lease at the next turn; until it has one it claims nothing."""
        self._begun[name] = pid
        self.changed.set()

    def end(self, name: str) -> None:
        """End the lease of a process known to be gone, so that its work is back at once and not after the lease."""
        self._begun.pop(name, None)
        self._held.discard(name)
        self._gone.add(name)
        self.changed.set()

    async def turn(self, working: Collection[str]) -> Findings:
        """Write what was begun and ended, and renew for the processes that can work. Raises nothing.

        With Postgres away nothing is found, and everything is written at a later turn.
        """
        self.changed.clear()
        lost = await self._tried("renew leases", self._write(working))
        if lost is None:
            return Findings()
        return Findings(lost, await self._tried("look for hanging work", self._hanging(working)) or frozenset())

    async def close(self) -> None:
        """Write at last who ended, once."""
        for task in list(self._late):
            task.cancel()
        await self.turn(())

    async def _tried(self, doing: str, work: Coroutine[object, object, frozenset[str]]) -> frozenset[str] | None:
        """Do a work within its part of a lease. One that is late goes on beside the next, for a lease at most.

        Returns None without an answer.
        """
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait([task], timeout=max(self.seconds / TURNS_A_LEASE, SHORTEST_TURN_SECONDS))
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            if not task.done():
                self._late.add(task)
                task.add_done_callback(self._forget)
                asyncio.get_running_loop().call_later(self.seconds, task.cancel)
        if not done or task.cancelled():
            log.warning("postgres_away", doing=doing, error="no answer")
            self.changed.set()
            return None
        error = task.exception()
        if error is None:
            return task.result()
        if is_temporary(error):
            log.warning("postgres_away", doing=doing, error=str(error) or type(error).__name__)
        else:
            log.error("leases_failed", doing=doing, exc_info=error)
        return None

    def _forget(self, task: asyncio.Future[frozenset[str]]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()

    async def _write(self, working: Collection[str]) -> frozenset[str]:
        begun, gone, held = dict(self._begun), set(self._gone), self._held & set(working)
        if not (begun or gone or held):
            return frozenset()
        async with self.database.transaction(None) as session:
            workers = WorkerRepository(session)
            for name, pid in begun.items():
                await workers.register(name, socket.gethostname(), pid, self.queues, self.seconds)
            if gone:
                await workers.expire(*gone)
            renewed = await workers.renew(sorted(held), self.seconds) if held else set()
        self._gone -= gone
        # One that ended meanwhile is among the gone of the next turn.
        self._held |= begun.keys() & self._begun.keys()
        for name in begun:
            self._begun.pop(name, None)
        return frozenset(held & self._held) - renewed

    async def _hanging(self, working: Collection[str]) -> frozenset[str]:
        """Return who runs something past its hard limit; asked seldom, because it looks at all that is under way."""
        every = min(HARD_LIMITS.values()) / LOOKS_A_LIMIT
        names = self._held & set(working)
        if not names or time.monotonic() - self._looked_at < every:
            return frozenset()
        self._looked_at = time.monotonic()
        async with self.database.reading(None) as session:
            return frozenset(await WorkerRepository(session).overdue(sorted(names), HARD_LIMITS))
