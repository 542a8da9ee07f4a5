"""Prices from a folder of CSV or Parquet files, one a symbol; files and rows that arrive later are seen."""

import asyncio
import threading
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path

from adapters.prices.bar_file import SUFFIXES, BarFile, read_bar_file
from adapters.prices.base import BarBatch, PriceSourceError
from adapters.prices.series import batch_of, quotes_of
from trading.bars import Quote
from trading.values import Symbol, parse_symbol

_Print = tuple[int, int]
"""Modification time in nanoseconds and size in bytes: a file with the same print is not read again."""


class FolderPrices:
    """The bars of a folder's files: `INFY.csv`, `TCS.NS.parquet`. Other files and hidden ones are not looked at.

    A file should be written under another name and renamed: one caught half written may end in a cut-off row.
    Raises PriceSourceError when the folder does not exist.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path).expanduser()
        self.name = f"folder {self._path.resolve().name}"
        self._lock = threading.Lock()
        self._read: dict[Path, tuple[_Print, BarFile]] = {}
        self._check_folder()

    async def symbols(self) -> Sequence[Symbol]:
        """Return the symbols of the files there are now, sorted. Reads no file."""
        return sorted(await asyncio.to_thread(self._listing))

    async def bars(self, first: date, last: date) -> BarBatch:
        """Return the bars of all symbols with first <= day <= last. Raises PriceSourceError.

        Of the bad rows only those are returned whose day is in the range or cannot be read.
        """
        return await asyncio.to_thread(self._bars, first, last)

    async def quotes(self, symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        """Return what the market has shown; see PriceSource. Only the files of these symbols are read.

        A symbol without a file is absent, as is one without a bar that day. Raises PriceSourceError.
        """
        return await asyncio.to_thread(self._quotes, symbols, day, at, whole)

    def _bars(self, first: date, last: date) -> BarBatch:
        files = self._files()
        refused = (one for file in files for one in file.refused)
        bad_rows = [one.row for one in refused if one.day is None or first <= one.day <= last]
        return batch_of([file.series for file in files], first, last, bad_rows)

    def _quotes(self, symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        return quotes_of((file.series for file in self._files(symbols)), day, at, whole)

    def _files(self, symbols: Iterable[Symbol] | None = None) -> list[BarFile]:
        """Return the files of the symbols (None: of all), by symbol, reading those that are new or have changed."""
        # Two threads asking at once would read everything twice.
        with self._lock:
            listing = self._listing()
            present = set(listing.values())
            self._read = {path: read for path, read in self._read.items() if path in present}
            wanted = listing if symbols is None else listing.keys() & set(symbols)
            return [self._file(listing[symbol], symbol) for symbol in sorted(wanted)]

    def _file(self, path: Path, symbol: Symbol) -> BarFile:
        # Taken before reading: a write in between then shows as a change next time, never as a stale answer for good.
        fingerprint = _print_of(path)
        known = self._read.get(path)
        if known is not None and known[0] == fingerprint:
            return known[1]
        file = read_bar_file(path, symbol)
        self._read[path] = (fingerprint, file)
        return file

    def _listing(self) -> dict[Symbol, Path]:
        self._check_folder()
        listing: dict[Symbol, Path] = {}
        for path in sorted(self._path.iterdir()):
            if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
                continue
            symbol = _symbol_of(path)
            if symbol in listing:
                names = f"{listing[symbol].name} and {path.name}"
                raise PriceSourceError(f"{self._path}: {names} both name {symbol}; remove one of them")
            listing[symbol] = path
        if not listing:
            cure = "put one file a symbol there, such as INFY.csv"
            raise PriceSourceError(f"{self._path}: has no .csv or .parquet file; {cure}")
        return listing

    def _check_folder(self) -> None:
        if not self._path.is_dir():
            cure = "name an existing folder of CSV or Parquet files"
            raise PriceSourceError(f"{self._path}: is not a folder; {cure}")


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
