"""Which rows of a table of bars cannot be true, and why, in words for a person."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from adapters.prices.series import UNITS
from trading.bars import Floats

PRICES = ("open", "high", "low", "close")

# Vendors round the four prices of a bar apart from each other: a close may stand a hair above its high.
TOLERANCE = 0.0005
# Rupees and shares beyond any real bar; below them float64 holds four decimals, and whole shares, exactly.
PRICE_LIMIT = 1e9
VOLUME_LIMIT = 1e15

# The day is the one written. A time may follow (pandas writes one) but only midnight: any other hour leaves the day in
# doubt, as 18:30 UTC is already the next day in India.
_DAY = r"^([12]\d{3}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"

Fault = tuple[npt.NDArray[np.bool_], Callable[[int], str]]
"""A mask of (n,) rows, and the words for one of them."""


def days_of(texts: pl.Series) -> pl.Series:
    """Return the days that texts name, null where one does not."""
    return texts.to_frame("day").select(pl.col("day").str.extract(_DAY).str.to_date("%Y-%m-%d", strict=False))["day"]


def numbers_of(frame: pl.DataFrame) -> tuple[Floats, Floats]:
    """Return (n, 4) prices and (n,) volumes; what is no number is NaN."""
    numbers = frame.select(pl.col(*PRICES, "volume").cast(pl.Float64, strict=False).fill_null(float("nan")))
    return numbers.select(PRICES).to_numpy(), numbers["volume"].to_numpy()


def day_fault(frame: pl.DataFrame, days: pl.Series) -> Fault:
    """Return the fault of rows whose day cannot be read."""
    return days.is_null().to_numpy(), lambda row: f"date {shown(frame['date'][row])} is not a day as YYYY-MM-DD"


def reasons(frame: pl.DataFrame, keys: Sequence[Fault], prices: Floats, volume: Floats) -> list[str | None]:
    """Return the words of each row's gravest fault, None for a good row. keys: faults of what says whose row it is."""
    shape = (frame["shape"].is_not_null().to_numpy(), lambda row: str(frame["shape"][row]))
    faults: list[Fault] = [shape, *keys, *_unreadable(frame, prices, volume), *_impossible(prices, volume)]
    found: list[str | None] = [None] * len(frame)
    for mask, words in reversed(faults):
        for row in np.flatnonzero(mask).tolist():
            found[row] = words(row)
    return found


def shown(value: object) -> str:
    """Return a field as a person should see it."""
    return "(nothing)" if value is None or value == "" else repr(value)


def _unreadable(frame: pl.DataFrame, prices: Floats, volume: Floats) -> list[Fault]:
    def number(name: str) -> Callable[[int], str]:
        return lambda row: f"{name} {shown(frame[name][row])} is not a finite number"

    return [
        *((~np.isfinite(prices[:, at]), number(name)) for at, name in enumerate(PRICES)),
        (~np.isfinite(volume), number("volume")),
    ]


def _impossible(prices: Floats, volume: Floats) -> list[Fault]:
    """Return the faults of rows whose fields can be read but cannot be true."""
    opened, high, low, close = prices.T
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)

    def price(at: int, words: str) -> Callable[[int], str]:
        return lambda row: f"{PRICES[at]} {prices[row, at]} is {words}"

    return [
        *((np.rint(prices[:, at] * UNITS) <= 0, price(at, "not above zero")) for at in range(4)),
        *((prices[:, at] > PRICE_LIMIT, price(at, f"above {PRICE_LIMIT:.0f}")) for at in range(4)),
        (high < top * (1 - TOLERANCE), lambda row: f"high {high[row]} is below open or close {top[row]}"),
        (low > bottom * (1 + TOLERANCE), lambda row: f"low {low[row]} is above open or close {bottom[row]}"),
        (high < low, lambda row: f"high {high[row]} is below low {low[row]}"),
        (volume < 0, lambda row: f"volume {volume[row]:.0f} is negative"),
        (volume > VOLUME_LIMIT, lambda row: f"volume {volume[row]:.0f} is above {VOLUME_LIMIT:.0f}"),
    ]
