"""A time that changes during the day: the day's slot is had once, by whichever of the two is right."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.calendar import Calendar, Session, ist
from trading.own_times import Planned, Turn, looked_from, slots_of_day, turn, was_had
from trading.triggers import At, due_between, parse_trigger

MONDAY = date(2024, 1, 1)
_DAYS = [MONDAY + timedelta(days=number) for number in range(5)]
CALENDAR = Calendar(
    "NSE",
    [Session(day, ist(day, time(9, 15)), ist(day, time(15, 30))) for day in _DAYS],
    MONDAY - timedelta(days=3),
    MONDAY + timedelta(days=10),
)
TUESDAY = _DAYS[1]
MIDNIGHT = ist(TUESDAY + timedelta(days=1), time())


def at(hours: int, minutes: int = 0) -> datetime:
    """Return a time of that Tuesday in IST."""
    return ist(TUESDAY, time(hours, minutes))


@pytest.mark.parametrize(
    ("old", "new", "now", "fired", "expected"),
    [
        ("at 16:05", "at 16:30", at(16, 10), True, Turn(held_until=MIDNIGHT)),
        ("at 16:05", "at 16:30", at(12), False, Turn()),
        ("at 16:30", "at 16:05", at(16, 10), False, Turn(joins=at(16, 5))),
        ("at 16:30", "at 16:05", at(12), False, Turn()),
        ("at 16:05", "at 16:00", at(16, 10), True, Turn()),
        # A service that did not run at the old time, and starts before the new one.
        ("at 16:05", "at 16:30", at(16, 10), False, Turn()),
        # What repeats goes on by its new text.
        ("every 60s while open", "every 5m while open", at(12), True, Turn()),
        ("at 16:05", "every 5m while open", at(16, 10), True, Turn()),
        # No slot on that day by the new one, or by either.
        ("at 16:05", "close on first session of week", at(16, 10), True, Turn()),
        ("on request", "at 10:00", at(16, 10), False, Turn()),
    ],
)
def test_a_days_slot_is_had_once(old: str, new: str, now: datetime, fired: bool, expected: Turn) -> None:
    assert turn(parse_trigger(old), parse_trigger(new), CALENDAR, now, fired=fired) == expected


def test_an_old_slot_that_is_overdue_is_made_up_for_by_the_new_one_that_has_passed() -> None:
    old, new = parse_trigger("at 16:05"), parse_trigger("at 16:07")
    assert turn(old, new, CALENDAR, at(16, 10), fired=False, overdue=True) == Turn(joins=at(16, 7))


def test_outside_the_calendar_a_new_time_simply_begins() -> None:
    now = datetime(2030, 1, 1, 10, tzinfo=UTC)
    assert turn(parse_trigger("at 16:05"), parse_trigger("open"), CALENDAR, now, fired=True) == Turn()


_CLOCKS = st.builds(time, st.integers(0, 23), st.integers(0, 59))


@given(old=_CLOCKS, new=_CLOCKS, now=_CLOCKS)
def test_however_a_time_is_moved_the_day_has_one_slot(old: time, new: time, now: time) -> None:
    """Count what fires on the day: by the old time before the change, by the new one after it, or made up for."""
    moment = ist(TUESDAY, now)
    before, after = At(old), At(new)
    by_old = sum(slot <= moment for slot in slots_of_day(before, CALENDAR, TUESDAY))
    day = turn(before, after, CALENDAR, moment, fired=bool(by_old))
    begins = day.held_until or moment
    by_new = sum(slot > begins for slot in slots_of_day(after, CALENDAR, TUESDAY))
    assert by_old + by_new + (day.joins is not None) == 1


TOMORROW = at(16, 5) + timedelta(days=1)


@pytest.mark.parametrize(
    ("trigger", "planned", "expected"),
    [
        ("at 16:05", Planned(True, TOMORROW), True),
        ("at 16:05", Planned(False, TOMORROW), True),
        # It has come, and is fired before any change is; of one that is switched off it is not.
        ("at 16:05", Planned(True, at(16, 5)), True),
        ("at 16:05", Planned(False, at(16, 5)), False),
        ("at 16:05", Planned(True, at(16, 5), firing=at(16, 5)), True),
        ("at 16:30", Planned(True, at(16, 30)), False),
        # Of yesterday, from an absence.
        ("at 16:05", Planned(True, at(16, 5) - timedelta(days=1)), False),
        ("close on first session of week", Planned(True, TOMORROW), False),
        ("close on first session of week", Planned(True, TOMORROW, held_until=MIDNIGHT), True),
        ("every 5m while open", Planned(True, TOMORROW), False),
        ("once 2024-01-02T10:00+05:30", Planned(True, None), True),
        # One that nobody can read.
        (None, Planned(True, TOMORROW), True),
        (None, Planned(True, at(16, 5)), True),
    ],
)
def test_what_is_planned_tells_whether_the_days_slot_was_had(
    trigger: str | None, planned: Planned, expected: bool
) -> None:
    read = None if trigger is None else parse_trigger(trigger)
    assert was_had(read, planned, CALENDAR, at(16, 10)) is expected


@pytest.mark.parametrize(
    ("trigger", "first"),
    [
        ("at 16:30", TOMORROW + timedelta(minutes=25)),
        ("daily at 00:00", MIDNIGHT),
        ("every 10m from close until close+2h", at(16, 20)),
        ("once 2024-01-02T18:00+05:30", at(18)),
    ],
)
def test_after_a_day_that_was_had_what_fires_once_a_day_begins_with_the_next(trigger: str, first: datetime) -> None:
    read = parse_trigger(trigger)
    after = looked_from(read, CALENDAR, at(16, 10), MIDNIGHT)
    assert next(due_between(read, CALENDAR, after, at(23) + timedelta(days=2), False)) == first


def test_by_another_calendar_a_slot_that_has_passed_is_had_at_once() -> None:
    close = parse_trigger("close+35m")
    sooner = Calendar(
        "NSE",
        [Session(day, ist(day, time(9, 15)), ist(day, time(13, 0))) for day in _DAYS],
        MONDAY - timedelta(days=3),
        MONDAY + timedelta(days=10),
    )
    assert turn(close, close, sooner, at(14), fired=False, was=CALENDAR) == Turn(joins=at(13, 35))
    assert turn(close, close, sooner, at(12), fired=False, was=CALENDAR) == Turn()
