"""One CSV or Parquet file of one day's bars, all symbols: our own columns, or the exchange's bhavcopy as it is."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from adapters.prices.base import BadRow, PriceSourceError
from adapters.prices.row_faults import Fault, day_fault, days_of, numbers_of, reasons, shown
from adapters.prices.series import UNITS, bar_of
from adapters.prices.table_file import read_table
from trading.bars import Bar, Floats
from trading.values import Symbol, parse_symbol

# Ours, then those of the exchange's UDiFF bhavcopy (NSE, common bhavcopy format, in use since 2024-07-08).
_COLUMNS = {
    "symbol": ("symbol", "tckrsymb"),
    "open": ("open", "opnpric"),
    "high": ("high", "hghpric"),
    "low": ("low", "lwpric"),
    "close": ("close", "clspric"),
    "volume": ("volume", "ttltradgvol"),
}
_OPTIONAL = {"date": ("date", "traddt"), "series": ("series", "sctysrs")}
# Shares; a bhavcopy has bonds, funds and rights too, some under the symbol of a share.
_SHARES = frozenset({"EQ", "BE", "BZ"})
_NAME = re.compile(r"[12]\d{3}-\d{2}-\d{2}$")


@dataclass(frozen=True, slots=True, eq=False)
class DayFile:
    """The good bars of one day's file by symbol, and the rows left out in the order of their lines."""

    day: date
    bars: Mapping[Symbol, Bar]
    refused: Sequence[BadRow]


def day_named(stem: str) -> date | None:
    """Return the day that a file's name is, as in `2026-01-30.csv`; None for another name."""
    try:
        return date.fromisoformat(stem) if _NAME.match(stem) else None
    except ValueError:
        return None


def read_day_file(path: Path, day: date) -> DayFile:
    """Return the bars of a file with the columns symbol, open, high, low, close, volume in any case and order.

    A date column must say the day; of a series column the shares are taken. Of two good rows of one symbol the first is
    kept. Lines count as in `read_bar_file`. Raises PriceSourceError when the file is empty, is still being written,
    cannot be read or lacks a column.
    """
    frame = read_table(path, _COLUMNS, _OPTIONAL, whole_lines=True)
    if "series" in frame.columns:
        frame = frame.filter(pl.col("series").str.to_uppercase().is_in(list(_SHARES)) | pl.col("shape").is_not_null())
        if frame.is_empty():
            raise PriceSourceError(
                f"{path}: has no row of the series {', '.join(sorted(_SHARES))}; give the day's shares"
            )
    prices, volume = numbers_of(frame)
    symbols = [_symbol(text) for text in frame["symbol"].to_list()]
    why = reasons(frame, _key_faults(frame, symbols, day), prices, volume)
    units, shares = _whole(prices * UNITS), _whole(volume)
    bars: dict[Symbol, Bar] = {}
    refused = []
    for row, (line, symbol) in enumerate(zip(frame["line"].to_list(), symbols, strict=True)):
        reason = f"{symbol} has a row above already" if why[row] is None and symbol in bars else why[row]
        if reason is not None:
            refused.append(BadRow(path.name, line, reason))
        elif symbol is not None:
            bars[symbol] = bar_of(symbol, day, units[row], shares[row])
    return DayFile(day, bars, refused)


def _key_faults(frame: pl.DataFrame, symbols: Sequence[Symbol | None], day: date) -> list[Fault]:
    nameless = np.array([symbol is None for symbol in symbols])
    faults: list[Fault] = [(nameless, lambda row: f"symbol {shown(frame['symbol'][row])} is no symbol")]
    if "date" in frame.columns:
        days = days_of(frame["date"])
        other = (days != day).fill_null(value=False).to_numpy()
        faults += [day_fault(frame, days), (other, lambda row: f"date {days[row]} stands in the file of {day}")]
    return faults


def _whole(numbers: Floats) -> list[Any]:
    """Return the nearest whole numbers; those of refused rows are never looked at."""
    whole: list[Any] = np.rint(np.nan_to_num(numbers, posinf=0, neginf=0)).astype(np.int64).tolist()
    return whole


def _symbol(text: str | None) -> Symbol | None:
    try:
        return parse_symbol(text or "")
    except ValueError:
        return None
