"""Cron texts and the wall times their fields name. What becomes of those where a clock jumps: test_cron_zones."""

from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from trading.cron import Cron
from trading.cron_fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, Kind
from trading.errors import BadTrigger
from trading.triggers import parse_trigger
from trading.wall_times import zone_names


def cron(text: str) -> Cron:
    trigger = parse_trigger(text)
    assert isinstance(trigger, Cron)
    return trigger


def moments(text: str, after: datetime, count: int) -> list[datetime]:
    """Return the next moments, each asked for from the one before; fewer where there are no more."""
    found: list[datetime] = []
    moment = cron(text).next_due(after)
    while moment is not None and len(found) < count:
        found.append(moment)
        moment = cron(text).next_due(moment)
    return found


NORMAL = [
    ("cron 0 9 * * 1-5 in asia/kolkata", "cron 0 9 * * mon-fri in Asia/Kolkata"),
    ("  CRON  0 0 9 * * MON  IN  utc ", "cron 0 9 * * mon in UTC"),
    ("cron 05 007 1 1 0 in UTC", "cron 5 7 1 jan sun in UTC"),
    ("cron 30 0 9 * jan,7 7 in UTC", "cron 30 0 9 * jan,jul sun in UTC"),
    ("cron */1 * * * * in UTC", "cron * * * * * in UTC"),
    ("cron 1,1,01 3-3 * * fri-7 in UTC", "cron 1 3 * * fri-sun in UTC"),
    ("cron 0 9 * * sat-0 in UTC", "cron 0 9 * * sat-sun in UTC"),
    ("cron 0-30/10 9 * * * in UTC", "cron 0-30/10 9 * * * in UTC"),
    ("cron 0 9 * * * in UTC, gap shift, fold first", "cron 0 9 * * * in UTC"),
    ("cron 0 9 * * * in UTC,fold BOTH ,gap skip", "cron 0 9 * * * in UTC, gap skip, fold both"),
    ("cron * 9 * * * in UTC, gap skip, fold both", "cron * 9 * * * in UTC"),
    ("cron * 9 * * * in UTC, fold first, gap shift", "cron * 9 * * * in UTC, gap shift, fold first"),
]


@pytest.mark.parametrize(("text", "normal"), NORMAL)
def test_a_cron_text_is_written_in_one_way(text: str, normal: str) -> None:
    assert str(cron(text)) == normal
    assert cron(normal) == cron(text)


BAD = [
    ("cron", 4), ("cron 0 9 * * *", 14), ("cron 0 9 * * * in", 17), ("cron 0 9 * * * in ", 17), ("cron 0 9 * * in UTC", 13),
    ("cron 0 0 0 9 * * * in UTC", 17), ("cron in UTC", 5), ("cron 60 9 * * * in UTC", 5), ("cron 0 24 * * * in UTC", 7),
    ("cron 0 9 0 * * in UTC", 9), ("cron 0 9 32 * * in UTC", 9), ("cron 0 9 * 13 * in UTC", 11), ("cron 0 9 * * 8 in UTC", 13),
    ("cron 0 9 * * funday in UTC", 13), ("cron 0 9 * mon * in UTC", 11), ("cron 1,2,x 9 * * * in UTC", 9),
    ("cron 1,,2 9 * * * in UTC", 7), ("cron 1, 2 9 * * * in UTC", 7), ("cron 30-10 9 * * * in UTC", 5),
    ("cron 0 9 * dec-feb * in UTC", 11), ("cron 5/10 9 * * * in UTC", 5), ("cron */0 9 * * * in UTC", 5),
    ("cron */x 9 * * * in UTC", 5), ("cron */90 9 * * * in UTC", 5), ("cron -1 9 * * * in UTC", 5),
    ("cron 1-2-3 9 * * * in UTC", 5), ("cron ² 9 * * * in UTC", 5), ("cron 0 9 * * mon#2 in UTC", 13),
    ("cron 0 9 * * * in Mars/Base", 18), ("cron 0 9 * * * in localtime", 18), ("cron 0 9 * * * in ../UTC", 18),
    ("cron 0 9 * * * in UTC gap skip", 22), ("cron 0 9 * * * in UTC,", 22), ("cron 0 9 * * * in UTC, gap", 26),
    ("cron 0 9 * * * in UTC, gap jump", 27), ("cron 0 9 * * * in UTC, fold skip", 28), ("cron 0 9 * * * in UTC, gap skip skip", 32),
    ("cron 0 9 * * * in UTC, hole skip", 23), ("cron 0 9 * * * in UTC, gap skip, gap skip", 33),
    ("cron 0 9 * * * in UTC on last session of month", 22),
]  # fmt: skip


@pytest.mark.parametrize(("text", "position"), BAD)
def test_a_cron_that_cannot_be_read_names_the_place_and_a_valid_example(text: str, position: int) -> None:
    with pytest.raises(BadTrigger) as caught:
        parse_trigger(text)
    assert caught.value.position == position
    cron(caught.value.example)


