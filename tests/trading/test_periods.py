from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.season import BEGIN, CALENDAR, END
from trading.calendar import exchange_time
from trading.errors import BadTrigger, CalendarUncovered
from trading.periods import PERIODS, Edge, bounds, edge_session
from trading.triggers import due_between, parse_trigger


def days(text: str) -> list[str]:
    """Return when a trigger fires in the season, in exchange time."""
    found = due_between(parse_trigger(text), CALENDAR, BEGIN, END + timedelta(days=400), daily_bars=False)
    return [f"{exchange_time(moment):%m-%d %H:%M}" for moment in found]


SEASON = [
    # Not July's first, which lies before the coverage; not December's last, which lies after it.
    ("close-10m on last session of month", ["07-31 15:20", "08-31 15:20", "09-29 15:20", "10-30 15:20", "11-30 15:20"]),
    ("open on first session of month", ["08-03 09:15", "09-01 09:15", "10-01 09:15", "11-02 09:15", "12-01 09:15"]),
    ("at 10:00 on last session of quarter", ["09-29 10:00"]),
    ("at 10:00 on first session of quarter", ["10-01 10:00"]),
    ("open on first session of year", []), ("open on last session of year", []),
    ("every 4h while open on first session of quarter", ["10-01 09:15", "10-01 13:15"]),
    ("each pre-open at 09:05 on last session of quarter", ["09-29 09:05"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fires"), SEASON)
def test_first_and_last_are_told_by_sessions_and_where_they_are_known(text: str, fires: list[str]) -> None:
    assert days(text) == fires


def test_a_week_ends_with_its_weekend_sessions() -> None:
    found = days("close on last session of week")
    assert {"10-24 12:30", "11-08 19:15", "12-24 15:30"} < {*found}  # a Saturday, a Sunday evening, before a holiday
    assert not {"10-23 15:30", "11-06 15:30"} & {*found}
    assert found[-1] == "12-24 15:30"  # the calendar ends on a Wednesday


def test_the_edge_of_a_period_that_the_calendar_does_not_reach_is_unknown() -> None:
    for which, day in [("first", date(2026, 7, 20)), ("last", date(2026, 12, 30))]:
        with pytest.raises(CalendarUncovered):
            edge_session(Edge(which, "month"), CALENDAR, day)


def test_an_evening_session_has_no_morning_pre_open_and_keeps_its_own() -> None:
    assert "11-08 09:05" not in days("each pre-open at 09:05")
    assert days("each pre-open at 17:50") == ["11-08 17:50"]
    assert "08-03 09:05" in days("each pre-open at 09:05")
    assert days("each pre-open at 09:15") == []


@given(st.sampled_from(PERIODS), st.dates(date(1990, 1, 1), date(2060, 1, 1)))
def test_periods_meet_without_a_gap(period: str, day: date) -> None:
    first, last = bounds(period, day)
    assert first <= day <= last
    assert bounds(period, last) == (first, last)
    assert bounds(period, last + timedelta(days=1))[0] == last + timedelta(days=1)


BAD = [
    ("close on", 8), ("close on middle session of week", 9), ("close on last day of week", 14), ("close on last session of decade", 25),
    ("close on last session in week", 22), ("close on last session of week please", 30), ("on last session of week", 3),
    ("closing on last session of week", 0), ("at 25:00 on last session of week", 3), ("at on last session of week", 3),
    ("on request on last session of week", 11), ("each open at 09:05", 5), ("each pre-open at 9", 17), ("each pre-open 09:05", 14),
]  # fmt: skip


@pytest.mark.parametrize(("text", "position"), BAD)
def test_a_text_that_cannot_be_read_names_the_place_and_a_valid_example(text: str, position: int) -> None:
    with pytest.raises(BadTrigger) as caught:
        parse_trigger(text)
    assert caught.value.position == position
    parse_trigger(caught.value.example)
