"""One CSV or Parquet file of a symbol's bars: checked row by row, bad rows set aside with line and reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from adapters.prices.base import BadRow
from adapters.prices.row_faults import PRICES, day_fault, days_of, numbers_of, reasons
from adapters.prices.series import UNITS, DailySeries
from adapters.prices.table_file import SUFFIXES, read_table
from trading.values import Symbol

__all__ = ["SUFFIXES", "BarFile", "RefusedRow", "read_bar_file"]

_COLUMNS = {name: (name,) for name in ("date", *PRICES, "volume")}


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A bad row with its day, None when the day itself could not be read."""

    day: date | None
    row: BadRow


@dataclass(frozen=True, slots=True, eq=False)
class BarFile:
    """The good bars of one file, sorted by day, and the rows left out in the order of their lines."""

    series: DailySeries
    refused: Sequence[RefusedRow]


def read_bar_file(path: Path, symbol: Symbol) -> BarFile:
    """Return the bars of a file with the columns date, open, high, low, close, volume in any case and order.

    Lines count from 1, the header; a Parquet row counts as if a header stood above it. Of two good rows of one day
    the first is kept. Raises PriceSourceError when the file is empty, cannot be read or lacks a column.
    """
    frame = read_table(path, _COLUMNS)
    lines, days = frame["line"].to_list(), days_of(frame["date"])
    prices, volume = numbers_of(frame)
    why = reasons(frame, [day_fault(frame, days)], prices, volume)
    good = np.flatnonzero([reason is None for reason in why])
    ordinals = days.to_physical().fill_null(0).to_numpy()
    # np.unique sorts and points at the first of equals: order and duplicates are settled at once.
    kept = good[np.unique(ordinals[good], return_index=True)[1]]
    first_line = {ordinals[row]: lines[row] for row in kept}
    for row in np.setdiff1d(good, kept):
        why[row] = f"date {days[int(row)]} is already on line {first_line[ordinals[row]]}"
    refused = [
        RefusedRow(day, BadRow(path.name, line, reason))
        for day, line, reason in zip(days.to_list(), lines, why, strict=True)
        if reason is not None
    ]
    units = np.rint(prices[kept] * UNITS).astype(np.int64)
    shares = np.rint(volume[kept]).astype(np.int64)
    return BarFile(DailySeries(symbol, days.gather(kept).to_list(), units, shares), refused)
