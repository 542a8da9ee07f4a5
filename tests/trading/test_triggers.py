from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market_hours import NSE_HOURS
from trading.calendar import BEFORE_CLOSE, Calendar, Session, ist
from trading.errors import BadTrigger, CalendarUncovered
from trading.triggers import At, Between, Daily, Moment, OnRequest, Span, Trigger, WhileOpen, next_due, parse_trigger

FIRST, LAST = date(2024, 10, 30), date(2024, 11, 6)


def _session(day: date, opens: time = time(9, 15), closes: time = time(15, 30)) -> Session:
    return Session(day, ist(day, opens), ist(day, closes))


# Two regular days, an evening session on Friday 1 November, a weekend, three regular days.
EVENING = _session(date(2024, 11, 1), time(18, 0), time(19, 0))
SESSIONS = [
    _session(date(2024, 10, 30)),
    _session(date(2024, 10, 31)),
    EVENING,
    *(_session(date(2024, 11, day)) for day in (4, 5, 6)),
]
CALENDAR = Calendar("NSE", SESSIONS, FIRST, LAST, NSE_HOURS)
BEGIN, END = ist(FIRST, time(0)), ist(LAST + timedelta(1), time(0))

TEXTS = {
    "open": Moment("open"),
    "open-40m": Moment("open", "-", Span(40, "m")),
    "open+15m": Moment("open", "+", Span(15, "m")),
    "close+30m": Moment("close", "+", Span(30, "m")),
    "close-5m": Moment("close", "-", Span(5, "m")),
    "every 60s while open": WhileOpen(Span(60, "s")),
    "every 1m while open": WhileOpen(Span(1, "m")),
    "every 10m from close+15m until close+5h": Between(
        Span(10, "m"), Moment("close", "+", Span(15, "m")), Moment("close", "+", Span(5, "h"))
    ),
    "at 16:05": At(time(16, 5)),
    "daily at 02:00": Daily(time(2)),
    "on request": OnRequest(),
}


def dues(trigger: Trigger, begin: datetime, end: datetime, daily_bars: bool) -> list[datetime]:
    """Return the moments of (begin, end], by chaining."""
    found: list[datetime] = []
    moment = next_due(trigger, CALENDAR, begin, daily_bars)
    while moment is not None and moment <= end:
        found.append(moment)
        moment = next_due(trigger, CALENDAR, moment, daily_bars)
    return found


def clocks(text: str, day: date, daily_bars: bool = False) -> list[str]:
    """Return the IST clock times at which a trigger fires on a day."""
    begin = ist(day, time(0)) - timedelta(seconds=1)
    moments = dues(parse_trigger(text), max(begin, BEGIN), begin + timedelta(days=1), daily_bars)
    return [f"{moment + timedelta(hours=5, minutes=30):%H:%M}" for moment in moments]


@pytest.mark.parametrize(("text", "trigger"), TEXTS.items())
def test_a_text_is_read_and_written_alike(text: str, trigger: Trigger) -> None:
    assert parse_trigger(text) == trigger
    assert str(trigger) == text


def test_case_and_spaces_do_not_matter() -> None:
    assert str(parse_trigger("  Every 10M  from Close until close+1h ")) == "every 10m from close until close+1h"


spans = st.builds(Span, st.integers(1, 480), st.sampled_from("sm"))
moments = st.builds(Moment, st.sampled_from(["open", "close"])) | st.builds(
    Moment, st.sampled_from(["open", "close"]), st.sampled_from("+-"), spans
)
windows = st.builds(Between, spans, moments, moments).filter(lambda trigger: _readable(str(trigger)))
triggers = (
    moments
    | st.builds(WhileOpen, spans)
    | windows
    | st.builds(At, st.builds(time, st.integers(0, 23), st.integers(0, 59)))
    | st.just(OnRequest())
)


def _readable(text: str) -> bool:
    try:
        parse_trigger(text)
    except BadTrigger:
        return False
    return True


@given(triggers)
def test_any_trigger_survives_its_text(trigger: Trigger) -> None:
    assert parse_trigger(str(trigger)) == trigger


BAD = [
    ("", 0), ("   ", 3), ("noon", 0), ("open-", 0), ("open-40x", 0), ("open-9h", 4), ("close+481m", 5), ("open now", 5),
    ("at", 2), ("at noon", 3), ("at 24:00", 3), ("at 16:05 daily", 9), ("on demand", 3), ("every", 5),
    ("every 0s while open", 6), ("every minute while open", 6), ("every 60s while closed", 16),
    ("every 60s while open today", 21), ("every 10m until close", 10), ("every 10m from noon until close", 15),
    ("every 10m from open till close", 20), ("every 10m from close+5h until close+15m", 30),
    ("every 10m from open until open", 26),
]  # fmt: skip


@pytest.mark.parametrize(("text", "position"), BAD)
def test_a_text_that_cannot_be_read_names_the_place_and_a_valid_example(text: str, position: int) -> None:
    with pytest.raises(BadTrigger) as caught:
        parse_trigger(text)
    assert caught.value.position == position
    parse_trigger(caught.value.example)


