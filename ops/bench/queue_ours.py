"""The queue of the product as it is measured: the real door and processes, every execution claimed and settled."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from db.executions import Bell
from ops.bench.queue_child import NOOP, PLAIN, STEP, TASK
from ops.bench.queue_contender import aside, empty, lay_stock, move
from ops.bench.queue_world import LOOK_SECONDS, PROCESSES, STUCK_SECONDS, THREADS, World
from ops.bench.report import BenchError
from ops.doors import Door
from worker.bells.keys import messages_key, ready_key
from worker.bells.ringing import Bells
from worker.messages import TASKS

QUEUE = TASKS[TASK].queue

_INTO = """
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, subject, queue, status, useful_until, as_of, rung_at)
"""
_VALUES = f"""
    CAST(:slot AS timestamptz), '{TASK}', u.id, CAST(:subject AS text) || ':' || n.n, '{QUEUE}', 'queued',
    CAST(:slot AS timestamptz) + interval '1 day', CAST(:slot AS timestamptz)
"""
# Round by round over all users, so that none has more than his share of what lies on Redis at once.
_FOR_ALL = f"""
    {_INTO} SELECT {_VALUES}, now()
    FROM generate_series(1, CAST(:each AS int)) n(n) CROSS JOIN (SELECT id FROM users ORDER BY id) u
    ORDER BY n.n, u.id LIMIT :count
    RETURNING id
"""  # noqa: S608 - constants of ours
_FOR_ONE = f"""
    {_INTO} SELECT {_VALUES}, CASE WHEN n.n <= :rung THEN now() END
    FROM (SELECT id FROM users ORDER BY id OFFSET :user LIMIT 1) u
    CROSS JOIN generate_series(1, CAST(:count AS int)) n(n) ORDER BY n.n
    RETURNING id, rung_at IS NOT NULL AS is_rung
"""  # noqa: S608 - constants of ours
_DONE = (
    "SELECT count(*) FILTER (WHERE status = 'success') AS done, count(DISTINCT worker) AS workers "
    "FROM service_task_execution WHERE scheduled_for = :slot"
)
_BEGAN = (
    "SELECT subject, CAST(details->>'began' AS float8) AS began FROM service_task_execution "
    "WHERE scheduled_for = :slot AND status = 'success' AND subject LIKE :subject"
)
_CANCEL = (
    "UPDATE service_task_execution SET status = 'cancelled', finished_at = now() "
    "WHERE scheduled_for = :slot AND status = 'queued'"
)


class Ours:
    """The product's workers with the step `noop` of `ops.bench.queue_child`, or another."""

    usual = 40_000

    def __init__(
        self, world: World, name: str = "ours", processes: int = PROCESSES, threads: int = THREADS, step: str = NOOP
    ) -> None:
        """step: of `ops.bench.queue_child`."""
        self.name, self.world, self.processes, self.threads = name, world, processes, threads
        self.slot = datetime.now(UTC)
        self.door: Door | None = None
        self.settings = {STEP: step}
        self.look_seconds = LOOK_SECONDS
        self._laid = 0
        # Open for as long as the workers run, as a scheduler's are.
        self._bells, self._aside = Bells(world.servers.redis_url), Bells(aside(world))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the supervisor and its processes; they are warm when each of them has taken work."""
        size = ["--processes", str(self.processes), "--threads", str(self.threads)]
        command = ["python", "-m", "ops.bench.queue_workers", "--queues", QUEUE, *size]
        async with AsyncExitStack() as ending:
            self.door = await ending.enter_async_context(self.world.running(self.name, command, self.settings))
            ending.push_async_callback(self._bells.close)
            ending.push_async_callback(self._aside.close)
            await self.world.until(self._is_warm, STUCK_SECONDS, "not every worker process of ours takes work")
            yield

    async def _is_warm(self) -> bool:
        await Ours.lay(self, 50 * self.processes * self.threads)
        await self.let_go()
        await Ours.drained(self)
        [found] = await self.world.rows(_DONE, slot=self.slot)
        return bool(found.workers == self.processes)

    async def lay(self, count: int) -> None:
        """Insert executions of one slot, spread over all users, and ring them aside."""
        self.slot, self._laid = datetime.now(UTC), count
        each = -(-count // self.world.users)
        rows = await self.world.rows(_FOR_ALL, slot=self.slot, subject="bench", count=count, each=each)
        await self._aside.ring(self._bell(row.id) for row in rows)

    async def let_go(self) -> None:
        """Move the messages before the workers."""
        await move(self.world, messages_key(QUEUE), ready_key(QUEUE))

    async def drained(self) -> None:
        """Return when every message is acknowledged, which none is before its row is settled. The rows are counted."""
        await empty(self.world, messages_key(QUEUE), self.name, self.look_seconds)
        [found] = await self.world.rows(_DONE, slot=self.slot)
        if found.done != self._laid:
            raise BenchError(f"of {self._laid} executions {found.done} are settled as a success")

    def begin_slot(self) -> None:
        """Begin a slot for what `send` makes."""
        self.slot, self._laid = datetime.now(UTC), 0

    async def send(self, subject: str, user: int, count: int = 1, rung: int = 1) -> float:
        """Insert executions of one user, a number added to the subject of each, and ring the first of them.

        user: a number below that of all users. Returns when they were rung, in monotonic seconds.
        """
        values = {"slot": self.slot, "subject": subject, "user": user, "count": count, "rung": rung}
        rows = await self.world.rows(_FOR_ONE, **values)
        self._laid += count
        bells = [self._bell(row.id) for row in rows if row.is_rung]
        at = time.monotonic()
        await self._bells.ring(bells)
        return at

    async def began(self, subject: str) -> Mapping[str, float]:
        """Return when each execution of the slot whose subject begins so began, in monotonic seconds."""
        rows = await self.world.rows(_BEGAN, slot=self.slot, subject=f"{subject}%")
        return {row.subject: row.began for row in rows}

    async def all_began(self, subject: str, count: int) -> Mapping[str, float]:
        """Return what `began` does when so many have ended. Raises BenchError when they do not."""

        async def over() -> bool:
            return len(await self.began(subject)) == count

        await self.world.until(over, STUCK_SECONDS, f"of {count} executions {subject} not all came to their end", 0.1)
        return await self.began(subject)

    async def cancel(self) -> None:
        """Cancel what is left of the slot, and wait until Redis knows nothing of it."""
        await self.world.rows(_CANCEL, slot=self.slot)
        await empty(self.world, messages_key(QUEUE), self.name)

    def _bell(self, execution_id: int) -> Bell:
        return Bell(TASK, QUEUE, self.slot, execution_id, 1)


class OursPlain(Ours):
    """A plain Dramatiq actor on our queue: not of the table, so that it passes without a row."""

    usual = 20_000

    def __init__(self, world: World) -> None:
        super().__init__(world, "ours_sync", step=PLAIN)

    async def lay(self, count: int) -> None:
        """Lay down what `send()` leaves on Redis."""
        await lay_stock(self.world, ready_key(QUEUE), messages_key(QUEUE), QUEUE, PLAIN, count)

    async def drained(self) -> None:
        """Return when every message is acknowledged."""
        await empty(self.world, messages_key(QUEUE), self.name)
