"""A short replay through real processes, which leave nothing behind however it ends."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import psutil
import pytest

from adapters.prices.simulated import SimulatedPrices
from ops.replay.plan import exchange_calendar
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
# Nothing listens there: a replay that looked at them would fail.
PRODUCTION = {"DATABASE_URL": "postgres://me:secret@127.0.0.1:1/production", "REDIS_URL": "redis://127.0.0.1:1"}
SHORT = ["replay", "--users", "2", "--workers", "1", "--from", "2025-12-18", "--to", "2025-12-24", "--data", "bars"]
# Enough to learn from, and a tenth of what the simulated market has by itself.
SYMBOLS = 12
START_SECONDS = 90.0  # with every core busy
STOP_SECONDS = 45.0


@contextmanager
def started(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the command in a folder, its output in files; whatever is left of it is killed at the end."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT_")}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", *arguments],
            cwd=folder,
            env=kept | PRODUCTION | {"PYTHONPATH": str(ROOT)} | environment,
            stdout=out,
            stderr=err,
        )
    try:
        yield process
    finally:
        family = [*psutil.Process(process.pid).children(recursive=True)] if process.poll() is None else []
        process.kill()
        process.wait()
        for one in family:
            kill_quietly(one)


def write_bars(folder: Path) -> None:
    """Write two symbols' bars, with a year of history: quick to load, and too few to learn from."""
    days = [one.day for one in exchange_calendar().sessions_between(date(2024, 12, 2), date(2025, 12, 31))]
    for symbol in ("INFY", "TCS"):
        write_symbol(folder, symbol, [f"{day},100,101,99,{100 + number % 2},1000" for number, day in enumerate(days)])


async def write_market(folder: Path) -> None:
    """Write the bars of some symbols of the simulated market."""
    calendar = exchange_calendar()
    days = [one.day for one in calendar.sessions_between(calendar.first, date(2025, 12, 31))]
    rows: dict[str, list[str]] = defaultdict(list)
    for bar in (await SimulatedPrices(7, days, SYMBOLS).bars(days[0], days[-1])).bars:
        rows[bar.symbol].append(f"{bar.day},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}")
    for symbol, bars in rows.items():
        write_symbol(folder, symbol, bars)


def write_symbol(folder: Path, symbol: str, rows: list[str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{symbol}.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows, ""]))


def kill_quietly(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def family_at_work(process: subprocess.Popen[bytes], folder: Path) -> list[psutil.Process]:
    """Wait until the replay moves, and return every process below the command."""

    def moving() -> bool:
        assert process.poll() is None, (folder / "err").read_text()
        return b"Replaying session" in (folder / "err").read_bytes()

    wait_until(moving, START_SECONDS)
    return list(psutil.Process(process.pid).children(recursive=True))


def test_a_short_replay_ends_with_nothing_unfinished_though_its_scheduler_was_killed(tmp_path: Path) -> None:
    asyncio.run(write_market(tmp_path / "bars"))
    with started(tmp_path, *SHORT, "--json") as process:
        (scheduler,) = [one for one in family_at_work(process, tmp_path) if "scheduler.main" in one.cmdline()]
        scheduler.kill()
        assert process.wait(START_SECONDS + STOP_SECONDS) == 0, (tmp_path / "err").read_text()
    report = json.loads((tmp_path / "out").read_text())
    assert (report["sessions"], report["users"], report["unfinished"]) == (5, 2, 0)
    assert report["executions"]["failed"] == 0, (tmp_path / "err").read_text()
    assert report["models_trained"] == 1
    assert report["slots"] >= 5 * 6
    assert report["equity"]["start"] == 1_250_000  # the first user's million, the second one's quarter
    assert sum(worker["executions"] for worker in report["workers"]) > 0
    assert re.fullmatch(r"[0-9a-f]{64}", report["digest"])
    assert "secret" not in (tmp_path / "err").read_text()
    assert not (tmp_path / ".muhurat" / "replay" / "postgres").exists()


def test_no_process_stays_behind_when_a_replay_is_interrupted(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars")
    with started(tmp_path, *SHORT) as process:
        family = family_at_work(process, tmp_path)
        assert len(family) >= 4  # two servers, the scheduler, the workers' supervisor
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_SECONDS) == 130
        assert [one for one in family if alive(one)] == []
    assert "Traceback" not in (tmp_path / "err").read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_no_process_stays_behind_when_a_replay_is_killed(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars")
    with started(tmp_path, *SHORT) as process:
        family = family_at_work(process, tmp_path)
        process.kill()
        process.wait()
        wait_until(lambda: not any(alive(one) for one in family), STOP_SECONDS)


def test_a_door_that_cannot_run_is_an_error_with_its_own_words(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars")
    with started(tmp_path, *SHORT, MUHURAT_WORKER_LEASE_SECONDS="soon") as process:
        assert process.wait(START_SECONDS) == 1
    (line,) = [line for line in (tmp_path / "err").read_text().splitlines() if line.startswith("error: ")]
    assert "MUHURAT_WORKER_LEASE_SECONDS" in line
    assert ".log" in line
