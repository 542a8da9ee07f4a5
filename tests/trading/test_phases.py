"""The phases of NSE's days, as the calendar that we ship has them: before and after the closing auction came."""

from datetime import date, datetime, time, timedelta
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.calendar import Calendar, Session, exchange_day, exchange_time, ist
from trading.calendar_diff import clocks
from trading.calendar_file import read_calendar
from trading.errors import CalendarUncovered, HoursUnknown
from trading.phases import ALL, PHASE_WORDS, Hours, Phase, Timetable

NSE = read_calendar((files("db") / "nse_calendar.csv").read_text(encoding="utf-8"))
CHANGE = date(2026, 8, 3)
BEFORE = date(2026, 7, 31)


def _phase(day: date, clock: str, segment: str = ALL) -> Phase:
    return NSE.phase(ist(day, time.fromisoformat(clock)), segment)


def _session(day: date) -> Session:
    session = NSE.session(day)
    assert session is not None
    return session


def _windows(day: date, segment: str = ALL) -> dict[str, str | None]:
    """Return each phase of a session in exchange time; of after-market orders when they end before and begin after."""
    session = _session(day)
    found = {
        word: clocks(NSE.window(session, phase, segment))
        for word, phase in PHASE_WORDS.items()
        if phase is not Phase.AMO
    }
    return found | {"amo": clocks((NSE.amo_ends(session, segment), NSE.amo_begins(session, segment)))}


DAYS = {
    ("the day before the closing auction", BEFORE, ALL): (
        "09:00-09:15", "09:15-15:30", None, "15:40-16:00", "08:57-15:45"),
    ("the day before it, a share with derivatives", BEFORE, "fno"): (
        "09:00-09:15", "09:15-15:30", None, "15:40-16:00", "08:57-15:45"),
    ("the first day of the closing auction", CHANGE, ALL): (
        "09:00-09:15", "09:15-15:30", None, "15:50-16:00", "08:57-15:45"),
    ("the first day of it, a share with derivatives", CHANGE, "fno"): (
        "09:00-09:15", "09:15-15:15", "15:15-15:35", "15:50-16:00", "08:57-15:45"),
    ("a Muhurat evening", date(2024, 11, 1), ALL): (
        "17:45-18:00", "18:00-19:00", None, "19:10-19:30", "17:42-19:15"),
    ("a Muhurat evening with a closing auction", date(2026, 11, 8), "fno"): (
        "17:45-18:00", "18:00-19:00", "19:00-19:20", "19:35-19:45", "17:42-19:30"),
    ("a Saturday session", date(2024, 1, 20), ALL): (
        "09:00-09:15", "09:15-15:30", None, "15:40-16:00", "08:57-15:45"),
    ("a short Saturday session", date(2024, 3, 2), ALL): (
        "09:00-09:15", "09:15-12:30", None, "12:40-13:00", "08:57-12:45"),
    ("a Union budget Sunday", date(2026, 2, 1), ALL): (
        "09:00-09:15", "09:15-15:30", None, "15:40-16:00", "08:57-15:45"),
}  # fmt: skip


@pytest.mark.parametrize(("about", "day", "segment"), DAYS, ids=[about for about, _, _ in DAYS])
def test_a_day_has_the_phases_that_the_exchange_gives_it(about: str, day: date, segment: str) -> None:
    assert tuple(_windows(day, segment).values()) == DAYS[about, day, segment]


ROUND_THE_CHANGE = [
    (CHANGE, "15:14", Phase.OPEN, Phase.OPEN), (CHANGE, "15:15", Phase.OPEN, Phase.CLOSING_AUCTION),
    (CHANGE, "15:30", Phase.CLOSED, Phase.CLOSING_AUCTION), (CHANGE, "15:35", Phase.CLOSED, Phase.CLOSED),
    (CHANGE, "15:42", Phase.CLOSED, Phase.CLOSED), (CHANGE, "15:45", Phase.AMO, Phase.AMO),
    (CHANGE, "15:52", Phase.AMO, Phase.AMO), (BEFORE, "15:15", Phase.OPEN, Phase.OPEN),
    (BEFORE, "15:42", Phase.POST_CLOSE, Phase.POST_CLOSE), (BEFORE, "15:45", Phase.AMO, Phase.AMO),
    (CHANGE, "08:56", Phase.AMO, Phase.AMO), (CHANGE, "08:57", Phase.CLOSED, Phase.CLOSED),
    (CHANGE, "09:00", Phase.PREOPEN, Phase.PREOPEN),
]  # fmt: skip


@pytest.mark.parametrize(("day", "clock", "all_shares", "with_derivatives"), ROUND_THE_CHANGE)
def test_a_moment_has_the_phase_of_its_shares(
    day: date, clock: str, all_shares: Phase, with_derivatives: Phase
) -> None:
    assert (_phase(day, clock), _phase(day, clock, "fno")) == (all_shares, with_derivatives)


