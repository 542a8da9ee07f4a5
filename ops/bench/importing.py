"""How fast a history of trades is imported: the command itself, as people run it, in a process of its own.

Each run has servers of its own with an empty database, so that every one meets the same. Counted is the whole command:
its start, the reading, the rows, and the sums that are held against each other at the end.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.servers import ServerUrls
from ops.bench.report import BenchError, at_least, at_most, measured, middle, versions_of
from ops.bench.trades import AGAIN, write_trades
from ops.doors import ROOT, without_foreign_servers
from ops.local import FOLDER, Servers, running
from ops.schema import make_ready

PLACE = FOLDER / "bench"

BARS = {"trades_per_s": at_least(5000), "rss_mb": at_most(300), "dry_run_ratio": at_most(1)}

_PACKAGES = ("sqlalchemy", "asyncpg")
# Linux counts the largest size of a process in kilobytes, macOS in bytes.
_RSS_MB = 1 << 20 if sys.platform == "darwin" else 1 << 10


def measure(
    trades: int, rounds: int, seed: int, again: float = AGAIN, told: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Import and dry-run a file, in turns. Raises BenchError, LocalServerError.

    again: levels of the re-entry ladder that a trade took on average. told: what is done next.
    """
    # What the two run one after the other in is turned around with each round: a machine grows warm, and tired.
    PLACE.mkdir(parents=True, exist_ok=True)
    path = PLACE / "trades_history.json"
    told(f"Writing {trades:,} trades")
    write_trades(path, trades, seed, again)
    versions: dict[str, str] = {}
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for number in range(rounds):
        for dry_run in (False, True) if number % 2 == 0 else (True, False):
            told(f"Round {number + 1} of {rounds}: {'dry run' if dry_run else 'import'}")
            with running(PLACE, fresh=True, keep=False) as servers:
                versions = versions or asyncio.run(versions_of(servers, *_PACKAGES))
                found[dry_run].append(_run(servers, path, trades, dry_run=dry_run))
    path.unlink()
    figures = _figures(trades, rounds, middle(found[False]), middle(found[True]))
    return measured("import", figures, BARS, versions)


def _figures(trades: int, rounds: int, brought: dict[str, float], dry: dict[str, float]) -> dict[str, float]:
    return {
        "trades": trades,
        "rounds": rounds,
        "rows": brought["rows"],
        "trades_per_s": trades / brought["seconds"],
        "rows_per_s": brought["rows"] / brought["seconds"],
        "import_s": brought["seconds"],
        "dry_run_s": dry["seconds"],
        "dry_run_ratio": dry["seconds"] / brought["seconds"],
        "rss_mb": max(brought["rss_mb"], dry["rss_mb"]),
        "cpu_us_per_trade": 1e6 * brought["cpu"] / trades,
    }


def _run(servers: Servers, path: Path, trades: int, *, dry_run: bool) -> dict[str, float]:
    """Run the command once. Returns its seconds, its processor seconds, its largest memory, and the rows it made."""
    url = ServerUrls(servers.database_url, servers.redis_url).sqlalchemy
    today = datetime.now(UTC).date()
    asyncio.run(make_ready(url, today, today))
    words = ["import", "trades-history", str(path.absolute()), "--user", "bench@example.org", "--create-user"]
    words += ["--as", "bench", "--json", *(["--dry-run"] if dry_run else [])]
    environment = without_foreign_servers(os.environ)
    environment |= {"DATABASE_URL": servers.database_url, "REDIS_URL": servers.redis_url}
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "ops.cli", *words], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        said = process.stdout.read() if process.stdout else ""
        # Not through Popen: only so the numbers are those of this child alone.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "rss_mb": used.ru_maxrss / _RSS_MB,
        "rows": _rows(said, process.returncode, trades),
    }


def _rows(said: str, code: int, trades: int) -> int:
    """Return how many rows an import made: orders, fills, positions and taken levels. Raises BenchError."""
    if code:
        raise BenchError(f"the import ended with code {code}; what it said stands above")
    [source] = json.loads(said)["sources"]
    if source["counts"]["imported"] != trades:
        raise BenchError(f"of {trades} trades these were imported: {source['counts']}")
    sums = source["sums"]
    # A trade is bought, sold, and was once more for each level it took.
    return int(sums["orders"] + sums["fills"] + trades + sums["orders"] - 2 * trades)
