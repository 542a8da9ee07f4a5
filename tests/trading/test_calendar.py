from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market_hours import NSE_HOURS
from trading.calendar import BEFORE_CLOSE, Calendar, Session, exchange_day, ist
from trading.errors import CalendarUncovered
from trading.phases import Phase

FIRST, LAST = date(2024, 10, 28), date(2024, 11, 10)


def _session(day: int, opens: str = "09:15", closes: str = "15:30", kind: str = "regular", month: int = 11) -> Session:
    when = date(2024, month, day)
    return Session(when, ist(when, time.fromisoformat(opens)), ist(when, time.fromisoformat(closes)), kind)


# Two weeks around Diwali 2024: an evening session on Friday 1 November, else weekdays.
DIWALI = _session(1, "18:00", "19:00", "special")
SESSIONS = [*(_session(day, month=10) for day in (28, 29, 30, 31)), DIWALI, *(_session(day) for day in (4, 5, 6, 7, 8))]
CALENDAR = Calendar("NSE", SESSIONS, FIRST, LAST, NSE_HOURS)


def at(day: int, clock: str, month: int = 11) -> datetime:
    return ist(date(2024, month, day), time.fromisoformat(clock))


def test_a_clock_time_in_ist_is_an_utc_moment() -> None:
    assert ist(date(2024, 11, 1), time(18, 0)) == datetime(2024, 11, 1, 12, 30, tzinfo=UTC)
    assert ist(date(2024, 11, 1), time(18, 0)).tzinfo is UTC


def test_the_exchange_day_begins_at_midnight_in_ist() -> None:
    assert CALENDAR.exchange_day(datetime(2024, 11, 1, 18, 29, tzinfo=UTC)) == date(2024, 11, 1)
    assert exchange_day(datetime(2024, 11, 1, 18, 30, tzinfo=UTC)) == date(2024, 11, 2)


def test_a_naive_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        exchange_day(datetime(2024, 11, 1, 9, 15))  # noqa: DTZ001 - the mistake under test


def test_a_covered_day_without_a_session_is_closed() -> None:
    assert CALENDAR.session(date(2024, 11, 2)) is None
    assert not CALENDAR.is_session(date(2024, 11, 2))
    assert CALENDAR.session(date(2024, 11, 1)) == DIWALI


def test_next_and_previous_sessions_leave_their_day_out() -> None:
    assert CALENDAR.next_session(date(2024, 10, 31)) == DIWALI
    assert CALENDAR.next_session(date(2024, 11, 1)).day == date(2024, 11, 4)
    assert CALENDAR.previous_session(date(2024, 11, 4)) == DIWALI
    assert CALENDAR.previous_session(date(2024, 11, 3)) == DIWALI
    assert CALENDAR.next_session(FIRST - timedelta(1)).day == FIRST
    assert CALENDAR.previous_session(LAST + timedelta(1)).day == date(2024, 11, 8)


def test_sessions_between_holds_both_ends() -> None:
    days = [session.day.day for session in CALENDAR.sessions_between(date(2024, 10, 31), date(2024, 11, 4))]
    assert days == [31, 1, 4]
    assert not CALENDAR.sessions_between(date(2024, 11, 4), date(2024, 11, 1))


def test_a_session_is_current_until_it_closes() -> None:
    assert CALENDAR.current_or_next(at(1, "18:59:59")) == DIWALI
    assert CALENDAR.last_closed(at(1, "18:59:59")).day == date(2024, 10, 31)
    assert CALENDAR.current_or_next(at(1, "19:00")).day == date(2024, 11, 4)
    assert CALENDAR.last_closed(at(1, "19:00")) == DIWALI


