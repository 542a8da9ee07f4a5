"""`muhurat bench schedule`: every figure of the table is counted, whatever its size, by the real door of the scheduler."""

import json
import sys
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from db.seeds import CALENDAR_FILE
from ops.bench import schedule
from ops.bench.schedule import BARS, GOALS, NAMES, OURS_ALONE, Sizes, measure
from ops.bench.schedule_late import TRIGGERS, triggers
from ops.bench.schedule_told import COUNTED
from ops.bench.schedule_world import OPENS
from ops.cli import run
from trading.calendar import ist
from trading.calendar_file import read_calendar
from trading.triggers import next_due, parse_trigger

TABLE = {
    "vs_send": ">= 15",
    "vs_procrastinate": ">= 4.5",
    "linear": "<= 11",
    "first_s": "<= 0.5",
    "two_schedulers": "<= 1.1",
    "duplicates": "<= 0",
    "rss_growth": "<= 1.2",
    "rss_mb": "<= 120",
    "late_p99_s": "<= 0.5",
}
DAY = date(2026, 11, 17)
UNCOUNTED = {"users", "rounds", "triggers", "idle_seconds"}


def test_the_bars_are_those_that_were_promised() -> None:
    assert {name: str(bar) for name, bar in BARS.items()} == TABLE
    assert GOALS.keys() == {"vs_send", "vs_procrastinate"}
    assert set(NAMES) - OURS_ALONE == {"vs_procrastinate", "vs_celery"}
    assert BARS.keys() <= COUNTED.keys()


def test_the_sizes_are_the_ones_of_the_promise_and_a_tenth_and_a_hundredth_of_any_other() -> None:
    assert [*Sizes().smaller, Sizes().users] == [10_000, 100_000, 1_000_000]
    assert Sizes(users=20_000).smaller == [200, 2_000]
    assert Sizes(users=1).smaller == []


def test_all_of_it_is_measured_on_servers_of_its_own_however_few_subscribe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Whatever the shell says is not listened to.
    monkeypatch.setenv("DATABASE_URL", "postgres://nobody@nowhere.invalid/none")
    monkeypatch.setenv("MUHURAT_WORKER_SHARE", "1")
    small = ["--users", "200", "--rounds", "1", "--triggers", "12", "--idle-seconds", "1"]
    code = run(["bench", "schedule", "--without-peers", *small, "--json"])
    report = json.loads(capsys.readouterr().out)
    figures = report["figures"]
    assert code == (0 if report["holds"] else 1)
    assert report["bars"].keys() == BARS.keys() - {"vs_procrastinate"}
    assert [one.keys() for one in report["each_round"]] == [{"one_seconds", "two_seconds", "stock_per_s"}]
    assert {(name, figures[name]) for name in ("users", "rounds", "triggers", "duplicates")} == {
        ("users", 200), ("rounds", 1), ("triggers", 12), ("duplicates", 0)
    }  # fmt: skip
    for users in (2, 20, 200):
        # A few milliseconds of our own look lie between: each is a part of the next.
        assert 0 < figures[f"first_s_{users}"] <= figures[f"last_s_{users}"] <= figures[f"seconds_{users}"]
    assert [name for name in report["bars"] if name != "duplicates" and figures[name] <= 0] == []
    assert figures["idle_statements_per_hour"] >= 0
    assert figures.keys() - report["counted"].keys() == UNCOUNTED
    assert {"postgres", "valkey", "dramatiq"} <= report["versions"].keys()


def test_the_others_send_on_the_same_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "PLACE", tmp_path / "bench")
    said: list[str] = []
    report = measure({"vs_procrastinate", "vs_celery"}, Sizes(users=20, rounds=1), said.append)
    assert report["bars"].keys() == report["goals"].keys() == {"vs_procrastinate"}
    [found] = report["each_round"]
    assert found.keys() == {"one_seconds", "celery_per_s", "procrastinate_per_s"}
    assert all(value > 0 for value in found.values())
    assert {"celery", "procrastinate"} <= report["versions"].keys()
    assert "celery sends" in said


def test_ten_thousand_triggers_are_distinct_and_fire_once_each_within_one_hour() -> None:
    calendar = read_calendar((files("db") / CALENDAR_FILE).read_text(encoding="utf-8"))
    laid = list(triggers(TRIGGERS, ist(DAY, OPENS)))
    assert len({text for text, _ in laid}) == TRIGGERS
    begin = datetime(2026, 11, 17, 4, 30, tzinfo=UTC)
    assert (laid[0][1], max(slot for _, slot in laid)) == (begin, begin + timedelta(seconds=3599))
    for text, slot in laid[::97]:
        assert next_due(parse_trigger(text), calendar, begin - timedelta(seconds=1), daily_bars=False) == slot


def test_without_the_peers_it_says_which_are_missing_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("celery", "procrastinate"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run(["bench", "schedule"]) == 2
    assert "celery, procrastinate" in capsys.readouterr().err
    assert run(["bench", "schedule", "--without-peers", "--only", "vs_celery"]) == 2
    assert "without peers" in capsys.readouterr().err
    assert run(["bench", "schedule", "--only", "vs_stock"]) == 2
    assert "late_p99_s" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
