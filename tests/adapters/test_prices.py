"""What every price source promises. A new source joins by a line in SOURCES."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from adapters.prices.base import PriceSource
from adapters.prices.folder import FolderPrices
from adapters.prices.simulated import SimulatedPrices
from trading.values import Symbol

MONDAY = date(2024, 1, 1)
SESSIONS = [MONDAY + timedelta(days=7 * week + weekday) for week in range(8) for weekday in range(5)]
SUNDAY = MONDAY + timedelta(days=6)
DAY = SESSIONS[17]
AT = datetime.combine(DAY, time(5, 0), UTC)
EVER = (date(2000, 1, 1), date(2100, 1, 1))


def _simulated(_folder: Path) -> PriceSource:
    return SimulatedPrices(7, SESSIONS, 5)


def _folder(folder: Path) -> PriceSource:
    for number, name in enumerate(["WIPRO", "INFY", "M&M"]):
        rows = [
            f"{day},{100 + number}.05,{110 + number},90.5,{95 + at}.0005,{at * 10}" for at, day in enumerate(SESSIONS)
        ]
        (folder / f"{name}.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows[:10]]))
    rows = [f"{day},10,12,9,11,500" for day in SESSIONS]
    (folder / "TCS.NS.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows]))
    return FolderPrices(folder)


SOURCES: list[Callable[[Path], PriceSource]] = [_simulated, _folder]


@pytest.fixture(params=SOURCES, ids=["simulated", "folder"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> PriceSource:
    made: PriceSource = request.param(tmp_path)
    return made


def test_symbols_are_sorted_and_each_is_there_once(source: PriceSource) -> None:
    symbols = asyncio.run(source.symbols())
    assert list(symbols) == sorted(set(symbols))
    assert symbols


def test_a_name_says_where_prices_come_from(source: PriceSource) -> None:
    assert source.name.split(" ")[0] in {"simulated", "folder"}


def test_bars_lie_inside_the_range_with_both_ends(source: PriceSource) -> None:
    first, last = SESSIONS[3], SESSIONS[8]
    days = {bar.day for bar in asyncio.run(source.bars(first, last)).bars}
    assert days == set(SESSIONS[3:9])


def test_bars_of_a_symbol_come_oldest_first_and_a_day_once(source: PriceSource) -> None:
    bars = asyncio.run(source.bars(*EVER)).bars
    for symbol in asyncio.run(source.symbols()):
        days = [bar.day for bar in bars if bar.symbol == symbol]
        assert days == sorted(set(days))
        assert days


def test_every_bar_is_possible(source: PriceSource) -> None:
    for bar in asyncio.run(source.bars(*EVER)).bars:
        assert Decimal(0) < bar.low <= min(bar.open, bar.close)
        assert max(bar.open, bar.close) <= bar.high
        assert bar.volume >= 0


def test_no_price_has_more_than_four_decimals(source: PriceSource) -> None:
    for bar in asyncio.run(source.bars(*EVER)).bars:
        for price in (bar.open, bar.high, bar.low, bar.close):
            assert price == price.quantize(Decimal("0.0001"))


def test_a_range_without_sessions_has_no_bars_and_every_symbol_missing(source: PriceSource) -> None:
    batch = asyncio.run(source.bars(SUNDAY, SUNDAY))
    assert list(batch.bars) == []
    assert list(batch.missing) == list(asyncio.run(source.symbols()))


def test_missing_names_the_symbols_without_a_bar_on_the_last_day(source: PriceSource) -> None:
    batch = asyncio.run(source.bars(SESSIONS[0], DAY))
    with_bar = {bar.symbol for bar in batch.bars if bar.day == DAY}
    assert set(batch.missing) == set(asyncio.run(source.symbols())) - with_bar
    assert with_bar


def test_a_range_that_ends_before_it_begins_has_no_bars(source: PriceSource) -> None:
    assert list(asyncio.run(source.bars(SESSIONS[5], SESSIONS[2])).bars) == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_day_without_a_bar_has_no_quote_rather_than_a_price_of_zero(source: PriceSource, whole: bool) -> None:
    symbols = asyncio.run(source.symbols())
    assert asyncio.run(source.quotes(symbols, SUNDAY, AT, whole)) == {}


@pytest.mark.parametrize("whole", [True, False])
def test_exactly_the_symbols_with_a_bar_that_day_have_a_quote(source: PriceSource, whole: bool) -> None:
    symbols = asyncio.run(source.symbols())
    with_bar = {bar.symbol for bar in asyncio.run(source.bars(DAY, DAY)).bars}
    quotes = asyncio.run(source.quotes(symbols, DAY, AT, whole))
    assert quotes.keys() == with_bar


def test_only_the_symbols_asked_for_are_quoted(source: PriceSource) -> None:
    last = asyncio.run(source.bars(DAY, DAY)).bars[-1].symbol
    asked = [last, Symbol("NOSUCH"), last]
    assert asyncio.run(source.quotes(asked, DAY, AT, whole=True)).keys() == {last}
    assert asyncio.run(source.quotes([], DAY, AT, whole=True)) == {}


def test_before_the_close_a_quote_shows_only_the_open(source: PriceSource) -> None:
    bars = asyncio.run(source.bars(DAY, DAY)).bars
    quotes = asyncio.run(source.quotes([bar.symbol for bar in bars], DAY, AT, whole=False))
    for bar in bars:
        quote = quotes[bar.symbol]
        assert (quote.open, quote.high, quote.low, quote.last) == (bar.open,) * 4
        assert (quote.symbol, quote.day, quote.at) == (bar.symbol, DAY, AT)


def test_a_whole_quote_equals_the_bar(source: PriceSource) -> None:
    bars = asyncio.run(source.bars(DAY, DAY)).bars
    quotes = asyncio.run(source.quotes([bar.symbol for bar in bars], DAY, AT, whole=True))
    for bar in bars:
        quote = quotes[bar.symbol]
        assert (quote.open, quote.high, quote.low, quote.last) == (bar.open, bar.high, bar.low, bar.close)
        assert (quote.symbol, quote.day, quote.at) == (bar.symbol, DAY, AT)


def test_a_moment_without_a_time_zone_is_refused(source: PriceSource) -> None:
    symbols = asyncio.run(source.symbols())
    with pytest.raises(ValueError, match="time zone"):
        asyncio.run(source.quotes(symbols, DAY, AT.replace(tzinfo=None), whole=True))


def test_asking_twice_gives_the_same(source: PriceSource) -> None:
    symbols = asyncio.run(source.symbols())
    assert asyncio.run(source.symbols()) == symbols
    assert asyncio.run(source.bars(*EVER)) == asyncio.run(source.bars(*EVER))
    quotes = asyncio.run(source.quotes(symbols, DAY, AT, whole=True))
    assert asyncio.run(source.quotes(symbols, DAY, AT, whole=True)) == quotes


def test_asking_at_the_same_time_gives_the_same(source: PriceSource) -> None:
    async def together() -> None:
        batches = await asyncio.gather(*(source.bars(*EVER) for _ in range(4)))
        assert all(batch == batches[0] for batch in batches)

    asyncio.run(together())
