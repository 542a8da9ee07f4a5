"""What a case has at hand: the ground, its processes, the gates it holds, and the executions it was given."""

from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import asyncpg
from redis.asyncio import Redis

from ops.chaos.eye import Eye, NotReachedError, claimed
from ops.chaos.ground import Ground
from ops.chaos.house import PROCESSES, House
from ops.chaos.instruments import HELD_UP
from ops.chaos.plans import TASKS_USED, Plan
from worker.bells.keys import messages_key, ready_key, waiting_messages_key

# Every third one is everybody's; the others' users have more than may be rung at once.
_INSERT = """
INSERT INTO service_task_execution (scheduled_for, task_name, user_id, subject, queue, status, as_of)
SELECT market_now(), f.task, f.user_id, f.subject, f.queue, 'queued', market_now()
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[]) AS f(task, user_id, subject, queue)
"""

_LIVE = "SELECT name FROM worker_processes WHERE ended_at IS NULL AND gone_at IS NULL AND lease_until > now()"


@dataclass
class Scene:
    """One case being played. accepted: how many executions it was given. notes: what is told of it.

    violations: what a fault itself saw that may not be. operator: a command of his that runs. acted: one was run, so
    that every dead letter is requeued. ends: how executions must end that an operator did something to.
    """

    ground: Ground
    house: House
    eye: Eye
    redis: Redis
    accepted: int = 0
    notes: dict[str, object] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    operator: Process | None = None
    acted: bool = False
    ends: dict[int, str] = field(default_factory=dict)
    _holding: asyncpg.Connection | None = None

    async def accept(self, plans: Sequence[Plan], *, shared: bool = False, owned: bool = False) -> None:
        """Commit executions; a scheduler rings them.

        shared: none has a user, so that no share limits them. owned: each has one.
        """
        owners = self.ground.users
        users = [None if shared or (plan.number % 3 == 0 and not owned) else owners[plan.number % 2] for plan in plans]
        subjects = [plan.subject for plan in plans]
        tasks = [plan.task for plan in plans]
        await self.eye.rows(_INSERT, tasks, users, subjects, [TASKS_USED[task] for task in tasks])
        self.accepted += len(plans)

    async def hold(self, *keys: int) -> None:
        """Close gates in Postgres. They open with `release`, and when Postgres ends."""
        self._holding = await asyncpg.connect(self.ground.urls.database)
        for key in keys:
            await self._holding.execute("SELECT pg_advisory_lock($1)", key)

    async def held_up(self, key: int) -> int:
        """Return how many statements wait at a gate."""
        return int(await self.eye.one(HELD_UP, key))

    def open_steps(self) -> None:
        """Let the steps go on."""
        self.house.gate.touch()

    def close_steps(self) -> None:
        """Let the steps wait that have not gone through."""
        self.house.gate.unlink(missing_ok=True)

    def release(self) -> None:
        """Open every gate of Postgres; one that stands still opens them when it goes on."""
        holding, self._holding = self._holding, None
        if holding is not None:
            holding.terminate()

    async def end_operator(self) -> None:
        """End a command of the operator that a case left behind."""
        operator, self.operator = self.operator, None
        if operator is not None and operator.returncode is None:
            operator.kill()
            await operator.wait()

    async def claimed(self) -> list[str]:
        """Return the ids that workers have claimed on Redis."""
        return [id_ for ids in (await claimed(self.redis)).values() for id_ in ids]

    async def left_on_redis(self) -> int:
        """Return how many messages there are, wherever they lie; dead letters may."""
        lying = 0
        for queue in TASKS_USED.values():
            lying += int(await self.redis.hlen(messages_key(queue)))
            lying += int(await self.redis.hlen(waiting_messages_key(queue)))
        return lying + await self.ready() + len(await self.claimed())

    async def ready(self) -> int:
        """Return how many messages are ready on Redis."""
        return sum([int(await self.redis.llen(ready_key(queue))) for queue in TASKS_USED.values()])

    async def house_is_ready(self) -> bool:
        """Start what has ended again, and begin the case once every worker process takes work. Tells whether it has."""
        self.house.keep_running()
        names = [row["name"] for row in await self.eye.rows(_LIVE)]
        return len(names) >= PROCESSES and self.house.begin(names)

    async def house_is_well(self) -> bool:
        """Start what has ended again, and tell whether every worker process holds a lease."""
        self.house.keep_running()
        return len(await self.eye.rows(_LIVE)) >= PROCESSES

    async def victim(self) -> tuple[str, int]:
        """Return the name and number of a worker process that lives, the one with the most to lose.

        Raises NotReachedError.
        """
        rows = await self.eye.rows(
            "SELECT w.name, w.pid, (SELECT count(*) FROM service_task_execution e WHERE e.worker = w.name "
            "AND e.status = 'running') AS held FROM worker_processes w "
            "WHERE w.ended_at IS NULL AND w.gone_at IS NULL AND w.lease_until > now() ORDER BY held DESC, w.name"
        )
        if not rows:
            raise NotReachedError("no worker process holds a lease")
        sets = await claimed(self.redis)

        def held(row: Any) -> int:
            return int(row["held"]) + sum(len(ids) for name, ids in sets.items() if name.startswith(row["name"]))

        chosen = max(rows, key=held)
        return chosen["name"], chosen["pid"]


@dataclass(frozen=True, slots=True)
class Single:
    """A case of its own kind. part: accepts executions, strikes, and notes `in_state` and `struck`."""

    name: str
    sentence: str
    part: Callable[[Scene, Random], Awaitable[None]]
