"""One CSV or Parquet file of daily bars: read whole, checked row by row, bad rows set aside with line and reason."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from adapters.prices.base import BadRow, PriceSourceError
from adapters.prices.series import UNITS, DailySeries
from trading.bars import Floats
from trading.values import Symbol

PRICES = ("open", "high", "low", "close")
COLUMNS = ("date", *PRICES, "volume")
SUFFIXES = frozenset({".csv", ".parquet"})

# Vendors round the four prices of a bar apart from each other: a close may stand a hair above its high.
TOLERANCE = 0.0005
# Rupees and shares beyond any real bar; below them float64 holds four decimals, and whole shares, exactly.
PRICE_LIMIT = 1e9
VOLUME_LIMIT = 1e15

# The day is the one written. A time may follow (pandas writes one) but only midnight: any other hour leaves the day in
# doubt, as 18:30 UTC is already the next day in India.
_DAY = r"^([12]\d{3}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?$"

_Fault = tuple[npt.NDArray[np.bool_], Callable[[int], str]]


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
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PriceSourceError(f"{path}: cannot be read ({error.strerror}); check the file and its rights") from error
    if not content.strip():
        raise PriceSourceError(f"{path}: is empty; expected the columns {', '.join(COLUMNS)} and a row a day")
    frame = _parquet_frame(path, content) if path.suffix.lower() == ".parquet" else _csv_frame(path, content)
    if frame.is_empty():
        raise PriceSourceError(f"{path}: has columns but no rows; write a row a day, or remove the file")
    return _checked(frame, path.name, symbol)


def _csv_frame(path: Path, content: bytes) -> pl.DataFrame:
    """Return line, shape (a fault or null) and COLUMNS as text.

    Lines are cut here: polars' own reader refuses the whole file for one stray quote or surplus field.
    """
    try:
        lines = content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n").split("\n")
        header = next(csv.reader(lines[:1]), [])
        numbered = [(number, _plain(line)) for number, line in enumerate(lines[1:], start=2) if line.strip()]
    except (UnicodeDecodeError, csv.Error) as error:
        cause = "not UTF-8" if isinstance(error, UnicodeDecodeError) else error
        raise PriceSourceError(f"{path}: is no text of lines ({cause}); save it as CSV in UTF-8") from error
    places = _places(path, header)
    frame = pl.DataFrame(numbered, schema={"line": pl.Int64, "text": pl.String}, orient="row")
    fields = pl.col("text").str.split(",")
    count = fields.list.len()
    shape = pl.when(count != len(header)).then(pl.format("{} fields where the header has {}", count, len(header)))
    columns = {name: fields.list.get(at, null_on_oob=True).str.strip_chars() for name, at in places.items()}
    return frame.select("line", shape=shape, **columns)


def _parquet_frame(path: Path, content: bytes) -> pl.DataFrame:
    """Return the same columns as _csv_frame."""
    try:
        frame = pl.read_parquet(io.BytesIO(content))
        columns = {name: frame.to_series(at) for name, at in _places(path, frame.columns).items()}
        if isinstance(columns["date"].dtype, pl.Datetime):
            columns["date"] = columns["date"].dt.replace_time_zone(None)  # the wall time as written, not as UTC
        texts = pl.DataFrame(columns).with_columns(pl.all().cast(pl.String))
    except (pl.exceptions.PolarsError, OSError) as error:
        cause = str(error).splitlines()[0]
        raise PriceSourceError(f"{path}: is not a readable Parquet file ({cause}); write it again") from error
    return texts.with_row_index("line", offset=2).with_columns(shape=pl.lit(None, pl.String))


def _places(path: Path, found: Sequence[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in found]
    shown = ", ".join(name.strip() for name in found)
    for name in COLUMNS:
        if name not in names:
            missing = ", ".join(column for column in COLUMNS if column not in names)
            cure = f"name them {', '.join(COLUMNS)} in any case, separated by commas"
            raise PriceSourceError(f"{path}: lacks the column {missing}; found: {shown}; {cure}")
        if names.count(name) > 1:
            raise PriceSourceError(f"{path}: has the column {name} twice; found: {shown}; keep one of them")
    return {name: names.index(name) for name in COLUMNS}


def _plain(line: str) -> str:
    """Return the line without quotes, so that a comma only separates."""
    if '"' not in line:
        return line
    return ",".join(field.replace(",", " ") for field in next(csv.reader([line])))


def _checked(frame: pl.DataFrame, file: str, symbol: Symbol) -> BarFile:
    lines = frame["line"].to_list()
    numbers = pl.col(*PRICES, "volume").cast(pl.Float64, strict=False).fill_null(float("nan"))
    typed = frame.select(numbers, day=pl.col("date").str.extract(_DAY).str.to_date("%Y-%m-%d", strict=False))
    days = typed["day"]
    prices, volume = typed.select(PRICES).to_numpy(), typed["volume"].to_numpy()
    reasons = _reasons([*_unreadable(frame, days, prices, volume), *_impossible(prices, volume)], len(frame))
    good = np.flatnonzero([reason is None for reason in reasons])
    ordinals = days.to_physical().fill_null(0).to_numpy()
    # np.unique sorts and points at the first of equals: order and duplicates are settled at once.
    kept = good[np.unique(ordinals[good], return_index=True)[1]]
    first_line = {ordinals[row]: lines[row] for row in kept}
    for row in np.setdiff1d(good, kept):
        reasons[row] = f"date {days[int(row)]} is already on line {first_line[ordinals[row]]}"
    refused = [
        RefusedRow(day, BadRow(file, line, reason))
        for day, line, reason in zip(days.to_list(), lines, reasons, strict=True)
        if reason is not None
    ]
    units = np.rint(prices[kept] * UNITS).astype(np.int64)
    shares = np.rint(volume[kept]).astype(np.int64)
    return BarFile(DailySeries(symbol, days.gather(kept).to_list(), units, shares), refused)


def _unreadable(frame: pl.DataFrame, days: pl.Series, prices: Floats, volume: Floats) -> list[_Fault]:
    """Return the faults of single fields as masks of (n,) rows, each with the words for a row, gravest first."""

    def number(name: str) -> Callable[[int], str]:
        return lambda row: f"{name} {_shown(frame[name][row])} is not a finite number"

    return [
        (frame["shape"].is_not_null().to_numpy(), lambda row: str(frame["shape"][row])),
        (days.is_null().to_numpy(), lambda row: f"date {_shown(frame['date'][row])} is not a day as YYYY-MM-DD"),
        *((~np.isfinite(prices[:, at]), number(name)) for at, name in enumerate(PRICES)),
        (~np.isfinite(volume), number("volume")),
    ]


def _impossible(prices: Floats, volume: Floats) -> list[_Fault]:
    """Return the faults of rows whose fields can be read but cannot be true, in the form of _unreadable."""
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


def _reasons(faults: Sequence[_Fault], rows: int) -> list[str | None]:
    """Return the words of each row's first fault, None for a good row."""
    reasons: list[str | None] = [None] * rows
    for mask, words in reversed(faults):
        for row in np.flatnonzero(mask).tolist():
            reasons[row] = words(row)
    return reasons


def _shown(value: object) -> str:
    return "(nothing)" if value is None or value == "" else repr(value)
