"""Laws that every trigger keeps: windows split anywhere, moments rise, texts are read back, nothing naive is taken."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.season import BEGIN, CALENDAR, END
from trading.calendar import exchange_day
from trading.clock_triggers import Interval, Once
from trading.errors import BadTrigger, CalendarUncovered
from trading.periods import EDGES, PERIODS, Edge
from trading.session_triggers import At, Between, Moment, OnEdge, PreOpen, SessionTrigger, Span, WhileOpen
from trading.triggers import Daily, OnRequest, Trigger, due_between, next_due, parse_trigger

clocks = st.builds(time, st.integers(0, 23), st.integers(0, 59))
spans = st.builds(Span, st.integers(1, 480), st.just("m")) | st.builds(Span, st.integers(1, 8), st.just("h"))
wide = spans.filter(lambda span: span.length >= timedelta(minutes=7))
moments = st.builds(Moment, st.sampled_from(["open", "close"])) | st.builds(
    Moment, st.sampled_from(["open", "close"]), st.sampled_from("+-"), spans
)


def _readable(trigger: Trigger) -> bool:
    try:
        parse_trigger(str(trigger))
    except BadTrigger:
        return False
    return True


plain = (
    moments
    | st.builds(At, clocks)
    | st.builds(PreOpen, st.builds(time, st.just(9), st.integers(0, 20)))
    | st.builds(WhileOpen, wide)
    | st.builds(Between, wide, moments, moments).filter(_readable)
)
in_sessions = plain | st.builds(OnEdge, plain, st.builds(Edge, st.sampled_from(EDGES), st.sampled_from(PERIODS)))
offsets = st.sampled_from(["+05:30", "+00:00", "-04:00"])
anchors = st.builds(
    lambda at, offset: datetime.fromisoformat(f"{at:%Y-%m-%dT%H:%M:%S}{offset}"),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),  # noqa: DTZ001  # its zone is put behind it
    offsets,
)
crons = st.builds(
    lambda minute, hour, days, zone, policy: parse_trigger(f"cron {minute} {hour} {days} in {zone}{policy}"),
    st.sampled_from(["0", "*/7", "15,45"]),
    st.sampled_from(["*", "2", "9-15", "*/5"]),
    st.sampled_from(["* * *", "* * mon-fri", "1,15 * *", "*/2 * sun", "31 * *"]),
    st.sampled_from(["Asia/Kolkata", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe"]),
    st.sampled_from(["", ", gap skip", ", fold second", ", gap shift, fold both"]),
)
of_clocks = (
    st.builds(Daily, clocks)
    | st.builds(Interval, wide, anchors)
    | st.builds(Once, anchors)
    | st.just(OnRequest())
    | crons
)
triggers: st.SearchStrategy[Trigger] = in_sessions | of_clocks

LENGTH = int((END - BEGIN).total_seconds())
instants = st.integers(0, LENGTH - 1).map(lambda seconds: BEGIN + timedelta(seconds=seconds))


def between(trigger: Trigger, after: datetime, until: datetime, daily_bars: bool = False) -> list[datetime]:
    return list(due_between(trigger, CALENDAR, after, until, daily_bars))


@given(triggers)
def test_any_trigger_survives_its_text(trigger: Trigger) -> None:
    assert parse_trigger(str(trigger)) == trigger
    assert str(parse_trigger(str(trigger).upper().replace("ASIA", "asia"))) == str(trigger)


@given(triggers, instants, st.lists(st.integers(0, 40 * 86_400), min_size=2, max_size=5), st.booleans())
def test_any_split_of_a_window_gives_the_same_moments(
    trigger: Trigger, begin: datetime, cuts: list[int], daily_bars: bool
) -> None:
    edges = [begin + timedelta(seconds=cut) for cut in sorted(cuts)]
    edges = [min(edge, END - timedelta(seconds=1)) for edge in edges]
    parts = [between(trigger, earlier, later, daily_bars) for earlier, later in pairwise(edges)]
    assert [moment for part in parts for moment in part] == between(trigger, edges[0], edges[-1], daily_bars)


@given(triggers, instants, st.booleans())
def test_the_next_moment_is_the_first_of_any_window_that_holds_it(
    trigger: Trigger, after: datetime, daily_bars: bool
) -> None:
    moment = next_due(trigger, CALENDAR, after, daily_bars)
    if moment is None:
        assert between(trigger, after, after + timedelta(days=60), daily_bars) == []
        return
    assert moment > after
    assert moment.tzinfo is UTC
    assert between(trigger, after, moment, daily_bars) == [moment]
    assert next_due(trigger, CALENDAR, moment - timedelta(microseconds=1), daily_bars) == moment
    assert between(trigger, after, moment - timedelta(microseconds=1), daily_bars) == []


@given(in_sessions, instants, st.booleans())
def test_what_follows_sessions_fires_on_session_days_inside_the_coverage_alone(
    trigger: SessionTrigger, after: datetime, daily_bars: bool
) -> None:
    found = between(trigger, after, END + timedelta(days=400), daily_bars)
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(CALENDAR.is_session(exchange_day(moment)) for moment in found)


@given(in_sessions, st.integers(0, 800))
def test_outside_the_coverage_what_follows_sessions_fails_closed(trigger: SessionTrigger, days: int) -> None:
    assert next_due(trigger, CALENDAR, END + timedelta(days=days), daily_bars=False) is None
    with pytest.raises(CalendarUncovered):
        next_due(trigger, CALENDAR, BEGIN - timedelta(days=days, microseconds=1), daily_bars=False)


@given(of_clocks, st.integers(1, 300))
def test_what_follows_no_session_asks_no_calendar(trigger: Trigger, days: int) -> None:
    after = END + timedelta(days=days)
    found = between(trigger, after, after + timedelta(days=3))
    assert all(after < moment <= after + timedelta(days=3) for moment in found)
    if isinstance(trigger, Daily | Interval):
        assert found


NAIVE = datetime(2026, 9, 1)  # noqa: DTZ001  # what is refused


@given(triggers)
def test_a_moment_without_a_zone_is_refused(trigger: Trigger) -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        next_due(trigger, CALENDAR, NAIVE, daily_bars=False)
    with pytest.raises(ValueError, match="without a time zone"):
        list(due_between(trigger, CALENDAR, BEGIN, NAIVE, daily_bars=False))
    with pytest.raises(ValueError, match="without a time zone"):
        list(due_between(trigger, CALENDAR, NAIVE, END, daily_bars=False))


@given(crons | st.builds(Interval, wide, anchors), instants)
def test_on_daily_bars_what_repeats_fires_at_its_first_moment_of_an_exchange_day(
    trigger: Trigger, after: datetime
) -> None:
    until = min(after + timedelta(days=5), END)
    firsts: dict[object, datetime] = {}
    for moment in between(trigger, after - timedelta(days=1), until):
        firsts.setdefault(exchange_day(moment), moment)
    wanted = [
        moment for day, moment in firsts.items() if moment > after and day != exchange_day(after - timedelta(days=1))
    ]
    assert between(trigger, after, until, daily_bars=True) == wanted


words = st.sampled_from(
    [
        "cron",
        "in",
        "on",
        "at",
        "every",
        "while",
        "open",
        "close",
        "since",
        "from",
        "until",
        "each",
        "pre-open",
        "once",
        "daily",
        "request",
        "first",
        "last",
        "session",
        "of",
        "month",
        "week",
        "gap",
        "fold",
        "skip",
        "shift",
        "both",
        ",",
        ",gap",
        "*/5",
        "0",
        "9",
        "*",
        "1-5",
        "mon-fri",
        "60s",
        "90m",
        "open+15m",
        "close-9h",
        "16:05",
        "25:00",
        "UTC",
        "Asia/Kolkata",
        "2026-01-01T09:00Z",
        "0001-01-01T00:00+05:30",
        "9999-12-31T23:59-05:00",
        "2026-13-01",
        "-",
    ]
)


@given(st.lists(words | st.text(max_size=6), max_size=9).map(" ".join))
def test_any_text_is_a_trigger_or_refused_with_a_place_in_it_and_a_valid_example(text: str) -> None:
    refused: BadTrigger | None = None
    try:
        text = str(parse_trigger(text))
    except BadTrigger as error:
        refused, text = error, error.example
    assert refused is None or 0 <= refused.position <= len(refused.text)
    between(parse_trigger(text), BEGIN, BEGIN + timedelta(hours=1))
