"""Daily bars of the whole market, shared by all users, and which days are whole."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
from sqlalchemy import Index, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, ExactPrice, Line, Ticker
from trading.bars import Bar, Bars
from trading.values import Price, Symbol


class BarRow(Base):
    """One day of one symbol, as the source gave it."""

    __tablename__ = "bars"
    __table_args__ = (Index(None, "day"),)

    symbol: Mapped[Ticker] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    open: Mapped[ExactPrice]
    high: Mapped[ExactPrice]
    low: Mapped[ExactPrice]
    close: Mapped[ExactPrice]
    volume: Mapped[Big]


class PriceDayRow(Base):
    """What was loaded for a day, and whether it counts as whole."""

    __tablename__ = "price_days"

    day: Mapped[date] = mapped_column(primary_key=True)
    bars: Mapped[int]
    missing: Mapped[int]
    whole: Mapped[bool]
    source: Mapped[Line]
    loaded_at: Mapped[Created]


_UPSERT = text(
    """
    INSERT INTO bars (symbol, day, open, high, low, close, volume)
    SELECT * FROM unnest(CAST(:symbols AS text[]), CAST(:days AS date[]), CAST(:opens AS numeric[]),
                         CAST(:highs AS numeric[]), CAST(:lows AS numeric[]), CAST(:closes AS numeric[]),
                         CAST(:volumes AS bigint[]))
    ON CONFLICT (symbol, day) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
        close = excluded.close, volume = excluded.volume
    """
)

_PRICE_DAY = text(
    """
    INSERT INTO price_days (day, bars, missing, whole, source) VALUES (:day, :bars, :missing, :whole, :source)
    ON CONFLICT (day) DO UPDATE SET bars = excluded.bars, missing = excluded.missing, whole = excluded.whole,
        source = excluded.source, loaded_at = now()
    """
)

# A day of a loaded past is whole when it has about as many symbols as the session before it.
_PRICE_DAYS = text(
    """
    INSERT INTO price_days (day, bars, missing, whole, source)
    SELECT d.day, d.bars, greatest(d.before - d.bars, 0), d.bars >= CAST(:share AS float8) * d.before, :source
    FROM (SELECT day, count(*) AS bars, lag(count(*), 1, count(*)) OVER (ORDER BY day) AS before
          FROM bars WHERE day BETWEEN :first AND :last GROUP BY day) d
    ON CONFLICT (day) DO UPDATE SET bars = excluded.bars, missing = excluded.missing, whole = excluded.whole,
        source = excluded.source, loaded_at = now()
    """
)

_COVERAGE = text(
    """
    SELECT (SELECT count(*) FROM price_days) AS days, (SELECT min(day) FROM price_days) AS first_day,
           (SELECT max(day) FROM price_days) AS last_day,
           (SELECT max(day) FROM price_days WHERE whole) AS last_whole_day
    """
)
_RECENT_DAYS = text(
    "SELECT day, bars, missing, whole, source, loaded_at FROM price_days WHERE day >= :first ORDER BY day"
)
_STALE = text(
    """
    SELECT symbol, max(day) AS last_day FROM bars WHERE day > CAST(:until AS date) - 366
    GROUP BY symbol HAVING max(day) < :until ORDER BY 2, 1
    """
)

_ARRAYS = """
    array_agg(b.day ORDER BY b.day) AS days, array_agg(b.open::float8 ORDER BY b.day) AS opens,
    array_agg(b.high::float8 ORDER BY b.day) AS highs, array_agg(b.low::float8 ORDER BY b.day) AS lows,
    array_agg(b.close::float8 ORDER BY b.day) AS closes, array_agg(b.volume::float8 ORDER BY b.day) AS volumes
