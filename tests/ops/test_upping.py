"""`muhurat up` runs a Procfile in one terminal: release first, names before lines, the dead started again."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from ops.local import at_hand
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 45.0
START_SECONDS = 60.0

STAY = "import os, time; print('here with', os.environ['MUHURAT_PRICES'], os.environ['DATABASE_URL']); time.sleep(600)"


# What is due within the turn of a scheduler is planned anew by it; a moment later nothing may be left behind.
BEHIND = "SELECT count(*) FROM schedules WHERE enabled AND (next_due_at IS NULL OR next_due_at <= now())"


def surroundings(**more: str) -> dict[str, str]:
    """Return an environment without anybody's settings in which the code is found from any folder."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT_")}
    return kept | {"PYTHONPATH": str(ROOT)} | more


@contextmanager
def up(folder: Path, procfile: str | None, prices: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Procfile in a folder, its output in the file `out`. procfile: its text, None for the one of the house."""
    named = []
    if procfile is not None:
        (folder / "Procfile").write_text(procfile)
        named = ["--procfile", "Procfile"]
    chosen = {} if prices is None else {"MUHURAT_PRICES": prices}
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "up", *named],
            cwd=folder,
            env=surroundings(DATABASE_URL="postgres://127.0.0.1:1/production", **chosen),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()  # on Linux all below it end with it
        process.wait()


def lines(folder: Path, name: str) -> list[str]:
    """Return what was printed under a name."""
    split = [line.split(" | ", 1) for line in (folder / "out").read_text().splitlines() if " | " in line]
    return [said for who, said in split if who.strip() == name]


def events(folder: Path, event: str) -> set[str]:
    """Return under which names an event was logged."""
    names = set()
    for line in (folder / "out").read_text().splitlines():
        who, _, said = line.partition(" | ")
        if said.startswith("{") and json.loads(said).get("event") == event:
            names.add(who.strip())
    return names


def status(folder: Path) -> Any:
    """Return what `muhurat status` says in the folder."""
    said = subprocess.run(
        [sys.executable, "-m", "ops.cli", "status", "--json"],
        cwd=folder, env=surroundings(MUHURAT_LOCAL="1"), capture_output=True, check=True, timeout=START_SECONDS,
    )  # fmt: skip
    return json.loads(said.stdout)


def behind(folder: Path) -> int:
    """Return how many schedules are not planned for later than now."""

    async def count(urls: ServerUrls) -> int:
        database = Database(make_engine(urls.sqlalchemy, pool_size=1))
        try:
            async with database.reading(None) as session:
                return int((await session.execute(text(BEHIND))).scalar_one())
        finally:
            await database.close()

    with at_hand(folder / ".muhurat") as servers:
        return asyncio.run(count(ServerUrls(servers.database_url, servers.redis_url)))


def test_the_procfile_of_the_house_runs_whole_and_ends_whole_with_ctrl_c(tmp_path: Path) -> None:
    workers = {"worker": {"orders", "default"}, "strategy": {"strategy"}, "ml": {"ml"}}
    with up(tmp_path, None, "simulated:7:5") as process:
        wait_until(lambda: events(tmp_path, "worker_ready") == set(workers), START_SECONDS)
        wait_until(lambda: events(tmp_path, "scheduler_ready") == {"scheduler"}, START_SECONDS)
        wait_until(lambda: behind(tmp_path) == 0, START_SECONDS)
        found = status(tmp_path)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(STOP_SECONDS) == 130
        assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    assert len(found["schedulers"]) == 1
    queues = [one["queues"].split(",") for one in found["workers"]]
    assert sorted(map(sorted, queues)) == sorted(map(sorted, workers.values()))
    assert all(one["lease_seconds"] > 0 for one in found["workers"])
    assert found["redis"]["away"] is None
    assert events(tmp_path, "worker_stopped") == set(workers)
    assert events(tmp_path, "scheduler_stopped") == {"scheduler"}
    assert "Traceback" not in (tmp_path / "out").read_text()


def test_everything_runs_under_its_name_and_nothing_stays_after_a_signal(tmp_path: Path) -> None:
    procfile = f'release: echo released\nstay: python -c "{STAY}"\nbrief: python -c "print(\'gone\')"\n'
    with up(tmp_path, procfile) as process:
        wait_until(lambda: len([one for one in lines(tmp_path, "brief") if one == "gone"]) >= 2, START_SECONDS)
        wait_until(lambda: lines(tmp_path, "stay"), START_SECONDS)
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_SECONDS) == 130
        assert [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE] == []
    assert lines(tmp_path, "release") == ["released"]
    (here,) = lines(tmp_path, "stay")
    assert "simulated:7" in here
    assert str(tmp_path) in here or "muhurat-" in here
    assert "production" not in here
    assert any("starts again in 1 s" in said for said in lines(tmp_path, "brief"))
    assert "simulated:7 (MUHURAT_PRICES is not set)" in lines(tmp_path, "muhurat")[0]
    said = "\n".join(lines(tmp_path, "muhurat"))
    assert "MUHURAT_LOCAL=1 muhurat status" in said
    assert "prices load simulated:7" in said
    assert "nobody trades yet" in said
    assert (tmp_path / ".muhurat" / "postgres").exists()


def test_a_release_that_fails_starts_nothing(tmp_path: Path) -> None:
    with up(tmp_path, 'release: python -c "raise SystemExit(3)"\nweb: echo started\n') as process:
        assert process.wait(START_SECONDS) == 1
    assert "error: the release process ended with code 3" in (tmp_path / "out").read_text()
    assert lines(tmp_path, "web") == []


def test_a_folder_of_prices_is_found_from_where_the_processes_run_and_named(tmp_path: Path) -> None:
    (tmp_path / "bars").mkdir()
    with up(tmp_path, f'stay: python -c "{STAY}"\n', "folder:bars") as process:
        wait_until(lambda: lines(tmp_path, "stay"), START_SECONDS)
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
    assert f"folder:{tmp_path / 'bars'}" in lines(tmp_path, "stay")[0]
    assert any(f"{tmp_path / 'bars'} is asked every ten minutes" in said for said in lines(tmp_path, "muhurat"))


def test_prices_that_cannot_be_opened_start_nothing(tmp_path: Path) -> None:
    with up(tmp_path, "stay: echo started\n", "folder:nowhere") as process:
        assert process.wait(START_SECONDS) == 2
    assert "nowhere: is not a folder; name an existing folder" in (tmp_path / "out").read_text()
    assert not (tmp_path / ".muhurat").exists()
