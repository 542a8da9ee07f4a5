"""What a bench tells: figures, the bars they are held against, the machine and the versions they were measured on.

A bench is a function that returns `measured(...)`; a command of `ops.cli.bench_commands` prints it. Nothing else is
needed: figures are a plain mapping of name to number, and only those with a bar are judged.

    figures = {"trades_per_s": 5400.0, "rss_mb": 160.0, "rounds": 3}
    bars = {"trades_per_s": at_least(5000), "rss_mb": at_most(300)}
    return measured("import", figures, bars, await versions_of(servers, "sqlalchemy", "asyncpg"))
"""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import asyncpg
from redis.asyncio import Redis

from ops.local import Servers

_MB = 1 << 20


class BenchError(Exception):
    """What was to be measured did not work."""


class Bar(NamedTuple):
    """A limit. rising: more is better, so that the limit is the least; else it is the most."""

    limit: float
    rising: bool

    def holds(self, value: float) -> bool:
        """Tell whether a value is on the right side; the limit itself is."""
        return value >= self.limit if self.rising else value <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.rising else '<='} {self.limit:,g}"


def at_least(limit: float) -> Bar:
    """Return a bar for what shall be large, such as a rate."""
    return Bar(limit, rising=True)


def at_most(limit: float) -> Bar:
    """Return a bar for what shall be small, such as seconds or memory."""
    return Bar(limit, rising=False)


def measured(
    bench: str, figures: Mapping[str, float], bars: Mapping[str, Bar], versions: Mapping[str, str]
) -> dict[str, Any]:
    """Return a report as JSON values; `bars` has each limit with its figure and whether it holds.

    Raises KeyError for a bar without a figure.
    """
    return {
        "bench": bench,
        "holds": all(bar.holds(figures[name]) for name, bar in bars.items()),
        "figures": {name: round(value, 4) for name, value in figures.items()},
        "bars": {
            name: {"value": round(figures[name], 4), "bar": str(bar), "holds": bar.holds(figures[name])}
            for name, bar in bars.items()
        },
        "machine": machine(),
        "versions": dict(versions),
    }


def middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over the rounds: of a shared machine the best and the worst tell little."""
    return {name: median(one[name] for one in rounds) for name in rounds[0]}


def machine() -> dict[str, Any]:
    """Return what it was measured on. cores: those this process may use."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MB,
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


async def versions_of(servers: Servers, *packages: str) -> dict[str, str]:
    """Return the versions of the servers that are used, and of packages by their names on the index."""
    connection = await asyncpg.connect(servers.database_url)
    try:
        postgres = await connection.fetchval("SHOW server_version")
    finally:
        await connection.close()
    redis = Redis.from_url(servers.redis_url)
    try:
        told = await redis.info("server")
    finally:
        await redis.aclose()
    # Valkey says which Redis it stands in for, too.
    bell = "valkey" if "valkey_version" in told else "redis"
    return {"postgres": postgres, bell: told[f"{bell}_version"], **{name: version(name) for name in packages}}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
