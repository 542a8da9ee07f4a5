"""What every source of prices answers, and the errors it may raise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from trading.bars import Bar, Quote
from trading.values import Symbol


class PriceSourceError(Exception):
    """A source could not answer: missing folder, unreadable file, unknown symbol. Names what, where and the cure."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: the file, its line (1 is the header) and why."""

    file: str
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class BarBatch:
    """Bars of a range of days, oldest first within a symbol, with the rows that were refused.

    missing: symbols the source knows but had no bar for on the last day asked for.
    """

    bars: Sequence[Bar]
    bad_rows: Sequence[BadRow] = ()
    missing: Sequence[Symbol] = ()


class PriceSource(Protocol):
    """A source of daily bars and of what the market shows at a moment.

    `name` tells people where prices come from: `simulated (seed 7)`, `folder nifty50`.
    """

    name: str

    async def symbols(self) -> Sequence[Symbol]:
        """Return every symbol the source has, sorted."""
        ...

    async def bars(self, first: date, last: date) -> BarBatch:
        """Return the bars of all symbols with first <= day <= last. Raises PriceSourceError."""
        ...

    async def quotes(self, symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        """Return what the market has shown of the symbols on an exchange day up to a moment (aware UTC).

        whole: the caller's calendar says the day's bar is as good as complete (shortly before the close or later);
        otherwise only the open is known. A symbol without a bar that day is absent: no quote is not a price of zero.
        Raises PriceSourceError when the source cannot answer.
        """
        ...

    async def shows(self, day: date) -> bool:
        """Tell whether anything of an exchange day is known yet: a source of daily files learns of it in the evening.

        True may still mean that one symbol or another has no bar. Raises PriceSourceError.
        """
        ...