@pytest.mark.parametrize(
    "ask",
    [
        lambda: CALENDAR.session(LAST + timedelta(1)),
        lambda: CALENDAR.is_session(FIRST - timedelta(1)),
        lambda: CALENDAR.next_session(date(2024, 11, 8)),
        lambda: CALENDAR.next_session(FIRST - timedelta(2)),
        lambda: CALENDAR.previous_session(FIRST),
        lambda: CALENDAR.previous_session(LAST + timedelta(2)),
        lambda: CALENDAR.sessions_between(FIRST, LAST + timedelta(1)),
        lambda: CALENDAR.current_or_next(at(8, "15:30")),
        lambda: CALENDAR.last_closed(at(28, "15:29", month=10)),
        lambda: CALENDAR.phase(at(11, "00:00")),
        lambda: CALENDAR.bar_is_whole(at(27, "23:59", month=10)),
    ],
)
def test_an_answer_from_outside_the_coverage_is_refused_not_guessed(ask: Callable[[], object]) -> None:
    with pytest.raises(CalendarUncovered, match="2024-10-28 to 2024-11-10"):
        ask()


REGULAR_DAY = [
    ("00:10", Phase.AMO), ("08:56", Phase.AMO), ("08:57", Phase.CLOSED), ("09:00", Phase.PREOPEN),
    ("09:14", Phase.PREOPEN), ("09:15", Phase.OPEN), ("15:29", Phase.OPEN), ("15:30", Phase.CLOSED),
    ("15:40", Phase.POST_CLOSE), ("15:45", Phase.AMO), ("23:59", Phase.AMO),
]  # fmt: skip
EVENING = [
    ("09:15", Phase.AMO), ("17:41", Phase.AMO), ("17:42", Phase.CLOSED), ("17:45", Phase.PREOPEN),
    ("18:00", Phase.OPEN), ("18:59", Phase.OPEN), ("19:00", Phase.CLOSED), ("19:10", Phase.POST_CLOSE),
    ("19:15", Phase.AMO),
]  # fmt: skip


@pytest.mark.parametrize(("clock", "phase"), REGULAR_DAY)
def test_a_regular_day_has_the_phases_of_the_exchange(clock: str, phase: Phase) -> None:
    assert CALENDAR.phase(at(5, clock)) is phase


@pytest.mark.parametrize(("clock", "phase"), EVENING)
def test_an_evening_session_has_the_same_phases_at_its_own_hours(clock: str, phase: Phase) -> None:
    assert CALENDAR.phase(at(1, clock)) is phase


def test_after_market_orders_are_taken_over_a_weekend_and_at_both_ends_of_the_coverage() -> None:
    assert CALENDAR.phase(at(2, "12:00")) is Phase.AMO
    assert CALENDAR.phase(at(10, "23:59")) is Phase.AMO
    assert CALENDAR.phase(at(28, "00:00", month=10)) is Phase.AMO


def test_the_closing_auction_moved_the_post_close_window_behind_the_first_after_market_orders() -> None:
    day = date(2026, 8, 3)
    session = Session(day, ist(day, time(9, 15)), ist(day, time(15, 30)))
    assert Calendar("NSE", [session], day, day, NSE_HOURS).phase(ist(day, time(15, 42))) is Phase.CLOSED


def test_a_daily_bar_is_whole_from_shortly_before_the_close() -> None:
    whole = DIWALI.closes - BEFORE_CLOSE
    assert not CALENDAR.bar_is_whole(whole - timedelta(seconds=1))
    assert CALENDAR.bar_is_whole(whole)
    assert CALENDAR.bar_is_whole(at(1, "23:59"))
    assert not CALENDAR.bar_is_whole(at(2, "16:00"))


@pytest.mark.parametrize(
    "sessions",
    [
        [_session(5), _session(4)],
        [_session(4), _session(4)],
        [_session(4, "15:30", "09:15")],
        [_session(11)],
        [Session(date(2024, 11, 4), at(5, "09:15"), at(5, "15:30"))],
    ],
)
def test_sessions_that_do_not_fit_make_no_calendar(sessions: list[Session]) -> None:
    with pytest.raises(ValueError, match="session 2024-11"):
        Calendar("NSE", sessions, FIRST, LAST)


@given(st.integers(0, 14 * 24 * 60 - 1))
def test_the_phase_is_open_exactly_within_a_session(minute: int) -> None:
    moment = ist(FIRST, time(0)) + timedelta(minutes=minute)
    within = any(session.opens <= moment < session.closes for session in SESSIONS)
    assert (CALENDAR.phase(moment) is Phase.OPEN) == within
