"""How fast, prompt and frugal the scheduler is, beside others on the same servers.

    muhurat bench schedule --json                     10,000, 100,000 and 1,000,000 subscribers: some twenty minutes
    muhurat bench schedule --users 10000 --json       100, 1,000 and 10,000
    muhurat bench schedule --without-peers            ours and a stock Dramatiq `send()` loop alone
    muhurat bench schedule --only late_p99_s,idle     some of the figures

The clock runs from the moment a schedule is due until every execution is committed and its message on Redis, under the
real door. The rounds are interleaved, the order turned around with each, and a figure is the median of its rounds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from ops.bench.queue_others import missing
from ops.bench.queue_world import Told, open_world
from ops.bench.report import at_least, at_most, measured, versions_of
from ops.bench.schedule_doors import Schedulers
from ops.bench.schedule_firing import Fired, fire
from ops.bench.schedule_idle import idle
from ops.bench.schedule_late import TRIGGERS, lateness
from ops.bench.schedule_peers import sent_per_s
from ops.bench.schedule_told import counted
from ops.bench.schedule_world import subscribed
from ops.local import FOLDER, running

PLACE = FOLDER / "bench"

BARS = {
    "vs_send": at_least(15),
    "vs_procrastinate": at_least(4.5),
    "linear": at_most(11),
    "first_s": at_most(0.5),
    "two_schedulers": at_most(1.1),
    "duplicates": at_most(0),
    "rss_growth": at_most(1.2),
    "rss_mb": at_most(120),
    "late_p99_s": at_most(0.5),
}
GOALS = {"vs_send": 25, "vs_procrastinate": 8}
# What is reported beside, and asked for by name as well.
NAMES = (*BARS, "vs_celery", "idle")

# What each needs beside what the product is made of.
PEERS = {"vs_procrastinate": ("procrastinate", "psycopg"), "vs_celery": ("celery", "psycopg")}
OURS_ALONE = frozenset(NAMES) - frozenset(PEERS)

_SENDERS = {"vs_send": "stock", "vs_celery": "celery", "vs_procrastinate": "procrastinate"}
_NOT_FIRING = {"late_p99_s", "idle"}
# Users by whom the growth of memory is counted.
_FEW = 1000


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured. users: the most that subscribe; a tenth and a hundredth of them are measured too.

    triggers: schedules of their own times. idle_seconds: how long an idle scheduler is looked at; its minute has
    something of its own, so that whole minutes tell most.
    """

    users: int = 1_000_000
    rounds: int = 3
    triggers: int = TRIGGERS
    idle_seconds: float = 120.0

    @property
    def smaller(self) -> list[int]:
        """The sizes below the largest, the smallest first."""
        return sorted({max(self.users // 100, 1), max(self.users // 10, 1)} - {self.users})


def peers_missing(names: Collection[str]) -> list[str]:
    """Return the packages that these figures need and that are not installed."""
    return missing({package for name in names for package in PEERS.get(name, ())})


def measure(names: Collection[str], sizes: Sizes, told: Told = lambda _: None) -> dict[str, Any]:
    """Measure the named figures of NAMES. told: what is done next. Raises BenchError, LocalServerError."""
    PLACE.mkdir(parents=True, exist_ok=True)
    with running(PLACE, fresh=True, keep=False, durable=True) as servers:
        peers = sorted({package for name in names for package in PEERS.get(name, ())})
        versions = asyncio.run(versions_of(servers, "dramatiq", "redis", "sqlalchemy", "asyncpg", *peers))

        async def all_of_them() -> tuple[dict[str, float], list[dict[str, float]]]:
            async with open_world(servers, PLACE, 1, 0, told) as world:
                schedulers = Schedulers(await subscribed(world))
                try:
                    return await _Bench(schedulers, names, sizes, told).run()
                finally:
                    await schedulers.keep(0)

        figures, rounds = asyncio.run(all_of_them())
    report = measured("schedule", figures, {name: BARS[name] for name in BARS if name in names}, versions)
    goals = {name: GOALS[name] for name in GOALS if name in names}
    return report | {"goals": goals, "each_round": rounds, "counted": counted(figures)}


class _Bench:
    """The order of it all: the world only grows, and its clock only goes on."""

    def __init__(self, schedulers: Schedulers, names: Collection[str], sizes: Sizes, told: Told) -> None:
        self.schedulers, self.people = schedulers, schedulers.people
        self.names, self.sizes, self.told = set(names), sizes, told
        self.figures: dict[str, float] = {"users": sizes.users, "rounds": sizes.rounds}
        self.rounds: list[dict[str, float]] = []
        self.doubled = 0

    async def run(self) -> tuple[dict[str, float], list[dict[str, float]]]:
        """Return the figures, and what was found in each round at the largest size."""
        fires = bool(self.names - _NOT_FIRING)
        steps: list[tuple[int, Callable[[], Awaitable[None]]]] = []
        if "rss_growth" in self.names:
            steps.append((min(_FEW, self.sizes.users), self._memory))
        if "linear" in self.names:
            steps += [(users, self._smaller) for users in self.sizes.smaller]
        if "late_p99_s" in self.names:
            steps.append((min(self.sizes.triggers, self.sizes.users), self._late))
        for users, step in sorted(steps, key=lambda one: one[0]):
            await self.people.grow(users, self.told)
            await step()
        if fires or "idle" in self.names:
            await self.people.grow(self.sizes.users, self.told)
        if fires:
            await self._largest()
        if "idle" in self.names:
            self.figures |= await idle(self.schedulers, self.sizes.idle_seconds, self.told)
        return self.figures, self.rounds

    async def _memory(self) -> None:
        self.figures["rss_few_mb"] = (await self._fire(1)).rss_mb

    async def _late(self) -> None:
        await self.schedulers.keep(1)
        self.figures |= await lateness(self.people, self.people.users, self.told)

    async def _smaller(self) -> None:
        self._note([await self._fire(1) for _ in range(self.sizes.rounds)])

    async def _largest(self) -> None:
        """Fire for everybody, with one scheduler and with two, and let the others send, in turns."""
        one: list[Fired] = []
        for number in range(self.sizes.rounds):
            found: dict[str, float] = {}
            # Who is first is turned around with each round: a machine grows warm, and tired.
            turns = self._turns()
            for name in turns if number % 2 == 0 else reversed(turns):
                if name in ("one", "two"):
                    fired = await self._fire(1 if name == "one" else 2)
                    found[f"{name}_seconds"] = fired.seconds
                    one += [fired] if name == "one" else []
                else:
                    self.told(f"{name} sends")
                    await self.schedulers.keep(0)
                    found[f"{name}_per_s"] = await sent_per_s(self.people.world, name, self.sizes.users)
            self.rounds.append(found)
        self._note(one)
        self._compare(one)

    def _turns(self) -> Sequence[str]:
        two = ["two"] if self.names & {"two_schedulers", "duplicates"} else []
        return ["one", *two, *(sender for name, sender in _SENDERS.items() if name in self.names)]

    async def _fire(self, schedulers: int) -> Fired:
        self.told(f"{self.people.users:,} subscribers of one schedule, {schedulers} scheduler(s)")
        await self.schedulers.keep(schedulers)
        fired = await fire(self.people, self.schedulers.doors)
        self.doubled += fired.doubled
        return fired

    def _note(self, rounds: list[Fired]) -> None:
        users, seconds = rounds[0].users, median(one.seconds for one in rounds)
        self.figures |= {
            f"seconds_{users}": seconds,
            f"per_s_{users}": users / seconds,
            f"first_s_{users}": median(one.first_s for one in rounds),
            f"last_s_{users}": median(one.last_s for one in rounds),
        }

    def _compare(self, one: list[Fired]) -> None:
        users, figures = self.sizes.users, self.figures
        middle = {name: median(found[name] for found in self.rounds) for name in self.rounds[0]}
        figures |= {name: value for name, value in middle.items() if name != "one_seconds"}
        for name, sender in _SENDERS.items():
            if name in self.names:
                figures[name] = figures[f"per_s_{users}"] / middle[f"{sender}_per_s"]
        if "two_seconds" in middle:
            figures["two_schedulers"] = middle["two_seconds"] / middle["one_seconds"]
        if "linear" in self.names:
            figures["linear"] = figures[f"seconds_{users}"] / figures[f"seconds_{max(self.sizes.smaller)}"]
        figures["first_s"], figures["duplicates"] = figures[f"first_s_{users}"], self.doubled
        figures["rss_mb"] = median(fired.rss_mb for fired in one)
        if "rss_growth" in self.names:
            figures["rss_growth"] = figures["rss_mb"] / figures["rss_few_mb"]
