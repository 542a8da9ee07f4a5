from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trading.season import CALENDAR
from trading.clock_triggers import Interval, Once
from trading.errors import BadTrigger
from trading.session_triggers import Span
from trading.triggers import due_between, next_due, parse_trigger

ANCHOR = datetime.fromisoformat("2026-01-01T09:00+05:30")

NORMAL = [
    ("EVERY 90m SINCE 2026-01-01T09:00:00+05:30", "every 90m since 2026-01-01T09:00+05:30"),
    ("every 60s since 2026-01-01 ", None), ("every 1h since 2026-01-01T03:30:15Z", "every 1h since 2026-01-01T03:30:15+00:00"),
    ("once 2026-12-01T10:00:00+05:30", "once 2026-12-01T10:00+05:30"), ("Once 20261201T1000Z", "once 2026-12-01T10:00+00:00"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "normal"), NORMAL)
def test_a_moment_is_written_with_its_offset_in_one_way(text: str, normal: str | None) -> None:
    if normal is None:
        with pytest.raises(BadTrigger, match="has no time zone"):
            parse_trigger(text)
        return
    assert str(parse_trigger(text)) == normal


BAD = [
    ("once", 4), ("once tomorrow", 5), ("once 2026-12-01T10:00", 5), ("once 2026-13-01T10:00Z", 5), ("once 2026-12-01T10:00:00.5Z", 5),
    ("once 0001-01-01T00:00+05:30", 5), ("every 1h since 9999-12-31T23:59-05:00", 15), ("once 2026-12-01T10:00Z daily", 23), ("every 90m since", 15), ("every 0m since 2026-01-01T09:00Z", 6),
    ("every 90m since noon", 16), ("every 90m since 2026-01-01T09:00", 16), ("every 90m since 2026-01-01T09:00Z until close", 34),
    ("once 2026-12-01T10:00Z on first session of week", 23), ("daily at 02:00 on last session of month", 15),
]  # fmt: skip


@pytest.mark.parametrize(("text", "position"), BAD)
def test_a_text_that_cannot_be_read_names_the_place_and_a_valid_example(text: str, position: int) -> None:
    with pytest.raises(BadTrigger) as caught:
        parse_trigger(text)
    assert caught.value.position == position
    parse_trigger(caught.value.example)


spans = st.builds(Span, st.integers(1, 99_999), st.sampled_from("smh"))
moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(spans, moments)
def test_an_interval_keeps_its_anchor_whatever_happens_in_between(every: Span, after: datetime) -> None:
    moment = Interval(every, ANCHOR).next_due(after)
    assert (moment - ANCHOR) % every.length == timedelta()
    assert moment > after
    assert moment == ANCHOR or moment - every.length <= after


def test_an_interval_counts_elapsed_time_through_a_change_of_clocks() -> None:
    trigger = parse_trigger("every 24h since 2026-03-07T12:00-05:00")  # New York's clocks jump the night after
    after = datetime(2026, 3, 7, 17, tzinfo=UTC)
    assert next_due(trigger, CALENDAR, after, daily_bars=False) == after + timedelta(hours=24)


def test_an_interval_begins_at_its_anchor() -> None:
    assert Interval(Span(90, "m"), ANCHOR).next_due(ANCHOR - timedelta(days=9)) == ANCHOR


def test_once_is_once() -> None:
    trigger = Once(ANCHOR)
    window = ANCHOR - timedelta(days=400), ANCHOR + timedelta(days=400)
    assert list(due_between(trigger, CALENDAR, *window, daily_bars=False)) == [ANCHOR]
    assert list(due_between(trigger, CALENDAR, *window, daily_bars=True)) == [ANCHOR]
    assert next_due(trigger, CALENDAR, ANCHOR, daily_bars=False) is None
