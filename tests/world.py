"""A small world for tests on a real database: users, bars, the market's clock, executions as a worker holds them.

Its rows lie in the first half of 2024: executions have partitions for those months only.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
from sqlalchemy import select, text

from adapters.prices.base import BarBatch, PriceSource, PriceSourceError
from adapters.prices.series import UNITS, DailySeries, batch_of, quotes_of
from config.servers import ServerUrls
from db.bars import BarRepository
from db.calendar import CalendarRepository
from db.engine import make_engine
from db.executions import Execution, ExecutionRow
from db.partitions import PartitionRepository
from db.service_status import ServiceStatusRepository
from db.transaction import Database
from db.users import SignedUp, UserRepository
from ops.local import Servers
from tests.database import empty, prepared
from trading.bars import Bar, Quote
from trading.calendar import Calendar
from trading.config import DEFAULTS, TradingConfig
from trading.values import Symbol
from worker.history import MarketHistory
from worker.outcome import Outcome
from worker.resources import Resources

Step = Callable[[Resources, Execution], Awaitable[Outcome]]


class ListedPrices:
    """A price source of the bars it is given. broken: it cannot answer."""

    name = "listed"

    def __init__(self, bars: Iterable[Bar] = ()) -> None:
        self.rows: dict[tuple[Symbol, date], Bar] = {}
        self.broken = False
        self.add(bars)

    def add(self, bars: Iterable[Bar]) -> None:
        """Know some more bars."""
        self.rows.update({(bar.symbol, bar.day): bar for bar in bars})

    async def symbols(self) -> Sequence[Symbol]:
        return sorted({symbol for symbol, _ in self.rows})

    async def bars(self, first: date, last: date) -> BarBatch:
        self._answer()
        return batch_of(self._series(), first, last)

    async def quotes(self, symbols: Sequence[Symbol], day: date, at: datetime, whole: bool) -> dict[Symbol, Quote]:
        self._answer()
        return quotes_of([one for one in self._series() if one.symbol in symbols], day, at, whole)

    async def shows(self, day: date) -> bool:
        self._answer()
        return any(on == day for _, on in self.rows)

    def _answer(self) -> None:
        if self.broken:
            raise PriceSourceError("listed prices: out of order for this test")

    def _series(self) -> list[DailySeries]:
        symbols = sorted({symbol for symbol, _ in self.rows})
        return [_series_of([bar for (one, _), bar in sorted(self.rows.items()) if one == symbol]) for symbol in symbols]


def _series_of(bars: list[Bar]) -> DailySeries:
    prices = [[int(price * UNITS) for price in (bar.open, bar.high, bar.low, bar.close)] for bar in bars]
    volume = np.array([bar.volume for bar in bars], dtype=np.int64)
    return DailySeries(bars[0].symbol, [bar.day for bar in bars], np.array(prices, dtype=np.int64), volume)


def bar(symbol: str, day: date, open_: str, high: str, low: str, close: str, volume: int = 1_000_000) -> Bar:
    """Return a bar written in text."""
    return Bar(Symbol(symbol), day, Decimal(open_), Decimal(high), Decimal(low), Decimal(close), volume)


@dataclass(slots=True)
class World:
    """A database of this test's own, and the resources a worker process would have on it."""

    database: Database
    resources: Resources
    prices: PriceSource
    slots: dict[str, int] = field(default_factory=dict)

    async def set_clock(self, at: datetime) -> None:
        """Make it that moment in the market."""
        async with self.database.transaction(None) as session:
            await session.execute(
                text(
                    "INSERT INTO market_clock (id, at, ends_at) VALUES (1, :at, :ends) "
                    "ON CONFLICT (id) DO UPDATE SET at = excluded.at"
                ),
                {"at": at, "ends": at + timedelta(days=3650)},
            )

    async def sign_up(self, name: str, config: TradingConfig = DEFAULTS) -> SignedUp:
        """Sign a user up and start the service."""
        async with self.database.transaction(None) as session:
            at = datetime(2020, 1, 1, tzinfo=UTC)
            signed = await UserRepository(session).sign_up(f"{name}@example.in", name, config, at)
            await ServiceStatusRepository(session).start(signed.user_id, "a test")
            return signed

    async def store_bars(self, bars: Sequence[Bar], whole_day: date) -> None:
        """Store bars up to a day that is whole."""
        async with self.database.transaction(None) as session:
            for start in range(0, len(bars), 5000):
                await BarRepository(session).store(bars[start : start + 5000])
            symbols = len({one.symbol for one in bars})
            await BarRepository(session).store_day(whole_day, symbols, 0, True, "a test")

    async def running(
        self,
        task: str,
        who: SignedUp | None = None,
        subject: str = "",
        as_of: datetime | None = None,
        useful_until: datetime | None = None,
        slot: datetime | None = None,
    ) -> Execution:
        """Insert an execution that a worker has just claimed, at market now. slot: None, that of its data."""
        async with self.database.transaction(None) as session:
            now: datetime = (await session.execute(text("SELECT market_now()"))).scalar_one()
            number = self.slots[task] = self.slots.get(task, 0) + 1
            row = ExecutionRow(
                scheduled_for=(slot or as_of or now) + timedelta(microseconds=number),  # no two of a task share a slot
                task_name=task,
                user_id=who.user_id if who else None,
                account_id=who.account_id if who else None,
                subject=subject,
                queue="default",
                status="running",
                rung_at=now,
                attempt=1,
                as_of=as_of or now,
                useful_until=useful_until,
            )
            session.add(row)
            await session.flush()
            return _execution(row, now)

    async def queued(self) -> list[ExecutionRow]:
        """Return the follow-ups that nobody has claimed, oldest first."""
        async with self.database.reading(None) as session:
            query = select(ExecutionRow).where(ExecutionRow.status == "queued").order_by(ExecutionRow.id)
            return list((await session.execute(query)).scalars())

    async def claim(self, row: ExecutionRow) -> Execution:
        """Claim a queued execution as a worker would, at market now."""
        async with self.database.transaction(None) as session:
            held = await session.get_one(ExecutionRow, (row.scheduled_for, row.id))
            held.status, held.attempt = "running", held.attempt + 1
            now: datetime = (await session.execute(text("SELECT market_now()"))).scalar_one()
            held.rung_at = held.rung_at or now
            return _execution(held, now)

    async def settle(self, execution: Execution, outcome: Outcome) -> None:
        """Record an execution's end."""
        async with self.database.transaction(None) as session:
            row = await session.get_one(ExecutionRow, (execution.scheduled_for, execution.id))
            row.status, row.reason, row.details = outcome.status, outcome.reason, dict(outcome.details)

    async def fence_off(self, execution: Execution) -> Execution:
        """Give an execution to another worker. Returns it as that one holds it."""
        async with self.database.transaction(None) as session:
            row = await session.get_one(ExecutionRow, (execution.scheduled_for, execution.id))
            row.generation += 1
        return replace(execution, generation=execution.generation + 1)

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        """Return what a query finds, as the system sees it."""
        async with self.database.reading(None) as session:
            return [tuple(row) for row in await session.execute(text(query))]

    async def row(self, query: str) -> tuple[object, ...]:
        """Return the only row a query finds."""
        (row,) = await self.rows(query)
        return row

    async def change(self, statement: str) -> None:
        """Run one statement as the system."""
        async with self.database.transaction(None) as session:
            await session.execute(text(statement))


