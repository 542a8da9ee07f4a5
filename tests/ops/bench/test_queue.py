"""`muhurat bench queue`: every figure of the table, each counted, whatever its size; nothing begins without the peers."""

import json
import sys
from pathlib import Path

import pytest

from ops.bench import queue
from ops.bench.queue import BARS, GOALS, OURS_ALONE, Sizes, measure
from ops.bench.queue_promptness import p99
from ops.bench.queue_told import COUNTED
from ops.cli import run

TABLE = {
    "vs_stock": ">= 2.5",
    "vs_stock_prefetch": ">= 1.25",
    "vs_stock_recorded": ">= 5",
    "vs_celery": ">= 25",
    "vs_procrastinate": ">= 40",
    "idle_p50_vs_stock": "<= 0.05",
    "idle_p99_vs_stock": "<= 0.05",
    "io_share": ">= 0.95",
    "redis_per_execution": "<= 0.2",
    "sql_per_execution": "<= 0.2",
    "noisy_p99": "<= 1.5",
    "rss_growth": "<= 1.1",
}
RATES = {name for name in TABLE if name.startswith("vs_")}
SMALL = Sizes(rounds=1, scale=0.002, old_rows=130, singles=3, noisy=12, executions=40)


def test_the_bars_are_those_that_were_promised() -> None:
    assert {name: str(bar) for name, bar in BARS.items()} == TABLE
    assert GOALS.keys() == {"vs_stock", "vs_stock_prefetch", "vs_stock_recorded", "vs_celery", "vs_procrastinate"}
    assert BARS.keys() - OURS_ALONE == {"vs_stock_recorded", "vs_celery", "vs_procrastinate"}
    assert BARS.keys() <= COUNTED.keys()


def test_rates_are_measured_beside_those_of_others_on_servers_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Whatever the shell says is not listened to.
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@nowhere.invalid/none")
    monkeypatch.setenv("MUHURAT_WORKER_THREADS", "1")
    small = ["--rounds", "1", "--scale", "0.005", "--old-rows", "0"]
    code = run(["bench", "queue", "--only", ",".join(RATES), *small, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == (0 if report["holds"] else 1)
    assert report["bars"].keys() == report["goals"].keys() == RATES
    rates = {f"{name.removeprefix('vs_')}_per_s" for name in RATES} | {"ours_per_s", "ours_sync_per_s"}
    assert [one.keys() for one in report["each_round"]] == [rates]
    assert all(report["figures"][name] > 0 for name in rates)
    assert report["counted"].keys() == rates | RATES
    assert {"postgres", "dramatiq", "celery", "procrastinate"} <= report["versions"].keys()


def test_every_other_figure_is_counted_however_little_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "PLACE", tmp_path / "bench")
    names = OURS_ALONE - RATES
    said: list[str] = []
    report = measure(names, SMALL, said.append)
    figures = report["figures"]
    assert report["bars"].keys() == names
    assert [name for name in names if figures[name] <= 0] == []
    assert figures["io_share"] <= 1
    assert (figures["old_rows"], figures["executions"]) == (130, 40)
    assert report["each_round"] == []
    assert figures.keys() - report["counted"].keys() == {"rounds", "old_rows", "executions"}
    assert any("old executions" in line for line in said)


def test_without_the_peers_it_says_which_are_missing_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("celery", "procrastinate"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run(["bench", "queue"]) == 2
    said = capsys.readouterr().err
    assert "celery, procrastinate" in said
    assert "pip install -r requirements-dev.txt" in said
    # Of what is left without them nothing was asked for.
    assert run(["bench", "queue", "--without-peers", "--only", "vs_celery"]) == 2
    assert "without peers" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_there_is_not_is_refused_with_those_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["bench", "queue", "--only", "vs_stock,vs_nobody"]) == 2
    said = capsys.readouterr().err
    assert "vs_nobody" in said
    assert "io_share" in said
    assert list(tmp_path.iterdir()) == []


def test_of_a_hundred_pick_ups_the_second_longest_is_near_the_ninety_ninth() -> None:
    assert p99([float(number) for number in range(101)]) == 99.0
    assert p99([5.0]) == 5.0
