"""Prices from a folder of CSV or Parquet files, one a symbol, one a day, or both; what arrives later is seen."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from adapters.prices.bar_file import BarFile, read_bar_file
from adapters.prices.base import BadRow, BarBatch, PriceSourceError
from adapters.prices.day_file import DayFile, day_named, read_day_file
from adapters.prices.series import batch_of, quote_of, quotes_of
from adapters.prices.table_file import SUFFIXES
from trading.bars import Bar, Quote
from trading.values import Symbol, parse_symbol

_Print = tuple[int, int]
"""Modification time in nanoseconds and size in bytes: a file with the same print is not read again."""

# Of machine time. While a day is not there yet every account asks for it every minute.
_DARK_SECONDS = 5.0

FileT = TypeVar("FileT")
KeyT = TypeVar("KeyT")


@dataclass(frozen=True, slots=True)
class _Listing:
    """The files there are."""

    symbols: Mapping[Symbol, Path]
    days: Mapping[date, Path]


class FolderPrices:
    """The bars of a folder's files: `INFY.csv`, `TCS.NS.parquet` of one symbol, `2026-01-30.csv` of one day.

    Other files and hidden ones are not looked at. Where a symbol's own file and a day's have the same bar, the symbol's
    counts. A file should be written under another name and renamed. One of a day that cannot be used, as one half
    written cannot, is left out whole and named among the bad rows: its day has not come yet.
    Raises PriceSourceError when the folder does not exist.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path).expanduser()
        self.name = f"folder {self._path.resolve().name}"
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[_Print, BarFile]] = {}
        self._read_days: dict[Path, tuple[_Print, DayFile]] = {}
        self._dark: tuple[date, float] | None = None
        self._check_folder()

    async def symbols(self) -> Sequence[Symbol]:
        """Return the symbols of the files there are now, sorted; of the days' files the newest is read for them."""
        return await asyncio.to_thread(self._symbols)

    async def bars(self, first: date, last: date) -> BarBatch:
        """Return the bars of all symbols with first <= day <= last. Raises PriceSourceError.

        Of the bad rows only those are returned whose day is in the range or cannot be read.
        """
        return await asyncio.to_thread(self._bars, first, last)

    async def quotes(self, symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        """Return what the market has shown; see PriceSource. Only the files of these symbols and of the day are read.

        A symbol without a file is absent, as is one without a bar that day. Raises PriceSourceError.
        """
        return await asyncio.to_thread(self._quotes, symbols, day, at, whole)

    async def shows(self, day: date) -> bool:
        """Tell whether any file has a bar of the day. A no is kept for some seconds. Raises PriceSourceError."""
        return await asyncio.to_thread(self._shows, day)

    def _symbols(self) -> Sequence[Symbol]:
        listing = self._listing()
        newest = max(listing.days, default=None)
        days, _ = self._days(listing, [] if newest is None else [newest])
        return sorted({*listing.symbols, *(symbol for file in days for symbol in file.bars)})

    def _bars(self, first: date, last: date) -> BarBatch:
        listing = self._listing()
        files = self._files(listing)
        refused = (one for file in files for one in file.refused)
        bad_rows = [one.row for one in refused if one.day is None or first <= one.day <= last]
        batch = batch_of([file.series for file in files], first, last, bad_rows)
        days, bad_days = self._days(listing, [day for day in sorted(listing.days) if first <= day <= last])
        return _joined(batch, days, bad_days, last) if days or bad_days else batch

    def _quotes(self, symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        listing = self._listing()
        quotes = quotes_of((file.series for file in self._files(listing, symbols)), day, at, whole)
        days, _ = self._days(listing, [day] if day in listing.days else [])
        told = {symbol: file.bars[symbol] for file in days for symbol in symbols if symbol in file.bars}
        return {symbol: quote_of(bar, at, whole) for symbol, bar in told.items()} | quotes

    def _shows(self, day: date) -> bool:
        if self._dark is not None and self._dark[0] == day and time.monotonic() - self._dark[1] < _DARK_SECONDS:
            return False
        listing = self._listing()
        days, _ = self._days(listing, [day] if day in listing.days else [])
        found = any(file.bars for file in days) or any(file.series.has(day) for file in self._files(listing))
        self._dark = None if found else (day, time.monotonic())
        return found

    def _files(self, listing: _Listing, symbols: Iterable[Symbol] | None = None) -> list[BarFile]:
        """Return the files of the symbols (None: of all), by symbol, reading those that are new or have changed."""
        # Two threads asking at once would read everything twice.
        with self._lock:
            _forget(self._read, listing.symbols.values())
            wanted = listing.symbols if symbols is None else listing.symbols.keys() & set(symbols)
            return [
                _file(self._read, listing.symbols[one], partial(read_bar_file, symbol=one)) for one in sorted(wanted)
            ]

    def _days(self, listing: _Listing, days: Iterable[date]) -> tuple[list[DayFile], list[BadRow]]:
        """Return the files of days that can be used, and the bad rows of all; of one that cannot be used, its fault."""
        found: list[DayFile] = []
        bad_rows: list[BadRow] = []
        with self._lock:
            _forget(self._read_days, listing.days.values())
            for day in days:
                try:
                    file = _file(self._read_days, listing.days[day], partial(read_day_file, day=day))
                except PriceSourceError as error:
                    bad_rows.append(BadRow(listing.days[day].name, 1, str(error)))
                    continue
                found.append(file)
                bad_rows += file.refused
        return found, bad_rows

    def _listing(self) -> _Listing:
        self._check_folder()
        symbols: dict[Symbol, Path] = {}
        days: dict[date, Path] = {}
        for path in sorted(self._path.iterdir()):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            day = day_named(path.stem)
            if day is not None:
                self._put(days, day, path)
            else:
                self._put(symbols, _symbol_of(path), path)
        if not symbols and not days:
            cure = "put one file a symbol there, such as INFY.csv, or one a day, such as 2026-01-30.csv"
            raise PriceSourceError(f"{self._path}: has no .csv or .parquet file; {cure}")
        return _Listing(symbols, days)

    def _put(self, files: dict[KeyT, Path], key: KeyT, path: Path) -> None:
        if key in files:
            names = f"{files[key].name} and {path.name}"
            raise PriceSourceError(f"{self._path}: {names} both name {key}; remove one of them")
        files[key] = path

    def _check_folder(self) -> None:
        if not self._path.is_dir():
            cure = "name an existing folder of CSV or Parquet files"
            raise PriceSourceError(f"{self._path}: is not a folder; {cure}")


def _joined(batch: BarBatch, days: Sequence[DayFile], bad_days: Sequence[BadRow], last: date) -> BarBatch:
    """Return the bars of symbols' files with those that days' files add."""
    known = {(bar.symbol, bar.day) for bar in batch.bars}
    added = [bar for file in days for bar in file.bars.values() if (bar.symbol, bar.day) not in known]
    bars: list[Bar] = sorted([*batch.bars, *added], key=lambda bar: (bar.symbol, bar.day))
    names = {*batch.missing, *(bar.symbol for bar in bars)}
    return BarBatch(bars, [*batch.bad_rows, *bad_days], sorted(names - {bar.symbol for bar in bars if bar.day == last}))


def _forget(read: dict[Path, tuple[_Print, FileT]], present: Iterable[Path]) -> None:
    for path in read.keys() - set(present):
        del read[path]


def _file(read: dict[Path, tuple[_Print, FileT]], path: Path, parse: Callable[[Path], FileT]) -> FileT:
    # Taken before reading: a write in between then shows as a change next time, never as a stale answer for good.
    fingerprint = _print_of(path)
    known = read.get(path)
    if known is not None and known[0] == fingerprint:
        return known[1]
    file = parse(path)
    read[path] = (fingerprint, file)
    return file


def _symbol_of(path: Path) -> Symbol:
    try:
        return parse_symbol(path.stem)
    except ValueError as error:
        raise PriceSourceError(f"{path}: its name is {error}; rename the file or move it away") from error


def _print_of(path: Path) -> _Print:
    try:
        facts = path.stat()
    except OSError as error:
        raise PriceSourceError(f"{path}: cannot be read ({error.strerror}); check the file and its rights") from error
    return facts.st_mtime_ns, facts.st_size
