"""Daily bars as arrays, and what a market shows at one moment. No I/O: sources and tables fill these."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

import numpy as np
import numpy.typing as npt

from trading.values import Price, Symbol

Floats = npt.NDArray[np.float64]
Days = npt.NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """The daily bars of one symbol, oldest first.

    days: (n,) datetime64[D], exchange dates, strictly rising. open, high, low, close: (n,) rupees, finite, > 0.
    volume: (n,) shares, >= 0.
    """

    symbol: Symbol
    days: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.days)

    def until(self, day: date) -> Self:
        """Return the bars up to and including a day."""
        return self.window(0, int(np.searchsorted(self.days, np.datetime64(day, "D"), side="right")))

    def window(self, start: int, stop: int) -> Self:
        """Return the bars of positions [start, stop) as views."""
        part = slice(start, stop)
        return type(self)(
            self.symbol,
            self.days[part],
            self.open[part],
            self.high[part],
            self.low[part],
            self.close[part],
            self.volume[part],
        )


@dataclass(frozen=True, slots=True)
class Bar:
    """One day of one symbol in exact prices, as stored."""

    symbol: Symbol
    day: date
    open: Price
    high: Price
    low: Price
    close: Price
    volume: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What the market has shown of one symbol on one day up to one moment.

    at: the moment the quote stands for (aware UTC). With daily bars only the open is known until shortly before
    the close; then `high`, `low` and `last` are the day's. `high` and `low` equal `open` before that.
    """

    symbol: Symbol
    day: date
    at: datetime
    open: Price
    high: Price
    low: Price
    last: Price


def bars_of(rows: Sequence[Bar]) -> Bars:
    """Return one symbol's rows as arrays. rows: of one symbol, oldest first, at least one."""
    return Bars(
        rows[0].symbol,
        np.array([row.day for row in rows], dtype="datetime64[D]"),
        np.array([row.open for row in rows], dtype=np.float64),
        np.array([row.high for row in rows], dtype=np.float64),
        np.array([row.low for row in rows], dtype=np.float64),
        np.array([row.close for row in rows], dtype=np.float64),
        np.array([row.volume for row in rows], dtype=np.float64),
    )
