"""The process's copy of the market's bars equals the table, however it was brought forward."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from db.bars import BarRepository
from db.transaction import Database
from trading.bars import Bar
from trading.feature_columns import HISTORY_BARS
from trading.values import Symbol
from worker.history import MarketHistory

FIRST = date(2024, 1, 1)
COLUMNS = ("days", "open", "high", "low", "close", "volume")


async def load(database: Database, day: date, symbols: tuple[str, ...] = ("INFY", "TCS"), close: int = 100) -> None:
    price = Decimal(close)
    async with database.transaction(None) as session:
        rows = BarRepository(session)
        await rows.store([Bar(Symbol(name), day, price, price, price, price, 10) for name in symbols])
        await rows.store_day(day, len(symbols), 0, True, "test")


async def assert_equals_the_table(database: Database, history: MarketHistory, day: date) -> None:
    async with database.reading(None) as session:
        table = {bars.symbol: bars for bars in await BarRepository(session).history(day, HISTORY_BARS)}
    copy = await history.until(day)
    assert sorted(copy) == sorted(table)
    for symbol, bars in table.items():
        for name in COLUMNS:
            assert np.array_equal(getattr(copy[symbol], name), getattr(bars, name)), (symbol, name)


async def test_brought_forward_day_by_day_it_equals_the_table(database: Database) -> None:
    history = MarketHistory(database)
    for number in range(5):
        symbols = ("INFY", "TCS", "WIPRO") if number % 2 else ("INFY", "TCS")
        await load(database, FIRST + timedelta(days=number), symbols, 100 + number)
        await assert_equals_the_table(database, history, FIRST + timedelta(days=number))


async def test_a_day_loaded_again_is_read_again(database: Database) -> None:
    history = MarketHistory(database)
    for number in range(3):
        await load(database, FIRST + timedelta(days=number))
    await history.until(FIRST + timedelta(days=2))
    await load(database, FIRST + timedelta(days=1), close=50)
    await load(database, FIRST + timedelta(days=3))
    await assert_equals_the_table(database, history, FIRST + timedelta(days=3))


async def test_an_older_day_is_answered_too(database: Database) -> None:
    history = MarketHistory(database)
    for number in range(3):
        await load(database, FIRST + timedelta(days=number))
    await history.until(FIRST + timedelta(days=2))
    await assert_equals_the_table(database, history, FIRST + timedelta(days=1))
    await assert_equals_the_table(database, history, FIRST + timedelta(days=2))


async def test_only_the_last_bars_are_kept(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.history.HISTORY_BARS", 3)
    history = MarketHistory(database)
    for number in range(6):
        await load(database, FIRST + timedelta(days=number))
        bars = (await history.until(FIRST + timedelta(days=number)))[Symbol("INFY")]
        assert len(bars) == min(number + 1, 3)