"""

_TRADED_ON = select(func.count()).where(
    BarRow.day == bindparam("day"), BarRow.symbol.in_(bindparam("symbols", expanding=True))
)

_LAST_CLOSES = text(
    """
    SELECT s.symbol, b.day, b.close FROM unnest(CAST(:symbols AS text[])) AS s(symbol)
    JOIN LATERAL (SELECT day, close FROM bars WHERE symbol = s.symbol AND day <= :day ORDER BY day DESC LIMIT 1) b
      ON true ORDER BY s.symbol
    """
)

# One row a symbol, its bars as arrays: that keeps the decoding out of Python.
_HISTORY = text(
    f"""
    SELECT b.symbol, {_ARRAYS}
    FROM (SELECT *, row_number() OVER (PARTITION BY symbol ORDER BY day DESC) AS age FROM bars
          WHERE day <= :day AND (:all_symbols OR symbol = ANY(CAST(:symbols AS text[])))) b
    WHERE b.age <= :limit GROUP BY b.symbol ORDER BY b.symbol
    """
)

_AFTER = text(
    f"""
    SELECT b.symbol, {_ARRAYS} FROM bars b WHERE b.day > :first AND b.day <= :last
    GROUP BY b.symbol ORDER BY b.symbol
    """
)


class BarRepository:
    """Queries over bars."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def store(self, bars: Sequence[Bar]) -> None:
        """Insert bars, replacing those of the same symbol and day. Send some thousands at a time."""
        columns = {
            "symbols": [bar.symbol for bar in bars],
            "days": [bar.day for bar in bars],
            "opens": [bar.open for bar in bars],
            "highs": [bar.high for bar in bars],
            "lows": [bar.low for bar in bars],
            "closes": [bar.close for bar in bars],
            "volumes": [bar.volume for bar in bars],
        }
        await self.session.execute(_UPSERT, columns)

    async def store_day(self, day: date, bars: int, missing: int, whole: bool, source: str) -> None:
        """Record what was loaded for a day."""
        values = {"day": day, "bars": bars, "missing": missing, "whole": whole, "source": source}
        await self.session.execute(_PRICE_DAY, values)

    async def store_days(self, first: date, last: date, share: float, source: str) -> None:
        """Record every day of a loaded past. share: of the symbols of the day before that makes a day whole."""
        await self.session.execute(_PRICE_DAYS, {"first": first, "last": last, "share": share, "source": source})

    async def coverage(self) -> dict[str, Any]:
        """Return how many days are recorded, the first, the last and the last whole one."""
        return dict((await self.session.execute(_COVERAGE)).mappings().one())

    async def days_since(self, first: date) -> list[dict[str, Any]]:
        """Return what was loaded for each day from one on."""
        return [dict(row) for row in (await self.session.execute(_RECENT_DAYS, {"first": first})).mappings()]

    async def stale(self, until: date) -> list[dict[str, Any]]:
        """Return the symbols of the last year that have no bar on a day, with their last one."""
        return [dict(row) for row in (await self.session.execute(_STALE, {"until": until})).mappings()]

    async def last_whole_day(self, until: date | None = None) -> date | None:
        """Return the newest day that is whole, if any. until: look no later than this day."""
        query = select(func.max(PriceDayRow.day)).where(PriceDayRow.whole)
        if until is not None:
            query = query.where(PriceDayRow.day <= until)
        return (await self.session.execute(query)).scalar_one()

    async def price_day(self, day: date) -> PriceDayRow | None:
        """Return what was loaded for a day."""
        return (await self.session.execute(select(PriceDayRow).where(PriceDayRow.day == day))).scalar_one_or_none()

    async def count_on(self, day: date) -> int:
        """Return how many symbols have a bar on a day."""
        return (await self.session.execute(select(func.count()).where(BarRow.day == day))).scalar_one()

    async def traded_on(self, day: date, symbols: Sequence[Symbol]) -> int:
        """Return how many of the symbols have a bar on a day."""
        return (await self.session.execute(_TRADED_ON, {"day": day, "symbols": list(symbols)})).scalar_one()

    async def closes_on(self, day: date) -> dict[Symbol, Price]:
        """Return the close of every share that traded on a day."""
        query = select(BarRow.symbol, BarRow.close).where(BarRow.day == day)
        return {Symbol(row.symbol): row.close for row in (await self.session.execute(query)).all()}

    async def last_closes(self, day: date, symbols: Sequence[Symbol]) -> dict[Symbol, tuple[date, Price]]:
        """Return each symbol's newest close up to a day, and of which day it is; symbols without bars are left out."""
        rows = await self.session.execute(_LAST_CLOSES, {"day": day, "symbols": list(symbols)})
        return {Symbol(symbol): (on, close) for symbol, on, close in rows}

    async def history(self, day: date, limit: int, symbols: Sequence[Symbol] | None = None) -> list[Bars]:
        """Return the last bars up to a day of every symbol, or of the named ones, by symbol."""
        values = {"day": day, "limit": limit, "symbols": list(symbols or ()), "all_symbols": symbols is None}
        rows = await self.session.execute(_HISTORY, values)
        return [_bars(*row) for row in rows]

    async def after(self, first: date, last: date) -> list[Bars]:
        """Return the bars after a day up to another, by symbol."""
        return [_bars(*row) for row in await self.session.execute(_AFTER, {"first": first, "last": last})]

    async def loaded_at(self, until: date) -> datetime | None:
        """Return when a day up to the given one was last loaded, by the database's clock."""
        query = select(func.max(PriceDayRow.loaded_at)).where(PriceDayRow.day <= until)
        return (await self.session.execute(query)).scalar_one()


def _bars(
    symbol: str,
    days: list[date],
    opens: list[float],
    highs: list[float],
    lows: list[float],
    closes: list[float],
    volumes: list[float],
) -> Bars:
    return Bars(
        Symbol(symbol),
        np.array(days, dtype="datetime64[D]"),
        np.array(opens),
        np.array(highs),
        np.array(lows),
        np.array(closes),
        np.array(volumes),
    )
