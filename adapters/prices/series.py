"""The exact daily bars of one symbol as every price source keeps them, and the answers sources make of them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from adapters.prices.base import BadRow, BarBatch
from trading.bars import Bar, Quote
from trading.values import Symbol

Integers = npt.NDArray[np.int64]

UNITS = 10_000
"""Price units in a rupee: the four decimals a Price may have, so that prices are whole numbers here."""

_UNITS = Decimal(UNITS)


@dataclass(frozen=True, slots=True, eq=False)
class DailySeries:
    """The daily bars of one symbol, oldest first. Decimals are made only of the days asked for.

    days: n exchange dates, strictly rising. prices: (n, 4) open, high, low, close in units of 1/10000 rupee, > 0.
    volume: (n,) shares, >= 0.
    """

    symbol: Symbol
    days: Sequence[date]
    prices: Integers
    volume: Integers

    def bars(self, first: date, last: date) -> Iterator[Bar]:
        """Yield the bars with first <= day <= last."""
        start, stop = bisect_left(self.days, first), bisect_right(self.days, last)
        prices, volumes = self.prices[start:stop].tolist(), self.volume[start:stop].tolist()
        for day, four, volume in zip(self.days[start:stop], prices, volumes, strict=True):
            yield bar_of(self.symbol, day, four, volume)

    def quote(self, day: date, at: datetime, whole: bool) -> Quote | None:
        """Return what the day has shown, or None when the day has no bar. whole: see PriceSource.quotes."""
        bar = next(self.bars(day, day), None)
        return None if bar is None else quote_of(bar, at, whole)

    def has(self, day: date) -> bool:
        """Say whether the day has a bar."""
        place = bisect_left(self.days, day)
        return place < len(self.days) and self.days[place] == day


def batch_of(series: Sequence[DailySeries], first: date, last: date, bad_rows: Sequence[BadRow] = ()) -> BarBatch:
    """Return the bars of all series with first <= day <= last, symbol by symbol in the order given."""
    bars = [bar for one in series for bar in one.bars(first, last)]
    return BarBatch(bars, bad_rows, [one.symbol for one in series if not one.has(last)])


def quote_of(bar: Bar, at: datetime, whole: bool) -> Quote:
    """Return what a day whose bar this is has shown. whole: see PriceSource.quotes."""
    if whole:
        return Quote(bar.symbol, bar.day, at, bar.open, bar.high, bar.low, bar.close)
    return Quote(bar.symbol, bar.day, at, bar.open, bar.open, bar.open, bar.open)


def quotes_of(series: Iterable[DailySeries], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
    """Return the quotes of the series that have a bar on the day. Raises ValueError if `at` has no time zone."""
    if at.tzinfo is None:
        raise ValueError(f"at: {at.isoformat()} has no time zone, expected aware UTC")
    found = (one.quote(day, at, whole) for one in series)
    return {quote.symbol: quote for quote in found if quote is not None}


def bar_of(symbol: Symbol, day: date, units: Sequence[int], volume: int) -> Bar:
    """Return a bar. units: open, high, low, close in 1/10000 rupee."""
    opened, high, low, close = (Decimal(price) / _UNITS for price in units)
    return Bar(symbol, day, opened, high, low, close, volume)