REGULAR, EVENING_DAY, SUNDAY = date(2024, 11, 5), date(2024, 11, 1), date(2024, 11, 3)
FIRES = [
    ("open-40m", ["08:35"], ["17:20"]),
    ("open+15m", ["09:30"], ["18:15"]),
    ("close+15m", ["15:45"], ["19:15"]),
    ("at 16:05", ["16:05"], ["16:05"]),
    ("every 2h while open", ["09:15", "11:15", "13:15", "15:15"], ["18:00"]),
    ("every 1h from close+15m until close+3h", ["15:45", "16:45", "17:45"], ["19:15", "20:15", "21:15"]),
    ("every 1h from open+4h until close", ["13:15", "14:15", "15:15"], []),
    ("close+6h", ["21:30"], ["23:59"]),
    ("on request", [], []),
]


@pytest.mark.parametrize(("text", "regular", "evening"), FIRES)
def test_a_trigger_follows_the_hours_of_its_session(text: str, regular: list[str], evening: list[str]) -> None:
    assert clocks(text, REGULAR) == regular
    assert clocks(text, EVENING_DAY) == evening
    assert clocks(text, SUNDAY) == []


def test_while_open_fires_at_the_open_and_not_at_the_close() -> None:
    found = clocks("every 1m while open", EVENING_DAY)
    assert (found[0], found[-1], len(found)) == ("18:00", "18:59", 60)


DAILY = [
    ("every 60s while open", ["18:00", "18:55"]),
    ("every 10m from close+15m until close+2h", ["19:15"]),
    ("every 1h from open+4h until close", []),
    ("open+15m", ["18:15"]),
]


@pytest.mark.parametrize(("text", "evening"), DAILY)
def test_on_daily_bars_a_trigger_fires_only_where_something_new_shows(text: str, evening: list[str]) -> None:
    assert clocks(text, EVENING_DAY, daily_bars=True) == evening


def test_a_session_shorter_than_the_watch_before_its_close_fires_once() -> None:
    day = date(2024, 11, 6)
    short = Session(day, ist(day, time(9, 15)), ist(day, time(9, 15)) + BEFORE_CLOSE)
    calendar = Calendar("NSE", [short], day, day)
    first = next_due(WhileOpen(Span(60, "s")), calendar, ist(day, time(0)), daily_bars=True)
    assert first == short.opens
    assert next_due(WhileOpen(Span(60, "s")), calendar, short.opens, daily_bars=True) is None


def test_the_end_of_the_coverage_is_none_and_its_other_side_an_error() -> None:
    assert next_due(Moment("open"), CALENDAR, SESSIONS[-1].opens, daily_bars=False) is None
    assert next_due(Moment("open"), CALENDAR, END + timedelta(days=30), daily_bars=False) is None
    with pytest.raises(CalendarUncovered):
        next_due(Moment("open"), CALENDAR, BEGIN - timedelta(seconds=1), daily_bars=False)


seconds = st.integers(0, int((END - BEGIN).total_seconds()) - 1)
# Fine repeats make thousands of moments; their rule is the same at any length.
coarse = triggers.filter(lambda trigger: not isinstance(trigger, WhileOpen | Between) or trigger.every.unit == "m")


@given(coarse, st.lists(seconds, min_size=2, max_size=6), st.booleans())
def test_any_split_of_a_window_gives_the_same_moments(trigger: Trigger, cuts: list[int], daily_bars: bool) -> None:
    edges = [BEGIN + timedelta(seconds=cut) for cut in sorted(cuts)]
    parts = [dues(trigger, begin, end, daily_bars) for begin, end in pairwise(edges)]
    assert [moment for part in parts for moment in part] == dues(trigger, edges[0], edges[-1], daily_bars)


@given(coarse, st.booleans())
def test_moments_rise_and_lie_on_session_days(trigger: Trigger, daily_bars: bool) -> None:
    found = dues(trigger, BEGIN, END, daily_bars)
    assert found == sorted(set(found))
    assert all(CALENDAR.is_session(CALENDAR.exchange_day(moment)) for moment in found)
    assert all(moment.tzinfo is UTC for moment in found)


def test_a_daily_trigger_fires_on_every_day_and_past_the_end_of_the_calendar() -> None:
    trigger = parse_trigger("daily at 02:00")
    begin = ist(date(2024, 11, 1), time(2))
    found = dues(trigger, begin, begin + timedelta(days=60), daily_bars=False)
    assert found == [begin + timedelta(days=day) for day in range(1, 61)]


def test_a_replay_tidies_up_on_mondays_alone() -> None:
    begin = ist(date(2024, 11, 1), time(2))
    found = dues(parse_trigger("daily at 02:00"), begin, begin + timedelta(days=14), daily_bars=True)
    assert found == [ist(date(2024, 11, 4), time(2)), ist(date(2024, 11, 11), time(2))]


@pytest.mark.parametrize(("text", "position"), [("daily 02:00", 6), ("daily at 2", 9), ("daily at 02:00 ist", 15)])
def test_a_daily_text_that_cannot_be_read_says_where(text: str, position: int) -> None:
    with pytest.raises(BadTrigger) as caught:
        parse_trigger(text)
    assert (caught.value.position, caught.value.example) == (position, "daily at 02:00")