@pytest.mark.parametrize("text", ["0 0 31 2 *", "0 0 30,31 feb *", "0 0 31 4,6,9,11 *", "0 0 30 2 */2", "0 0 0 31 2 *"])
def test_a_day_that_no_month_has_is_impossible_and_its_field_is_named(text: str) -> None:
    with pytest.raises(BadTrigger, match=r"day of the month .* is impossible") as caught:
        parse_trigger(f"cron {text} in UTC")
    assert caught.value.text[caught.value.position :].startswith(("31", "30"))


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("0 0 31 2 mon", "2026-02-02"), ("0 0 29 2 *", "2028-02-29"), ("0 0 30 1,2 *", "2026-01-30"), ("0 0 31 */2 *", "2026-01-31"),
    ],
)  # fmt: skip
def test_what_comes_seldom_comes(text: str, first: str) -> None:
    assert moments(f"cron {text} in UTC", datetime(2026, 1, 2, tzinfo=UTC), 1) == [
        datetime.fromisoformat(f"{first}T00Z")
    ]


def test_a_leap_day_on_one_weekday_comes_after_forty_years_of_a_century_without_one() -> None:
    found = moments("cron 0 0 29 2 */6 in UTC", datetime(2084, 3, 1, tzinfo=UTC), 2)
    assert [f"{at:%a %Y-%m-%d}" for at in found] == ["Sun 2088-02-29", "Sat 2116-02-29"][: len(found)]
    assert found


DAYS = [
    ("13 * fri", [2, 9, 13, 16, 23, 30]), ("13 * *", [13]), ("* * fri", [2, 9, 16, 23, 30]), ("*/15 * thu,fri", [1, 16]),
    ("1-7 * */6", [3, 4]), ("28-31 * *", [28, 29, 30, 31]), ("* feb *", []), ("*/10 1 *", [1, 11, 21, 31]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "days"), DAYS)
def test_two_day_fields_are_either_and_beside_a_star_both(fields: str, days: list[int]) -> None:
    found = moments(f"cron 0 9 {fields} in UTC", datetime(2026, 1, 1, tzinfo=UTC), 40)
    assert [at.day for at in found if (at.year, at.month) == (2026, 1)] == days


def _items(kind: Kind, *, star: bool) -> st.SearchStrategy[str]:
    values = st.integers(kind.low, kind.high)
    written = values.map(kind.written) | values.map(str)
    # The other one takes 0-0 for a whole week.
    ranges = st.tuples(values, values).filter(lambda both: both[0] < both[1]).map(lambda both: f"{both[0]}-{both[1]}")
    steps = st.integers(1, kind.high - kind.low)
    stepped = st.builds(lambda span, step: f"{span}/{step}", ranges, steps)
    stars = [st.just("*"), steps.map(lambda step: f"*/{step}")] if star else []
    return st.one_of(written, ranges, stepped, *stars)


def fields(kind: Kind) -> st.SearchStrategy[str]:
    return _items(kind, star=True) | st.lists(_items(kind, star=False), min_size=1, max_size=3).map(",".join)


kinds = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
texts = st.tuples(*map(fields, kinds)).map(" ".join)
starts = st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def readable(text: str) -> bool:
    try:
        parse_trigger(f"cron {text} in UTC")
    except BadTrigger:
        return False
    return True


@given(texts.filter(readable), starts)
def test_the_next_moments_are_those_of_another_cron(text: str, after: datetime) -> None:
    other = croniter(text, after, datetime, second_at_beginning=True, implement_cron_bug=True)
    assert moments(f"cron {text} in UTC", after, 5) == [other.get_next() for _ in range(5)]


@given(
    texts.filter(readable),
    st.sampled_from(["UTC", "Asia/Kolkata", "Europe/Berlin"]),
    st.sampled_from(["", ", gap skip"]),
)
def test_any_cron_survives_its_text(text: str, zone: str, policy: str) -> None:
    trigger = cron(f"cron {text} in {zone}{policy}")
    assert cron(str(trigger)) == trigger
    assert str(cron(str(trigger))) == str(trigger)


def test_a_cron_fires_at_whole_seconds_strictly_after_a_moment() -> None:
    second = datetime(2026, 1, 1, 9, 0, 7, tzinfo=UTC)
    assert cron("cron * * * * * * in UTC").next_due(second) == second + timedelta(seconds=1)
    assert cron("cron * * * * * * in UTC").next_due(second - timedelta(microseconds=1)) == second


def test_a_cron_of_every_zone_of_the_database_fires_each_day() -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC)
    for zone in zone_names().values():
        (first, second) = moments(f"cron 0 9 * * * in {zone.upper()}", after, 2)
        assert second - first == timedelta(days=1)