def _execution(row: ExecutionRow, now: datetime) -> Execution:
    return Execution(
        row.scheduled_for,
        row.id,
        row.generation or 1,
        row.task_name,
        row.user_id,
        row.account_id,
        row.subject or "",
        row.as_of,
        row.useful_until,
        row.attempt,
        now,
    )


@asynccontextmanager
async def open_world(servers: Servers, prices: PriceSource | None = None) -> AsyncIterator[World]:
    """Yield an empty world on the test run's servers, with the calendar and the default schedules."""
    urls = ServerUrls(servers.database_url, servers.redis_url)
    await prepared(urls)
    database = Database(make_engine(urls.sqlalchemy))
    try:
        await empty(database)
        async with database.transaction(None) as session:
            await PartitionRepository(session).make(date(2023, 12, 1), date(2024, 6, 30))
            await PartitionRepository(session).make_ahead(35)
        calendar = await _calendar(database)
        source = prices if prices is not None else ListedPrices()
        yield World(database, Resources(database, calendar, source, MarketHistory(database)), source)
    finally:
        await database.close()


_calendars: list[Calendar] = []


async def _calendar(database: Database) -> Calendar:
    """Return the database's calendar, read once a test run: it is long and always the same."""
    if not _calendars:
        async with database.reading(None) as session:
            _calendars.append(await CalendarRepository(session).load())
    return _calendars[0]
