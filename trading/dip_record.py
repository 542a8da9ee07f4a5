"""How a share came out of its dips of the last year: the cheap backtest that every feature table carries.

A dip begins on the day RSI first closes below 30. It is bought at the next open and sold where a bar first reaches the
EMA9 of the day before, at the latest after 20 bars. Charges and sizes are left out: the record compares shares.
"""

import numpy as np
import numpy.typing as npt

from trading.bars import Floats
from trading.windows import back, rolling_sum

RECORD_BARS = 250
"""A trading year: dips whose end lies in it count."""

HOLD_BARS = 20
"""Bars after the purchase at which a dip that never came back is sold at the close."""

DIP_RSI = 30.0

Positions = npt.NDArray[np.intp]


def dip_record(opened: Floats, high: Floats, close: Floats, ema9: Floats, rsi: Floats, rows: int) -> dict[str, Floats]:
    """Return the record as known at the close of each of the last rows, each (rows, symbols).

    opened, high, close, ema9, rsi: (n, symbols) over at least rows + RECORD_BARS rows; NaN before a symbol's first.
    dip_count_250: dips that ended. dip_wins_250: those that gained. dip_gain_pct_250: the sum of their gains, percent.
    hold_pct_250: what holding on gained meanwhile; NaN before there are as many bars.
    """
    starts = np.zeros(rsi.shape, dtype=np.bool_)
    starts[1:] = (rsi[1:] < DIP_RSI) & (rsi[:-1] >= DIP_RSI)
    day, symbol = np.nonzero(starts[: max(0, len(rsi) - HOLD_BARS - 1)])
    gain = _gains(day, symbol, opened, high, close, ema9)
    known = day + 1 + HOLD_BARS
    columns: dict[str, Floats] = {}
    for name, values in (
        ("dip_count_250", np.ones(len(day))),
        ("dip_wins_250", (gain > 0).astype(np.float64)),
        ("dip_gain_pct_250", gain),
    ):
        panel = np.zeros(rsi.shape)
        panel[known, symbol] = values
        columns[name] = rolling_sum(panel, RECORD_BARS, rows)
    columns["hold_pct_250"] = (back(close, rows) / back(close, rows, RECORD_BARS - 1) - 1) * 100
    return columns


def _gains(day: Positions, symbol: Positions, opened: Floats, high: Floats, close: Floats, ema9: Floats) -> Floats:
    """Return each dip's gain in percent. day, symbol: (k,) where it began."""
    bought = opened[day + 1, symbol]
    sold = close[day + 1 + HOLD_BARS, symbol].copy()
    # From the last bar back, so that the first bar that reaches its limit has the last word.
    for later in range(HOLD_BARS, 0, -1):
        limit = ema9[day + later, symbol]
        at = day + 1 + later
        reached = high[at, symbol] >= limit
        sold = np.where(reached, np.maximum(opened[at, symbol], limit), sold)
    gain: Floats = (sold / bought - 1) * 100
    return gain
