"""What one calendar changes against another, and which may not take another's place."""

from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market_hours import NSE_HOURS
from trading.calendar import Calendar, Session, ist
from trading.calendar_diff import check_successor, day_changes, firing_changes, with_phases_of
from trading.definitions import Definition
from trading.errors import BadCalendar
from trading.phases import ALL, Hours, Phase
from trading.triggers import parse_trigger

FIRST, LAST = date(2026, 7, 27), date(2026, 8, 9)
DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]


def _session(day: date, opens: time = time(9, 15), closes: time = time(15, 30), kind: str = "regular") -> Session:
    return Session(day, ist(day, opens), ist(day, closes), kind)


def _calendar(
    *closed: date, special: Session | None = None, exchange: str = "NSE", first: date = FIRST, last: date = LAST
) -> Calendar:
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    sessions = {day: _session(day) for day in days if day.weekday() < 5 and day not in closed}
    if special is not None:
        sessions[special.day] = special
    return Calendar(exchange, [sessions[day] for day in sorted(sessions)], first, last, NSE_HOURS)


WHOLE = _calendar()
EVENING = _session(date(2026, 8, 8), time(18), time(19, 15), "special")


def test_a_day_is_added_removed_or_has_other_hours() -> None:
    after = _calendar(date(2026, 8, 4), special=EVENING)
    found = [(one.day, one.kind) for one in day_changes(WHOLE, after, FIRST, LAST)]
    assert found == [(date(2026, 8, 4), "removed"), (date(2026, 8, 8), "added")]
    later = _calendar(date(2026, 8, 4), special=_session(EVENING.day, time(17), time(18), "special"))
    assert [(one.day, one.kind) for one in day_changes(after, later, FIRST, LAST)] == [(EVENING.day, "other hours")]


def test_phases_that_move_alone_are_told_with_what_they_were() -> None:
    hours = [one for one in NSE_HOURS if one.segment == ALL]
    without = Calendar("NSE", WHOLE.sessions_between(FIRST, LAST), FIRST, LAST, hours)
    changes = day_changes(without, WHOLE, date(2026, 7, 31), date(2026, 8, 3))
    assert [(one.day, one.kind, one.phases) for one in changes] == [
        (
            date(2026, 8, 3),
            "other phases",
            ("continuous fno 09:15-15:15, was 09:15-15:30", "closing-auction fno 15:15-15:35, was none"),
        )
    ]


@given(st.sets(st.sampled_from(DAYS)), st.sets(st.sampled_from(DAYS)), st.sampled_from(DAYS), st.sampled_from(DAYS))
def test_the_days_that_differ_are_those_that_only_one_of_the_two_trades_on(
    closed: set[date], other: set[date], first: date, last: date
) -> None:
    before, after = _calendar(*closed), _calendar(*other)
    found = {one.day: one.kind for one in day_changes(before, after, first, last)}
    expected = {day for day in DAYS if first <= day <= last and before.is_session(day) != after.is_session(day)}
    assert found.keys() == expected
    assert all((kind == "added") == after.is_session(day) for day, kind in found.items())


def test_the_slots_of_a_days_schedules_move_with_it_and_those_of_every_day_stay() -> None:
    definitions = [
        Definition("buys", "buy_orders", parse_trigger("close+35m")),
        Definition("sync", "order_sync", parse_trigger("every 60s while open")),
        Definition("nightly", "retention", parse_trigger("daily at 02:00")),
        Definition("elsewhere", "order_sync", parse_trigger("open"), exchange="BSE"),
    ]
    after = _calendar(date(2026, 8, 4))
    start = ist(FIRST, time(0))
    found = firing_changes(definitions, WHOLE, after, start, start + timedelta(days=30))
    assert [(one.schedule, len(one.gone), len(one.new)) for one in found] == [("buys", 1, 0), ("sync", 375, 0)]
    assert found[0].gone == (ist(date(2026, 8, 4), time(16, 5)),)


SHRUNK = [
    (_calendar(first=date(2026, 7, 28)), "covers? at least that, like # coverage: 2026-07-27..2026-08-09"),
    (_calendar(last=date(2026, 8, 8)), "is less than what is stored .2026-07-27..2026-08-09."),
]


@pytest.mark.parametrize(("after", "problem"), SHRUNK)
def test_a_calendar_that_covers_less_is_refused_unless_it_may(after: Calendar, problem: str) -> None:
    with pytest.raises(BadCalendar, match=problem):
        check_successor(WHOLE, after)
    check_successor(WHOLE, after, may_shrink=True)


@pytest.mark.parametrize("may_shrink", [False, True])
def test_a_gap_to_what_is_stored_and_another_exchange_are_always_refused(may_shrink: bool) -> None:
    with pytest.raises(BadCalendar, match="exchange 'BSE' is not 'NSE'"):
        check_successor(WHOLE, _calendar(exchange="BSE"), may_shrink=may_shrink)
    for first, last in ((date(2026, 8, 11), date(2026, 9, 1)), (date(2026, 7, 1), date(2026, 7, 25))):
        with pytest.raises(BadCalendar, match="leaves a gap to what is stored"):
            check_successor(WHOLE, _calendar(first=first, last=last), may_shrink=may_shrink)


def test_more_days_and_other_days_may_follow() -> None:
    check_successor(WHOLE, _calendar(date(2026, 8, 4), first=date(2026, 7, 1), last=date(2026, 12, 31)))


def _regular(closes: time) -> Calendar:
    hours = [Hours(Phase.OPEN, ALL, time(9, 15), closes, FIRST, None, "the file's regular hours")]
    sessions = [_session(day, closes=closes) for day in DAYS if day.weekday() < 5]
    return Calendar("NSE", sessions, FIRST, LAST, hours)


def test_regular_hours_alone_take_the_phases_that_are_stored_if_they_fit() -> None:
    whole = with_phases_of(_regular(time(15, 30)), WHOLE)
    assert day_changes(WHOLE, whole, FIRST, LAST) == []
    with pytest.raises(BadCalendar, match="with the hours that are stored, phases overlap on 2026-07-27 for all"):
        with_phases_of(_regular(time(15, 45)), WHOLE)
