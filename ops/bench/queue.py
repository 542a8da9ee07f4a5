"""How fast, prompt, frugal and fair the queue is, beside stock Dramatiq and others on the same servers.

    muhurat bench queue --json                     everything: some twenty minutes
    muhurat bench queue --without-peers            ours and stock Dramatiq alone
    muhurat bench queue --only vs_stock,io_share   some of the figures
    muhurat bench queue --only vs_stock --old-rows 0 --rounds 1 --scale 0.25    a quick look

The clock of a rate runs from when the workers, booted and warm, are let see the messages, until the last is done. The
rounds are interleaved, the order turned around with each, and a figure is the median of its rounds.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from ops.bench.queue_contender import Contender, rate
from ops.bench.queue_costs import IO, REQUESTS, io_share, requests, rss_growth
from ops.bench.queue_others import CeleryPeer, ProcrastinatePeer, missing
from ops.bench.queue_ours import Ours, OursPlain
from ops.bench.queue_promptness import idle, noisy
from ops.bench.queue_stock import Stock, StockRecorded
from ops.bench.queue_told import COUNTED
from ops.bench.queue_world import Told, World, open_world
from ops.bench.report import at_least, at_most, measured, middle, versions_of
from ops.local import FOLDER, running

PLACE = FOLDER / "bench"
USERS, FEWEST_USERS = 20_000, 20

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
    """How much is measured. scale: of what runs at full pace, in each round and where requests or waits are counted.

    old_rows: settled executions of earlier months. singles: messages whose pick-up is timed. noisy: executions that one
    user has queued. executions: after so many memory is looked at.
    """

    rounds: int = 3
    scale: float = 1.0
    old_rows: int = 5_000_000
    singles: int = 250
    noisy: int = 10_000
    executions: int = 1_000_000

    @property
    def users(self) -> int:
        """As many that each has two executions in a round."""
        return max(self.scaled(USERS), FEWEST_USERS)

    def scaled(self, count: int) -> int:
        """Return so many, scaled, but one at least."""
        return max(int(count * self.scale), 1)


def peers_missing(names: Collection[str]) -> list[str]:
    """Return the packages that these figures need and that are not installed."""
    return missing({package for name in names for package in PEERS.get(name, ())})


def measure(names: Collection[str], sizes: Sizes, told: Told = lambda _: None) -> dict[str, Any]:
    """Measure the named figures of BARS. told: what is done next. Raises BenchError, LocalServerError."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with running(PLACE, fresh=True, keep=False) as servers:
        peers = sorted({package for name in names for package in PEERS.get(name, ())})
        versions = asyncio.run(versions_of(servers, "dramatiq", "redis", "sqlalchemy", "asyncpg", *peers))

        async def all_of_them() -> tuple[dict[str, float], list[dict[str, float]]]:
            async with open_world(servers, PLACE, sizes.users, sizes.old_rows, told) as world:
                rounds = await _rounds(world, names, sizes, told)
                return _rates(rounds) | await _others(world, names, sizes, told), rounds

        figures, rounds = asyncio.run(all_of_them())
    figures |= {"rounds": sizes.rounds, "old_rows": sizes.old_rows}
    report = measured("queue", figures, {name: BARS[name] for name in BARS if name in names}, versions)
    counted = {name: text for name, text in COUNTED.items() if name in figures}
    goals = {name: GOALS[name] for name in GOALS if name in names}
    return report | {"goals": goals, "each_round": rounds, "counted": counted}


async def _rounds(world: World, names: Collection[str], sizes: Sizes, told: Told) -> list[dict[str, float]]:
    """Return what everybody did a second, by name, in each round; nothing when no rate is asked for."""
    rivals = [make(world) for name, make in _CONTENDERS.items() if name in names]
    contenders = [Ours(world), OursPlain(world), *rivals] if rivals else []
    found: list[dict[str, float]] = []
    for number in range(sizes.rounds if contenders else 0):
        found.append({})
        # Who runs first is turned around with each round: a machine grows warm, and tired.
        for one in contenders if number % 2 == 0 else reversed(contenders):
            told(f"Round {number + 1} of {sizes.rounds}: {one.name}")
            found[-1][f"{one.name}_per_s"] = await rate(one, sizes.scaled(one.usual))
    return found


def _rates(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the medians, and what ours is to that of each other."""
    if not rounds:
        return {}
    rates = middle(rounds)
    ours = rates["ours_per_s"]
    return rates | {name: ours / rates[other] for name in BARS if (other := _other(name)) in rates}


def _other(name: str) -> str:
    return f"{name.removeprefix('vs_')}_per_s"


async def _others(world: World, names: Collection[str], sizes: Sizes, told: Told) -> dict[str, float]:
    figures: dict[str, float] = {}
    if {"idle_p50_vs_stock", "idle_p99_vs_stock"} & set(names):
        figures |= await idle(world, sizes.singles, told)
    if "io_share" in names:
        figures |= await io_share(world, sizes.scaled(IO), told)
    if {"redis_per_execution", "sql_per_execution"} & set(names):
        figures |= await requests(world, sizes.scaled(REQUESTS), told)
    if "noisy_p99" in names:
        figures |= await noisy(world, sizes.rounds, sizes.singles, sizes.noisy, told)
    if "rss_growth" in names:
        figures |= await rss_growth(world, sizes.executions, told)
    return figures
