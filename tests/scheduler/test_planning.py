"""What each slot needs first and until when it is useful."""

from datetime import UTC, date, datetime, timedelta
from importlib.resources import files

import pytest

from db.schedules import ScheduleRow
from db.seeds import CALENDAR_FILE, DEFAULT_SCHEDULES
from scheduler.planning import plan
from trading.calendar import Calendar
from trading.calendar_file import read_calendar
from worker.actors import STEPS
from worker.messages import TASKS

DAY = date(2024, 3, 5)


@pytest.fixture(scope="module")
def calendar() -> Calendar:
    return read_calendar((files("db") / CALENDAR_FILE).read_text(encoding="utf-8"))


def at(hour: int, minute: int = 0, day: date = DAY) -> datetime:
    """Return an exchange time in UTC."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC) - timedelta(hours=5, minutes=30)


def test_every_task_has_a_step_and_every_scheduled_one_a_task() -> None:
    assert set(STEPS) == set(TASKS)
    assert {row["task_name"] for row in DEFAULT_SCHEDULES} <= set(TASKS)
    assert {row["condition"] for row in DEFAULT_SCHEDULES} - {None} <= _conditions()


def _conditions() -> set[str | None]:
    (check,) = [one for one in ScheduleRow.__table__.constraints if str(one.name).endswith("condition")]  # type: ignore[attr-defined] # a Table has constraints
    text = str(check.sqltext)
    return set(text.split("'")[1::2])


@pytest.mark.parametrize("task", ["retention", "housekeeping"])
def test_what_tidies_up_runs_outside_the_calendar_too(calendar: Calendar, task: str) -> None:
    slot = at(2, day=calendar.last + timedelta(days=400))
    assert plan(task, slot, calendar).useful_until == slot + timedelta(hours=4)


def test_what_waits_for_the_first_day_of_all_stands_on_its_own_slot(calendar: Calendar) -> None:
    (first, *_) = calendar.sessions_between(calendar.first, calendar.first + timedelta(days=10))
    made = plan("prices", first.opens - timedelta(minutes=75), calendar)
    assert (made.as_of, made.useful_until) == (None, first.opens - timedelta(minutes=15))


@pytest.mark.parametrize("task", ["prices", "analysis", "buy_orders"])
def test_what_is_wanted_for_a_next_open_that_nobody_knows_is_useful_for_six_hours(
    calendar: Calendar, task: str
) -> None:
    last = calendar.last_closed(at(23, day=calendar.last))
    assert plan(task, last.closes + timedelta(minutes=15), calendar).useful_until == last.closes + timedelta(hours=6)
