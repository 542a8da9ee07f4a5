"""How fast the queue is, beside stock Dramatiq on the same servers.

muhurat bench queue --json
muhurat bench queue --old-rows 0 --rounds 1    a quick look
"""

import asyncio
import time
from typing import Any

from ops.bench.queue_contenders import Contender, Ours, Stock
from ops.bench.queue_world import Told, World, open_world
from ops.bench.report import at_least, measured, middle, versions_of
from ops.local import FOLDER, running

PLACE = FOLDER / "bench"
USERS = 20_000

BARS = {
    "vs_stock": at_least(2.5),
    "vs_stock_prefetch": at_least(1.25),
}


def measure(rounds: int, old_rows: int, told: Told = lambda _: None) -> dict[str, Any]:
    """Measure the figures. told: what is done next. Raises BenchError, LocalServerError."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with running(PLACE, fresh=True, keep=False) as servers:
        versions = asyncio.run(versions_of(servers, "dramatiq", "redis", "sqlalchemy", "asyncpg"))

        async def all_of_it() -> dict[str, float]:
            async with open_world(servers, PLACE, USERS, old_rows, told) as world:
                return await _rates(world, rounds, told)

        figures = asyncio.run(all_of_it())
    return measured("queue", figures, {name: bar for name, bar in BARS.items() if name in figures}, versions)


async def _rates(world: World, rounds: int, told: Told) -> dict[str, float]:
    contenders: list[Contender] = [
        Ours(world),
        Stock(world),
        Stock(world, "stock_prefetch", dramatiq_queue_prefetch="256"),
    ]
    found: list[dict[str, float]] = []
    for number in range(rounds):
        found.append({})
        for one in contenders if number % 2 == 0 else reversed(contenders):
            told(f"Round {number + 1} of {rounds}: {one.name}")
            found[-1][f"{one.name}_per_s"] = await _rate(one)
    rates = middle(found)
    ours = rates["ours_per_s"]
    return rates | {f"vs_{one.name}": ours / rates[f"{one.name}_per_s"] for one in contenders[1:]}


async def _rate(contender: Contender) -> float:
    async with contender.running():
        await contender.lay(contender.usual)
        begun = time.perf_counter()
        await contender.let_go()
        await contender.drained()
        return contender.usual / (time.perf_counter() - begun)
