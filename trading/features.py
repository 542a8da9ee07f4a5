"""The features of all symbols as of one day, computed once for all users; and of one symbol's history."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from trading.bars import Bars, Floats
from trading.feature_columns import HISTORY_BARS, LONGEST_WINDOW, MIN_BARS, columns_of, panel_of
from trading.values import Symbol

FEATURE_VERSION = 2
"""Raised when a definition changes, so that a parameter set gets a new hash and no old table is taken for a new one."""

SYMBOLS_AT_ONCE = 128
"""Of a feature history: five years of them fill some 100 MB."""

Json = str | int | float | bool | None | Sequence["Json"] | Mapping[str, "Json"]


@dataclass(frozen=True, slots=True)
class FeatureParameters:
    """What a feature table depends on besides bars. rsi_period: bars, 2-50."""

    rsi_period: int

    @property
    def hash(self) -> str:
        """Return 12 hex digits that name this parameter set under the present definitions."""
        return hashlib.sha256(_canonical(self.to_json() | {"version": FEATURE_VERSION})).hexdigest()[:12]

    def to_json(self) -> dict[str, Json]:
        """Return the fields as a JSON object."""
        return {"rsi_period": self.rsi_period}


@dataclass(frozen=True, slots=True, eq=False)
class FeatureTable:
    """Features of every usable symbol at the close of one exchange day.

    symbols: sorted. columns: name -> (symbols,) floats, NaN where not known; flags are 0 or 1, percentages 0-100.
    left_out: symbol -> why it has no row.
    """

    day: date
    symbols: tuple[Symbol, ...]
    columns: dict[str, Floats]
    left_out: dict[Symbol, str] = field(default_factory=dict)

    def row(self, symbol: Symbol) -> dict[str, float | None]:
        """Return one symbol's features; None where not known. Raises KeyError if the symbol has no row."""
        if symbol not in self.symbols:
            raise KeyError(symbol)
        number = self.symbols.index(symbol)
        return {name: _known(float(values[number])) for name, values in self.columns.items()}

    def rows(self, numbers: Sequence[int]) -> list[dict[str, float | None]]:
        """Return the features of the symbols at these positions."""
        picked = {
            name: [_known(value) for value in values[list(numbers)].tolist()] for name, values in self.columns.items()
        }
        return [{name: values[place] for name, values in picked.items()} for place in range(len(numbers))]

    def to_json(self) -> dict[str, Json]:
        """Return the table as a JSON object; a NaN becomes null."""
        columns: dict[str, Json] = {
            name: [_known(value) for value in values.tolist()] for name, values in self.columns.items()
        }
        left_out: dict[str, Json] = {str(symbol): reason for symbol, reason in self.left_out.items()}
        return {"day": self.day.isoformat(), "symbols": list(self.symbols), "columns": columns, "left_out": left_out}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> "FeatureTable":
        """Return the table that `to_json` wrote. Raises ValueError if it is none."""
        day, symbols, columns = data.get("day"), data.get("symbols"), data.get("columns")
        left_out = data.get("left_out", {})
        if not (
            isinstance(day, str)
            and isinstance(symbols, Sequence)
            and isinstance(columns, Mapping)
            and isinstance(left_out, Mapping)
        ):
            raise ValueError("not a feature table: expected day, symbols, columns and left_out")  # noqa: TRY004 - bad data, not a bad call
        arrays = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
        wrong = [name for name, values in arrays.items() if values.shape != (len(symbols),)]
        if wrong:
            raise ValueError(f"not a feature table: columns {wrong} do not have {len(symbols)} values")
        names = tuple(Symbol(str(symbol)) for symbol in symbols)
        reasons = {Symbol(symbol): str(reason) for symbol, reason in left_out.items()}
        return cls(date.fromisoformat(day), names, arrays, reasons)

    def canonical(self) -> bytes:
        """Return the table as JSON text with sorted keys and no spaces: what is stored and hashed."""
        return _canonical(self.to_json())

    def sha256(self) -> str:
        """Return the hex digest of the canonical text."""
        return hashlib.sha256(self.canonical()).hexdigest()


def feature_table(bars: Sequence[Bars], day: date, parameters: FeatureParameters) -> FeatureTable:
    """Return the features of all symbols at the close of a day.

    bars: one per symbol; bars after the day are not looked at, and only the last HISTORY_BARS of the rest count.
    A symbol without a bar on the day, or with fewer than MIN_BARS, is left out and reported.
    """
    usable: list[Bars] = []
    left_out: dict[Symbol, str] = {}
    for one in sorted((symbol_bars.until(day) for symbol_bars in bars), key=lambda part: part.symbol):
        reason = _unusable(one, day)
        if reason is None:
            usable.append(one)
        else:
            left_out[one.symbol] = reason
    columns = columns_of(panel_of(usable, HISTORY_BARS), 1, parameters.rsi_period)
    symbols = tuple(one.symbol for one in usable)
    return FeatureTable(day, symbols, {name: values[0] for name, values in columns.items()}, left_out)


def feature_history(bars: Bars, parameters: FeatureParameters) -> dict[str, Floats]:
    """Return every feature of every bar of a symbol, each (n,): what a table of that day would have held.

    NaN before the MIN_BARS-th bar.
    """
    return next(feature_histories([bars], parameters))


def feature_histories(bars: Sequence[Bars], parameters: FeatureParameters) -> Iterator[dict[str, Floats]]:
    """Yield the feature history of each symbol, in the order given; symbols are computed many at a time."""
    for start in range(0, len(bars), SYMBOLS_AT_ONCE):
        part = list(bars[start : start + SYMBOLS_AT_ONCE])
        rows = max(len(one) for one in part)
        columns = columns_of(panel_of(part, LONGEST_WINDOW + rows), rows, parameters.rsi_period)
        for number, one in enumerate(part):
            history = {name: values[rows - len(one) :, number].copy() for name, values in columns.items()}
            for values in history.values():
                values[: MIN_BARS - 1] = np.nan
            yield history


def _unusable(bars: Bars, day: date) -> str | None:
    if not len(bars):
        return "no bars"
    if bars.days[-1] != np.datetime64(day, "D"):
        return f"stale: last bar {bars.days[-1]}"
    if len(bars) < MIN_BARS:
        return f"{len(bars)} bars, {MIN_BARS} needed"
    return None


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _canonical(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
