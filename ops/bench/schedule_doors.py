"""The schedulers of the bench: the real door, as many as are asked for, each warm before anything is measured."""

from contextlib import AsyncExitStack
from datetime import timedelta

from ops.bench.queue_world import STUCK_SECONDS
from ops.bench.schedule_world import WARM, Subscribers
from ops.doors import Door

_LOOK_SECONDS = 0.02
# Each says in its first turn that it is there.
_TURNING = (
    "SELECT count(*) AS turning FROM scheduler_processes WHERE stopped_at IS NULL AND pid = ANY(CAST(:pids AS int[]))"
)


class Schedulers:
    """Processes that run from the call that asks for them to the one that asks for fewer."""

    def __init__(self, people: Subscribers) -> None:
        self.people = people
        self.doors: list[Door] = []
        self._running: list[AsyncExitStack] = []

    async def keep(self, count: int) -> None:
        """Run exactly so many, all of them warm; none of what made them so is left."""
        while len(self._running) > count:
            self.doors.pop()
            await self._running.pop().aclose()
        if len(self._running) < count:
            while len(self._running) < count:
                await self._start()
            await self._warm(count)

    async def _start(self) -> None:
        name, command = f"scheduler{len(self._running)}", ["python", "-m", "scheduler.main"]
        stack = AsyncExitStack()
        running = self.people.world.running(name, command, {}, (b"scheduler_ready", 1))
        self.doors.append(await stack.enter_async_context(running))
        self._running.append(stack)

    async def _warm(self, count: int) -> None:
        slot, _ = await self.people.make_due(WARM, timedelta())

        async def are_warm() -> bool:
            [row] = await self.people.world.rows(_TURNING, pids=[door.pid for door in self.doors])
            return bool(row.turning == count and await self.people.is_fired(WARM, slot))

        await self.people.world.until(are_warm, STUCK_SECONDS, "a scheduler does not fire", _LOOK_SECONDS)
        await self.people.clear()
