"""A symbol's exact daily bars."""

from datetime import date
from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapters.prices.series import UNITS, DailySeries
from trading.values import Symbol

DAYS = st.dates(date(2024, 1, 1), date(2024, 3, 1))


def _series(days: list[date]) -> DailySeries:
    prices = np.array([[3000500 + at, 3100000, 2999999, 3010000] for at in range(len(days))], dtype=np.int64)
    return DailySeries(Symbol("INFY"), days, prices.reshape(-1, 4), np.arange(len(days), dtype=np.int64))


@given(st.sets(DAYS).map(sorted), DAYS, DAYS)
def test_bars_are_those_of_the_days_in_the_range(days: list[date], first: date, last: date) -> None:
    assert [bar.day for bar in _series(days).bars(first, last)] == [day for day in days if first <= day <= last]


@given(st.sets(DAYS).map(sorted), DAYS)
def test_a_day_has_a_bar_when_it_is_among_the_days(days: list[date], day: date) -> None:
    assert _series(days).has(day) == (day in days)


@given(st.integers(1, 10**13))
def test_a_price_is_its_units_exactly(units: int) -> None:
    prices = np.full((1, 4), units, dtype=np.int64)
    series = DailySeries(Symbol("INFY"), [date(2024, 1, 1)], prices, np.ones(1, dtype=np.int64))
    bar = next(series.bars(date.min, date.max))
    assert bar.close * UNITS == Decimal(units)
    assert type(bar.volume) is int
