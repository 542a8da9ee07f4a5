"""How fast, prompt, frugal and fair the queue is, beside stock Dramatiq and others on the same servers.

    muhurat bench queue --json                     everything: some twenty minutes
    muhurat bench queue --without-peers            ours and stock Dramatiq alone
    muhurat bench queue --only vs_stock,io_share   some of the figures
    muhurat bench queue --only vs_stock --old-rows 0 --rounds 1 --scale 0.25    a quick look

The clock of a rate runs from when the workers, booted and warm, are let see the messages, until the last is done. The
rounds are interleaved, the order turned around with each, and a figure is the median of its rounds.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ops.bench.queue_contender import Contender, rate
from ops.bench.queue_costs import io_share, requests, rss_growth
from ops.bench.queue_others import CeleryPeer, ProcrastinatePeer, missing
from ops.bench.queue_ours import Ours, OursPlain
from ops.bench.queue_promptness import idle, noisy
from ops.bench.queue_stock import Stock, StockRecorded
from ops.bench.queue_told import COUNTED
from ops.bench.queue_world import Told, World, open_world
from ops.bench.report import at_least, at_most, measured, middle, versions_of
from ops.local import FOLDER, running

PLACE = FOLDER / "bench"

BARS = {
    "vs_stock": at_least(2.5),
    "vs_stock_prefetch": at_least(1.25),
    "vs_stock_recorded": at_least(5),
    "vs_celery": at_least(25),
    "vs_procrastinate": at_least(40),
    "idle_p50_vs_stock": at_most(0.05),
    "idle_p99_vs_stock": at_most(0.05),
    "io_share": at_least(0.95),
    "redis_per_execution": at_most(0.2),
    "sql_per_execution": at_most(0.2),
    "noisy_p99": at_most(1.5),
    "rss_growth": at_most(1.1),
}
GOALS = {"vs_stock": 4, "vs_stock_prefetch": 2, "vs_stock_recorded": 7, "vs_celery": 35, "vs_procrastinate": 55}

# What each figure needs beside what the product is made of.
PEERS = {
    "vs_stock_recorded": ("psycopg",),
    "vs_celery": ("celery", "psycopg"),
    "vs_procrastinate": ("procrastinate", "psycopg"),
}
OURS_ALONE = frozenset(BARS) - frozenset(PEERS)

_CONTENDERS: dict[str, Callable[[World], Contender]] = {
    "vs_stock": Stock,
    "vs_stock_prefetch": lambda world: Stock(world, "stock_prefetch", prefetch=256),
    "vs_stock_recorded": StockRecorded,
    "vs_celery": CeleryPeer,
    "vs_procrastinate": ProcrastinatePeer,
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. scale: of the messages of each round.

    old_rows: settled executions of earlier months. singles: messages whose pick-up is timed. noisy: executions that one
    user has queued. executions: after so many memory is looked at.
    """

    rounds: int = 3
    scale: float = 1.0
    users: int = 20_000
    old_rows: int = 5_000_000
    singles: int = 250
    noisy: int = 10_000
    executions: int = 1_000_000
    io: int = 6_400
    requests: int = 20_000


def peers_missing(names: Collection[str]) -> list[str]:
    """Return the packages that these figures need and that are not installed."""
    return missing({package for name in names for package in PEERS.get(name, ())})


def measure(names: Collection[str], sizes: Sizes, told: Told = lambda _: None) -> dict[str, Any]:
    """Measure the named figures of BARS. told: what is done next. Raises BenchError, LocalServerError."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with running(PLACE, fresh=True, keep=False) as servers:
        peers = sorted({package for name in names for package in PEERS.get(name, ())})
        versions = asyncio.run(versions_of(servers, "dramatiq", "redis", "sqlalchemy", "asyncpg", *peers))

        async def all_of_them() -> dict[str, float]:
            async with open_world(servers, PLACE, sizes.users, sizes.old_rows, told) as world:
                return await _figures(world, names, sizes, told)

        figures = asyncio.run(all_of_them())
    report = measured("queue", figures, {name: BARS[name] for name in BARS if name in names}, versions)
    counted = {name: text for name, text in COUNTED.items() if name in figures}
    return report | {"goals": {name: GOALS[name] for name in GOALS if name in names}, "counted": counted}


async def _figures(world: World, names: Collection[str], sizes: Sizes, told: Told) -> dict[str, float]:
    figures: dict[str, float] = {"rounds": sizes.rounds, "old_rows": sizes.old_rows}
    if rivals := [name for name in _CONTENDERS if name in names]:
        figures |= await _rates(world, rivals, sizes, told)
    if {"idle_p50_vs_stock", "idle_p99_vs_stock"} & set(names):
        figures |= await idle(world, sizes.singles, told)
    if "io_share" in names:
        figures |= await io_share(world, sizes.io, told)
    if {"redis_per_execution", "sql_per_execution"} & set(names):
        figures |= await requests(world, sizes.requests, told)
    if "noisy_p99" in names:
        figures |= await noisy(world, sizes.rounds, sizes.singles, sizes.noisy, told)
    if "rss_growth" in names:
        figures |= await rss_growth(world, sizes.executions, told)
    return figures


async def _rates(world: World, rivals: Collection[str], sizes: Sizes, told: Told) -> dict[str, float]:
    contenders = [Ours(world), OursPlain(world), *(_CONTENDERS[name](world) for name in rivals)]
    found: list[dict[str, float]] = []
    for number in range(sizes.rounds):
        found.append({})
        # Who runs first is turned around with each round: a machine grows warm, and tired.
        for one in contenders if number % 2 == 0 else reversed(contenders):
            told(f"Round {number + 1} of {sizes.rounds}: {one.name}")
            found[-1][f"{one.name}_per_s"] = await rate(one, max(int(one.usual * sizes.scale), 1))
    return _ratios(middle(found), [one.name for one in contenders[2:]])


def _ratios(rates: Mapping[str, float], rivals: Collection[str]) -> dict[str, float]:
    return {**rates, **{f"vs_{name}": rates["ours_per_s"] / rates[f"{name}_per_s"] for name in rivals}}
