"""The table of the house, held whole: when each schedule fires, on what it stands, how long it is useful, where it runs."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files

import pytest

from db.seeds import CALENDAR_FILE, DEFAULT_SCHEDULES
from scheduler.planning import plan
from trading.calendar import Calendar
from trading.calendar_file import read_calendar
from trading.triggers import next_due, parse_trigger
from worker.messages import TASKS

DAY, NEXT = date(2024, 3, 5), date(2024, 3, 6)

Need = tuple[str, datetime, str]
"""Task, at or after when, and words: `account` or the subject; `again` (made when missing), `newest`."""


def at(hour: int, minute: int = 0, day: date = DAY) -> datetime:
    """Return an exchange time in UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) - timedelta(hours=5, minutes=30)


def every(minutes: int, first: datetime, last: datetime) -> list[datetime]:
    steps = (last - first) // timedelta(minutes=minutes)
    return [first + timedelta(minutes=minutes * step) for step in range(steps + 1)]


CLOSE = at(15, 30)
PRICES_OF_THE_DAY: Need = ("prices", CLOSE, " again")
NEWEST_AFTER_CLOSE: Need = ("order_sync", CLOSE, "account again newest")


@dataclass(frozen=True)
class Fires:
    """A schedule's day. until: by slot, or the same for all. needs: those of the last slot. as_of: None, the slot."""

    task: str
    scope: str
    condition: str | None
    moments: list[datetime]
    until: dict[datetime, datetime] | datetime | timedelta
    needs: tuple[Need, ...] = ()
    as_of: datetime | None = None


SCHEDULES = {
    "prices": Fires(
        "prices", "shared", "prices_missing", every(10, at(15, 45), at(23, 25)), at(9, day=NEXT)
    ),
    "prices before open": Fires(
        "prices", "shared", "prices_missing", every(10, at(8), at(8, 30)), at(9), as_of=at(15, 30, date(2024, 3, 4))
    ),
    "analysis": Fires("analysis", "parameters", None, [at(16)], at(8, 50, NEXT), (PRICES_OF_THE_DAY,)),
    "buy_orders": Fires(
        "buy_orders", "account", None, [at(16, 5)], at(8, 50, NEXT),
        (("analysis", CLOSE, "$parameters"), NEWEST_AFTER_CLOSE),
    ),
    "premarket_retry": Fires(
        "premarket_retry", "account", "has_failed_order", [at(8, 45)], at(8, 56),
        (("order_sync", at(8, 30), "account again"),),
    ),
    "order_sync before open": Fires("order_sync", "account", None, [at(8, 35)], timedelta(hours=1)),
    "order_sync at open": Fires("order_sync", "account", None, [at(9, 15)], timedelta(hours=1)),
    "order_sync while open": Fires(
        "order_sync", "account", "has_live_order", every(1, at(9, 15), at(15, 29)), timedelta(hours=1)
    ),
    "order_sync after close": Fires("order_sync", "account", None, [at(15, 45)], timedelta(hours=1)),
    "order_sync evening": Fires("order_sync", "account", None, [at(18)], timedelta(hours=1)),
    "sell_monitor": Fires(
        "sell_monitor", "account", "has_open_position", every(1, at(9, 15), at(15, 29)),
        {at(9, 15): CLOSE, at(9, 16): at(9, 21), at(15, 24): at(15, 29), at(15, 26): CLOSE, at(15, 29): CLOSE},
        (("order_sync", at(15, 29), "account again"),),
    ),
    "position_monitor": Fires(
        "position_monitor", "account", "has_open_position", every(60, at(9, 30), at(14, 30)), timedelta(minutes=10)
    ),
    "eod_cleanup": Fires(
        "eod_cleanup", "account", None, [at(18)], at(23, 59), (PRICES_OF_THE_DAY, NEWEST_AFTER_CLOSE)
    ),
    "retention": Fires("retention", "shared", None, [at(2)], at(6)),
    "housekeeping": Fires("housekeeping", "shared", None, [at(2)], at(6)),
}  # fmt: skip

# Queue, limit in seconds, attempts in all, seconds before the second.
RUNS = {
    "prices": ("default", 600, 5, 30),
    "analysis": ("strategy", 1800, 3, 30),
    "buy_orders": ("strategy", 600, 3, 5),
    "premarket_retry": ("strategy", 300, 3, 5),
    "order_sync": ("orders", 60, 3, 2),
    "sell_monitor": ("orders", 180, 3, 2),
    "position_monitor": ("strategy", 120, 3, 10),
    "eod_cleanup": ("default", 300, 5, 30),
    "train": ("ml", 3600, 1, 5),
    "submit": ("orders", 30, 3, 1),
    "reconcile": ("orders", 60, 5, 2),
    "notify": ("default", 30, 3, 10),
    "retention": ("default", 1800, 3, 60),
    "housekeeping": ("default", 1800, 3, 60),
}


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return read_calendar((files("db") / CALENDAR_FILE).read_text(encoding="utf-8"))


def test_the_table_is_whole() -> None:
    assert [row["name"] for row in DEFAULT_SCHEDULES] == list(SCHEDULES)
    assert RUNS.keys() == TASKS.keys()


@pytest.mark.parametrize("task", RUNS)
def test_a_task_runs_on_its_queue_within_its_limit_so_many_times(task: str) -> None:
    one = TASKS[task]
    assert (one.queue, one.limit_seconds, one.attempts, one.backoff_seconds) == RUNS[task]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_fires_for_whom_and_when_the_table_says(calendar: Calendar, name: str) -> None:
    wanted = SCHEDULES[name]
    (row,) = [row for row in DEFAULT_SCHEDULES if row["name"] == name]
    assert (row["task_name"], row["scope"], row["condition"]) == (wanted.task, wanted.scope, wanted.condition)
    trigger, found, moment = parse_trigger(str(row["trigger"])), [], at(0)
    while (due := next_due(trigger, calendar, moment, daily_bars=False)) is not None and due < at(23, 59):
        found.append(due)
        moment = due
    assert found == wanted.moments


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_slot_stands_on_what_the_table_says_and_is_useful_as_long(calendar: Calendar, name: str) -> None:
    wanted = SCHEDULES[name]
    until = (
        wanted.until
        if isinstance(wanted.until, dict)
        else {slot: _until(wanted.until, slot) for slot in wanted.moments}
    )
    assert {slot: plan(wanted.task, slot, calendar).useful_until for slot in until} == until
    made = plan(wanted.task, wanted.moments[-1], calendar)
    assert [_need(one) for one in json.loads(made.needs or "[]")] == list(wanted.needs)
    assert made.as_of == wanted.as_of


def _until(until: datetime | timedelta, slot: datetime) -> datetime:
    return slot + until if isinstance(until, timedelta) else until


def _need(stored: dict[str, object]) -> Need:
    whose = "account" if stored["account"] else str(stored["subject"])
    words = [whose, *(["again"] if stored["repeats"] else []), *(["newest"] if stored.get("newest") else [])]
    return str(stored["task"]), datetime.fromisoformat(str(stored["after"])), " ".join(words)