def test_a_weekend_session_has_its_phases_and_an_ordinary_weekend_none() -> None:
    budget, ordinary = date(2026, 2, 1), date(2026, 2, 8)
    assert [_phase(budget, clock) for clock in ("08:57", "09:05", "12:00", "15:41")] == [
        Phase.CLOSED, Phase.PREOPEN, Phase.OPEN, Phase.POST_CLOSE,
    ]  # fmt: skip
    assert {_phase(ordinary, clock) for clock in ("08:57", "09:05", "12:00", "15:41")} == {Phase.AMO}
    assert _phase(date(2024, 1, 20), "09:05") is Phase.PREOPEN


def _by_distances(at: datetime) -> Phase:
    """Return the phase by distances from the sessions around a moment: how hours that never changed would have it."""
    day = exchange_day(at)
    sessions = NSE.sessions_between(max(NSE.first, day - timedelta(10)), min(NSE.last, day + timedelta(10)))
    minutes = timedelta(minutes=1)
    coming = next((one for one in sessions if at < one.closes), None)
    if coming is not None and at >= coming.opens - 18 * minutes:
        if at >= coming.opens:
            return Phase.OPEN
        return Phase.PREOPEN if at >= coming.opens - 15 * minutes else Phase.CLOSED
    past = [one for one in sessions if one.closes <= at]
    if not past or at - past[-1].closes >= 15 * minutes:
        return Phase.AMO
    late = at - past[-1].closes >= 10 * minutes and past[-1].day < CHANGE
    return Phase.POST_CLOSE if late else Phase.CLOSED


@given(st.integers(0, (NSE.last - NSE.first).days), st.integers(0, 24 * 60 - 1))
def test_what_all_shares_have_is_what_distances_from_the_session_say(days: int, minute: int) -> None:
    at = ist(NSE.first + timedelta(days), time(0)) + timedelta(minutes=minute)
    assert NSE.phase(at) is _by_distances(at)


@given(st.dates(NSE.first, NSE.last), st.sampled_from([ALL, "fno"]))
def test_the_phases_of_a_session_follow_each_other(day: date, segment: str) -> None:
    session = NSE.session(day)
    if session is None:
        return
    windows = [NSE.window(session, phase, segment) for phase in Phase if phase is not Phase.AMO]
    moments = [moment for window in windows if window is not None for moment in window]
    assert moments == sorted(moments)
    assert NSE.amo_ends(session, segment) < session.opens
    assert NSE.amo_begins(session, segment) > session.closes
    assert {exchange_day(moment) for moment in moments} == {day}


def test_a_session_may_have_hours_of_its_own_for_a_phase() -> None:
    evening = date(2024, 11, 1)
    own = Hours(Phase.PREOPEN, ALL, time(17, 30), time(17, 50), evening, evening, "a test")
    sessions = NSE.sessions_between(NSE.first, NSE.last)
    calendar = Calendar("NSE", sessions, NSE.first, NSE.last, [*NSE.timetable.hours, own])
    assert clocks(calendar.window(_session(evening), Phase.PREOPEN)) == "17:30-17:50"
    assert calendar.phase(ist(evening, time(17, 55))) is Phase.CLOSED
    later = _session(date(2024, 11, 4))
    assert clocks(calendar.window(later, Phase.PREOPEN)) == "09:00-09:15"


def test_without_hours_nothing_but_open_and_closed_is_told_and_after_market_orders_are_refused() -> None:
    session = _session(CHANGE)
    bare = Calendar("NSE", [session], CHANGE, CHANGE)
    told = {bare.phase(ist(CHANGE, time(0)) + timedelta(minutes=minute)) for minute in range(24 * 60)}
    assert told == {Phase.OPEN, Phase.CLOSED}
    assert bare.window(session, Phase.PREOPEN) is None
    for ask in (bare.amo_ends, bare.amo_begins):
        with pytest.raises(
            HoursUnknown, match="no hours of amo for 2026-08-03: import a calendar file that has a line"
        ):
            ask(session)


def test_a_phase_outside_the_coverage_is_refused() -> None:
    with pytest.raises(CalendarUncovered):
        NSE.phase(ist(NSE.last + timedelta(1), time(10)))
    with pytest.raises(CalendarUncovered, match="covers 2015-01-01 to 2026-06-30"):
        NSE.until(date(2026, 6, 30)).phase(ist(date(2026, 7, 1), time(10)))


def test_hours_are_those_that_are_valid_on_the_day() -> None:
    hours = [
        Hours(Phase.OPEN, ALL, time(9), time(15), date(2024, 1, 1), date(2024, 1, 31), "a test"),
        Hours(Phase.OPEN, ALL, time(10), time(15), date(2024, 2, 1), None, "a test"),
        Hours(Phase.OPEN, "fno", time(9), time(14), date(2024, 3, 1), date(2024, 3, 31), "a test"),
    ]
    table = Timetable(reversed(hours))
    days = [(2023, 12, 31), (2024, 1, 31), (2024, 2, 1), (2024, 3, 1), (2024, 4, 1)]
    found = [table.lasting(Phase.OPEN, "fno", date(*day)) for day in days]
    assert found == [None, hours[0], hours[1], hours[2], hours[1]]
    assert table.segments == [ALL, "fno"]
    assert exchange_time(_session(CHANGE).opens).time() == time(9, 15)
