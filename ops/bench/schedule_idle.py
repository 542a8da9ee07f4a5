"""What a scheduler costs while nothing is due, with everybody there and every service running."""

import asyncio

from ops.bench.queue_costs import statements_logged
from ops.bench.queue_world import Told
from ops.bench.schedule_doors import Schedulers

_HOUR = 3600.0


async def idle(schedulers: Schedulers, seconds: float, told: Told) -> dict[str, float]:
    """Look at an idle scheduler for so many seconds. Returns what it would cost in an hour. Raises BenchError."""
    import psutil

    people = schedulers.people
    told(f"An idle scheduler of {people.users:,} users, for {seconds:g} s")
    await schedulers.keep(0)
    async with statements_logged(people.world) as statements:
        statements.begin()
        await schedulers.keep(1)
        statements.end()
        # Else it looked at the wrong place: a scheduler that starts asks something.
        await statements.count()
        process = psutil.Process(schedulers.doors[0].pid)
        statements.begin()
        before = process.cpu_times()
        await asyncio.sleep(seconds)
        after = process.cpu_times()
        statements.end()
        asked = await statements.seen()
    cpu = after.user + after.system - before.user - before.system
    return {
        "idle_seconds": seconds,
        "idle_statements_per_hour": asked * _HOUR / seconds,
        "idle_cpu_seconds_per_hour": cpu * _HOUR / seconds,
    }
