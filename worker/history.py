"""The market's last bars, read once for all users of a process and brought forward a day at a time."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from db.bars import BarRepository
from db.transaction import Database
from trading.bars import Bars
from trading.feature_columns import HISTORY_BARS
from trading.values import Symbol


@dataclass(frozen=True, slots=True)
class _Known:
    """Every symbol's last bars up to a day. stamp: when the newest of those days was last loaded."""

    day: date
    stamp: datetime | None
    bars: dict[Symbol, Bars]


class MarketHistory:
    """One process's copy of the newest day asked for. It always equals what the table would answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: _Known | None = None
        self._reading = asyncio.Lock()
        self._compared_at = 0.0

    async def until(self, day: date, seconds_old: float = 0.0) -> Mapping[Symbol, Bars]:
        """Return the last HISTORY_BARS bars up to a day of every symbol that has any, by symbol.

        seconds_old: how long ago the copy may have been compared with the table; many accounts ask at one moment.
        """
        async with self._reading:
            known = self._known
            if known is not None and known.day == day and time.monotonic() - self._compared_at < seconds_old:
                return known.bars
            return await self._compared(day)

    async def _compared(self, day: date) -> Mapping[Symbol, Bars]:
        async with self._database.reading(None) as session:
            stamp = await BarRepository(session).loaded_at(day)
            known, self._compared_at = self._known, time.monotonic()
            if known is not None and (known.day, known.stamp) == (day, stamp):
                return known.bars
            fresh = await self._brought_forward(session, day, stamp) or await _read(session, day, stamp)
            if known is None or fresh.day >= known.day:
                self._known = fresh
            return fresh.bars

    async def _brought_forward(self, session: AsyncSession, day: date, stamp: datetime | None) -> _Known | None:
        """Add the days after the known one; None when an older day was loaded again since, or the day is older."""
        known = self._known
        if known is None or day < known.day:
            return None
        rows = BarRepository(session)
        if await rows.loaded_at(known.day) != known.stamp:
            return None
        added = {bars.symbol: bars for bars in await rows.after(known.day, day)}
        return _Known(
            day,
            stamp,
            {symbol: _joined(known.bars.get(symbol), bars) for symbol, bars in added.items()}
            | {symbol: bars for symbol, bars in known.bars.items() if symbol not in added},
        )


async def _read(session: AsyncSession, day: date, stamp: datetime | None) -> _Known:
    return _Known(day, stamp, {bars.symbol: bars for bars in await BarRepository(session).history(day, HISTORY_BARS)})


def _joined(old: Bars | None, new: Bars) -> Bars:
    if old is None:
        return new
    columns = (
        np.concatenate((getattr(old, name), getattr(new, name)))[-HISTORY_BARS:]
        for name in ("days", "open", "high", "low", "close", "volume")
    )
    return Bars(old.symbol, *columns)
