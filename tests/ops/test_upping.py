"""`muhurat up` runs a Procfile in one terminal: release first, names before lines, the dead started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 45.0
START_SECONDS = 60.0

STAY = "import os, time; print('here with', os.environ['MUHURAT_PRICES'], os.environ['DATABASE_URL']); time.sleep(600)"


@contextmanager
def up(folder: Path, procfile: str, prices: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Procfile in a folder, its output in the file `out`."""
    (folder / "Procfile").write_text(procfile)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT_")}
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli", "up", "--procfile", "Procfile"],
            cwd=folder,
            env=kept
            | {"PYTHONPATH": str(ROOT), "DATABASE_URL": "postgres://127.0.0.1:1/production"}
            | ({} if prices is None else {"MUHURAT_PRICES": prices}),
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
