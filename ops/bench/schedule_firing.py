"""One wide firing as it is measured: from the moment a schedule is due until nothing of it is left to do."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ops.bench.queue_world import World
from ops.bench.report import BenchError
from ops.bench.schedule_world import MESSAGES, READY, WIDE, Subscribers
from ops.doors import Door

# A look at the first message asks for one number, and so few times a second that it costs nothing.
_FIRST_SECONDS, _LOOK_SECONDS = 0.005, 0.02
_STUCK_SECONDS = 900.0
_MB = 1 << 20
_MADE = (
    "SELECT count(*) AS rows, count(DISTINCT account_id) AS accounts, "
    "count(*) FILTER (WHERE status = 'queued') AS queued FROM service_task_execution"
)


@dataclass(frozen=True, slots=True)
class Fired:
    """What a firing took, in seconds from its due time, by how many, and what a scheduler held at most.

    seconds: until the last message is on Redis and the schedule's row says that its slot is over. doubled: executions
    and messages beyond one a subscriber.
    """

    users: int
    first_s: float
    last_s: float
    seconds: float
    doubled: int
    rss_mb: float


async def fire(people: Subscribers, doors: Sequence[Door]) -> Fired:
    """Let the schedule of everybody be due under schedulers that run, and remove what it made.

    Raises BenchError when an execution or its message is missing.
    """
    world, users, memory = people.world, people.users, _Memory(doors)
    slot, due_at = await people.make_due(WIDE)

    async def has_begun() -> bool:
        return bool(await world.redis.hlen(MESSAGES))

    async def has_rung() -> bool:
        memory.look()
        return bool(await world.redis.hlen(MESSAGES) >= users)

    async def is_over() -> bool:
        return await people.is_fired(WIDE, slot)

    await world.until(has_begun, _STUCK_SECONDS, "no message came", _FIRST_SECONDS)
    first = time.time()
    await world.until(has_rung, _STUCK_SECONDS, f"not every of {users} messages came", _LOOK_SECONDS)
    last = time.time()
    await world.until(is_over, _STUCK_SECONDS, "the slot did not come to its end", _LOOK_SECONDS)
    over = time.time()
    doubled = await _doubled(world, users)
    await people.clear()
    return Fired(users, first - due_at, last - due_at, over - due_at, doubled, memory.most_mb)


async def _doubled(world: World, users: int) -> int:
    """Return how many executions and messages there are beyond one a subscriber. Raises BenchError when one misses."""
    [made] = await world.rows(_MADE)
    messages, ready = await world.redis.hlen(MESSAGES), await world.redis.llen(READY)
    if made.accounts != users or made.queued != made.rows:
        raise BenchError(
            f"of {users} subscribers {made.accounts} have one of {made.rows} executions, {made.queued} queued"
        )
    return int(made.rows + messages + ready - 3 * users)


class _Memory:
    """What the largest of some processes held at any look."""

    def __init__(self, doors: Sequence[Door]) -> None:
        import psutil

        self._processes = [psutil.Process(door.pid) for door in doors]
        self.most_mb = 0.0

    def look(self) -> None:
        """Look at them now."""
        for process in self._processes:
            self.most_mb = max(self.most_mb, process.memory_info().rss / _MB)
