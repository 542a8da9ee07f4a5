"""The load of a span: every execution counted once, in the minute in which it is due."""

from datetime import date, datetime, time, timedelta
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from db.schedule_looks import Load
from ops.schedules.chart import picture, short
from ops.schedules.load import Loaded, Simulation, by_bucket, simulate
from trading.calendar import Calendar, Session, ist
from trading.definitions import Definition, read_definition

MONDAY = date(2024, 1, 1)
_DAYS = [MONDAY + timedelta(days=number) for number in range(5)]
CALENDAR = Calendar(
    "NSE",
    [Session(day, ist(day, time(9, 15)), ist(day, time(15, 30))) for day in _DAYS],
    MONDAY - timedelta(days=1),
    MONDAY + timedelta(days=40),
)
FIRST, LAST = ist(MONDAY, time()), ist(MONDAY + timedelta(days=1), time())


def schedule(trigger: str, **columns: object) -> Definition:
    return read_definition({"name": trigger, "task_name": "order_sync", "trigger": trigger, **columns})


def load_of(*schedules: Loaded, last: datetime = LAST) -> Simulation:
    return simulate(schedules, CALENDAR, FIRST, last)


def test_a_million_subscribers_are_one_number() -> None:
    made = load_of(Loaded(schedule("at 16:05"), "strategy", [Load(1_000_000)]))
    assert made.peak == (ist(MONDAY, time(16, 5)), 1_000_000)
    assert (made.total, made.queues()) == (1_000_000, {"strategy": 1_000_000})


def test_queues_add_up_minute_by_minute() -> None:
    made = load_of(
        Loaded(schedule("every 60s while open"), "orders", [Load(10)]),
        Loaded(schedule("at 10:00", task_name="buy_orders"), "strategy", [Load(3)]),
    )
    assert len(made.minutes) == 375
    assert dict(made.minutes[ist(MONDAY, time(10))]) == {"orders": 10, "strategy": 3}
    assert made.peak == (ist(MONDAY, time(10)), 13)
    assert made.total == sum(queues.total() for queues in made.minutes.values()) == 3753


def test_who_is_paused_comes_when_the_pause_ends() -> None:
    ends = ist(MONDAY, time(12))
    made = load_of(Loaded(schedule("every 1h from open until close"), "orders", [Load(5), Load(2, ends)]))
    assert [queues.total() for queues in made.minutes.values()] == [5, 5, 5, 7, 7, 7, 7]


def test_a_spread_slot_lies_over_its_minutes() -> None:
    made = load_of(Loaded(schedule("at 16:05", spread_seconds=300), "strategy", [Load(1000)]))
    assert [queues.total() for queues in made.minutes.values()] == [200] * 5


@given(
    count=st.integers(1, 5000),
    spread=st.integers(0, 1200),
    jitter=st.integers(0, 1200),
)
def test_however_a_slot_is_laid_nobody_is_lost(count: int, spread: int, jitter: int) -> None:
    definition = schedule("at 16:05", spread_seconds=spread, jitter_seconds=jitter)
    made = load_of(Loaded(definition, "strategy", [Load(count)]))
    assert sum(queues.total() for queues in made.minutes.values()) == made.total == count
    assert max(made.minutes) <= ist(MONDAY, time(16, 5)) + timedelta(seconds=spread + jitter)


def test_a_slot_at_the_first_moment_counts_and_one_at_the_last_does_not() -> None:
    made = simulate(
        [Loaded(schedule("every 60s while open"), "orders", [Load(1)])],
        CALENDAR,
        ist(MONDAY, time(10)),
        ist(MONDAY, time(10, 5)),
    )
    assert made.total == 5


def test_a_bucket_shows_its_busiest_minute() -> None:
    made = load_of(Loaded(schedule("at 10:00"), "orders", [Load(5)]), Loaded(schedule("at 10:20"), "orders", [Load(9)]))
    buckets = by_bucket(made, 24)
    assert [sum(queues.values()) for _, queues in buckets] == [0] * 10 + [9] + [0] * 13


@pytest.mark.parametrize("days", [1, 30])
def test_the_picture_names_peak_and_queues(days: int) -> None:
    made = load_of(
        Loaded(schedule("at 16:05"), "strategy", [Load(1_200_000)]),
        Loaded(schedule("every 60s while open"), "orders", [Load(2000)]),
        last=FIRST + timedelta(days=days),
    )
    console = Console(width=120, record=True, file=StringIO())
    console.print(picture(made, console.width, {MONDAY + timedelta(days=6): "A feast"}))
    shown = console.export_text()
    assert "at most 1,200,000 at 2024-01-01 16:05" in shown
    assert "■ orders" in shown
    assert "1.2M" in shown
    assert ("A feast" in shown) is (days > 1)
    assert max(len(line) for line in shown.splitlines()[1:]) <= 120


def test_nothing_is_drawn_of_nothing() -> None:
    console = Console(width=100, record=True, file=StringIO())
    console.print(picture(load_of(), 100, {}))
    assert "nothing fires" in console.export_text()


def test_numbers_of_an_axis_are_short() -> None:
    assert [short(count) for count in (0, 950, 12_300, 1_500_000)] == ["0", "950", "12.3k", "1.5M"]


def test_moments_without_a_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        simulate([Loaded(schedule("open"), "orders", [Load(1)])], CALENDAR, datetime(2024, 1, 1), FIRST)  # noqa: DTZ001


def test_two_schedules_of_a_task_at_one_moment_make_one_execution_for_each() -> None:
    made = load_of(Loaded(schedule("open"), "orders", [Load(100)]), Loaded(schedule("at 09:15"), "orders", [Load(120)]))
    assert made.total == 120
    assert [line.executions for line in made.lines] == [100, 20]
