"""What each slot needs first and until when it is useful."""

import json
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files

import pytest

from db.schedules import ScheduleRow
from db.seeds import CALENDAR_FILE, DEFAULT_SCHEDULES
from scheduler.planning import plan
from trading.calendar import Calendar
from trading.calendar_file import read_calendar
from trading.triggers import next_due, parse_trigger
from worker.actors import STEPS
from worker.messages import TASKS

DAY = date(2024, 3, 5)


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return read_calendar((files("db") / CALENDAR_FILE).read_text(encoding="utf-8"))


def at(hour: int, minute: int = 0, day: date = DAY) -> datetime:
    """Return an exchange time in UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) - timedelta(hours=5, minutes=30)


def needs(text: str | None) -> list[tuple[str, datetime]]:
    return [(need["task"], datetime.fromisoformat(need["after"])) for need in json.loads(text or "[]")]


def test_every_task_has_a_step_and_every_scheduled_one_a_task() -> None:
    assert set(STEPS) == set(TASKS)
    assert {row["task_name"] for row in DEFAULT_SCHEDULES} <= set(TASKS)
    assert {row["condition"] for row in DEFAULT_SCHEDULES} - {None} <= _conditions()


def _conditions() -> set[str | None]:
    (check,) = [one for one in ScheduleRow.__table__.constraints if str(one.name).endswith("condition")]  # type: ignore[attr-defined] # a Table has constraints
    text = str(check.sqltext)
    return set(text.split("'")[1::2])


@pytest.mark.parametrize(
    ("task", "slot", "until", "wanted"),
    [
        ("premarket_retry", at(8, 45), at(8, 56), [("order_sync", at(8, 30))]),
        ("sell_monitor", at(9, 15), at(15, 30), [("order_sync", at(9, 15))]),
        ("sell_monitor", at(10, 0), at(10, 5), [("order_sync", at(10, 0))]),
        ("sell_monitor", at(15, 29), at(15, 30), [("order_sync", at(15, 29))]),
        ("position_monitor", at(9, 30), at(9, 40), []),
        ("eod_cleanup", at(18), at(23, 59), [("prices", at(15, 30)), ("order_sync", at(15, 30))]),
        ("retention", at(2), at(6), []),
        ("housekeeping", at(2), at(6), []),
    ],
)
def test_a_slot_waits_for_what_it_stands_on_and_not_for_ever(
    calendar: Calendar, task: str, slot: datetime, until: datetime, wanted: list[tuple[str, datetime]]
) -> None:
    made = plan(task, slot, calendar)
    assert (made.useful_until, needs(made.needs)) == (until, wanted)


@pytest.mark.parametrize("task", ["retention", "housekeeping"])
def test_what_tidies_up_runs_outside_the_calendar_too(calendar: Calendar, task: str) -> None:
    slot = at(2, day=calendar.last + timedelta(days=400))
    assert plan(task, slot, calendar).useful_until == slot + timedelta(hours=4)


@pytest.mark.parametrize(
    ("name", "moments"),
    [
        ("premarket_retry", [at(8, 45)]),
        ("position_monitor", [at(hour, 30) for hour in range(9, 15)]),
        ("eod_cleanup", [at(18)]),
        ("retention", [at(2)]),
        ("housekeeping", [at(2)]),
    ],
)
def test_a_task_fires_when_the_day_wants_it(calendar: Calendar, name: str, moments: list[datetime]) -> None:
    (text,) = [row["trigger"] for row in DEFAULT_SCHEDULES if row["name"] == name]
    trigger, found, moment = parse_trigger(str(text)), [], at(0)
    while (due := next_due(trigger, calendar, moment, daily_bars=False)) is not None and due < at(23, 59):
        found.append(due)
        moment = due
    assert found == moments
