from datetime import date, datetime, timedelta

import pytest

from tests.trading.season import BEGIN, CALENDAR, END, NAMES, at
from trading.calendar import exchange_day
from trading.definitions import Definition, read_definition
from trading.firings import firings
from trading.gaps import gaps


def of(trigger: str, **columns: object) -> Definition:
    return read_definition({"name": "one", "task_name": "order_sync", "trigger": trigger} | columns)


def told(one: Definition, after: datetime, until: datetime) -> list[str]:
    return [f"{gap.day:%a %m-%d} {gap.reason}" for gap in gaps(one, CALENDAR, after, until, NAMES)]


def test_days_without_a_session_are_named() -> None:
    assert told(of("open"), at(11, 6, 12), at(11, 14, 12)) == [
        "Sat 11-07 weekend", "Tue 11-10 holiday: Diwali Balipratipada", "Sat 11-14 weekend",
    ]  # fmt: skip
    assert [gap.reason for gap in gaps(of("open"), CALENDAR, at(11, 10), at(11, 10, 12))] == ["holiday"]


def test_a_session_that_has_no_such_moment_is_named_with_its_hours() -> None:
    assert told(of("each pre-open at 09:05"), at(11, 8), at(11, 8, 23)) == [
        "Sun 11-08 'each pre-open at 09:05' is no moment of the session 18:00-19:15 IST"
    ]


def test_outside_the_coverage_one_gap_stands_for_all_days() -> None:
    assert told(of("open"), END + timedelta(days=30), END + timedelta(days=90)) == [
        "Sat 01-30 the calendar ends 2026-12-30: nothing fires until another is there"
    ]
    assert told(of("open"), BEGIN - timedelta(days=9), BEGIN + timedelta(hours=12)) == [
        "Mon 07-06 the calendar begins 2026-07-15"
    ]
    assert told(of("open"), at(12, 30), at(12, 30) + timedelta(days=9)) == [
        "Thu 12-31 the calendar ends 2026-12-30: nothing fires until another is there"
    ]


def test_before_a_schedule_starts_and_after_it_ended_one_gap_stands_for_all_days() -> None:
    one = of("open", starts_at=at(9, 2), ends_at=at(9, 4, 12))
    assert told(one, at(8, 1), at(10, 1)) == [
        "Sat 08-01 it starts 2026-09-02 00:00 IST", "Sat 09-05 it ended 2026-09-04 12:00 IST",
    ]  # fmt: skip
    assert told(one, at(9, 20), at(10, 1)) == ["Sun 09-20 it ended 2026-09-04 12:00 IST"]
    assert told(one, at(8, 1), at(8, 5)) == ["Sat 08-01 it starts 2026-09-02 00:00 IST"]


def test_a_period_whose_edge_nobody_knows_is_named() -> None:
    assert told(of("close on last session of month"), at(10, 1), END) == [
        "Tue 12-01 nobody knows the last session: the calendar ends within the month, 2026-12-30",
        "Thu 12-31 the calendar ends 2026-12-30: nothing fires until another is there",
    ]
    assert told(of("each pre-open at 09:05 on last session of week"), at(11, 2), at(11, 13)) == [
        "Sun 11-08 'each pre-open at 09:05' is no moment of the session 18:00-19:15 IST"
    ]


@pytest.mark.parametrize(
    "trigger", ["daily at 02:00", "cron 0 9 * * mon in UTC", "once 2026-12-01T10:00Z", "on request"]
)
def test_what_follows_no_session_has_no_gaps(trigger: str) -> None:
    assert told(of(trigger), at(9, 1), END) == []


@pytest.mark.parametrize(
    "trigger", ["open", "close+15m", "at 16:05", "each pre-open at 09:05", "every 4h while open", "every 1h from open+4h until close"]
)  # fmt: skip
def test_every_day_of_the_season_either_fires_or_has_its_reason(trigger: str) -> None:
    one = of(trigger)
    begin = BEGIN + timedelta(seconds=1)
    days = [CALENDAR.first + timedelta(days=n) for n in range((CALENDAR.last - CALENDAR.first).days + 1)]
    fired = {exchange_day(firing.slot) for firing in firings(one, CALENDAR, begin, END)}
    silent: list[date] = [gap.day for gap in gaps(one, CALENDAR, begin, END - timedelta(seconds=1))]
    assert sorted([*fired, *silent]) == days
