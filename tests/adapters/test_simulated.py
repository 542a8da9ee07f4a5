"""What simulated prices promise: the same for the same seed, like a market in shape, and without memory."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from adapters.prices.base import PriceSourceError
from adapters.prices.simulated import SimulatedPrices
from trading.bars import Bar, Floats
from trading.values import tick_floor

START = date(2019, 1, 1)
EVER = (date(1900, 1, 1), date(2100, 1, 1))
YEARS = 1400  # sessions, five and a half years


def _sessions(count: int, start: date = START) -> list[date]:
    return [start + timedelta(days=at) for at in range(count)]


def _bars(seed: int, sessions: list[date], symbols: int) -> list[Bar]:
    return list(asyncio.run(SimulatedPrices(seed, sessions, symbols).bars(*EVER)).bars)


class Market(NamedTuple):
    """Arrays (sessions, symbols) of one simulation."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    @property
    def returns(self) -> Floats:
        return np.diff(np.log(self.close), axis=0)


@cache
def _market(seed: int) -> Market:
    symbols = 60
    bars = _bars(seed, _sessions(YEARS), symbols)
    rows = np.array([(bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars], dtype=np.float64)
    return Market(*rows.reshape(symbols, YEARS, 5).transpose(2, 1, 0))


def _correlation(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_the_same_seed_gives_the_same_bars_and_another_seed_others() -> None:
    sessions = _sessions(30)
    assert _bars(3, sessions, 4) == _bars(3, sessions, 4)
    assert _bars(3, sessions, 4) != _bars(4, sessions, 4)


def test_another_first_session_gives_other_prices() -> None:
    one, other = _bars(3, _sessions(5), 1), _bars(3, _sessions(5, START + timedelta(days=1)), 1)
    assert [bar.close for bar in one] != [bar.close for bar in other]


@pytest.mark.parametrize("count", [1, 2, 7, 64, 257])
def test_more_sessions_only_add_to_the_bars(count: int) -> None:
    longer = [bar for bar in _bars(3, _sessions(300), 9) if bar.day < START + timedelta(days=count)]
    assert _bars(3, _sessions(count), 9) == longer


def test_more_symbols_only_add_to_the_bars() -> None:
    sessions = _sessions(50)
    assert _bars(3, sessions, 12)[: 5 * 50] == _bars(3, sessions, 5)


def test_a_day_between_sessions_has_no_bar() -> None:
    sessions = [START, START + timedelta(days=3)]
    assert [bar.day for bar in _bars(3, sessions, 1)] == sessions


def test_names_are_numbered_and_sorted_as_text_beyond_a_thousand() -> None:
    symbols = list(asyncio.run(SimulatedPrices(1, [START], 1001).symbols()))
    assert symbols[:2] == ["SIM001", "SIM002"]
    assert symbols == sorted(symbols)
    bars = asyncio.run(SimulatedPrices(1, [START], 1001).bars(START, START)).bars
    assert [bar.symbol for bar in bars] == symbols


def test_prices_lie_on_the_tick_grid_within_their_bounds() -> None:
    for bar in _bars(5, _sessions(250), 20):
        for price in (bar.open, bar.high, bar.low, bar.close):
            assert tick_floor(price) == price
            assert Decimal(50) <= price <= Decimal(5000)
        assert bar.low <= min(bar.open, bar.close)
        assert max(bar.open, bar.close) <= bar.high
        assert bar.volume > 0


@pytest.mark.parametrize("seed", [1, 2, 7])
class TestTheMarket:
    """Shape over years. The bounds leave several standard errors: they are no fit to these seeds."""

    def test_returns_after_dips_do_not_lean_either_way(self, seed: int) -> None:
        returns = _market(seed).returns
        own = returns - returns.mean(axis=1, keepdims=True)
        before, after = own[:-1], own[1:]
        dips = before < -1.5 * own.std(axis=0)
        assert dips.sum() > 2000
        assert abs(_correlation(before, after)) < 0.02
        assert abs(_correlation(before[dips], after[dips])) < 0.06
        error = after[dips].std() / np.sqrt(dips.sum())
        assert abs(after[dips].mean() - after.mean()) < 4 * error

    def test_the_market_as_a_whole_has_no_memory_either(self, seed: int) -> None:
        shared = _market(seed).returns.mean(axis=1)
        assert abs(_correlation(shared[:-1], shared[1:])) < 0.12

    def test_ten_days_after_a_fall_nothing_was_made_up_for(self, seed: int) -> None:
        closes = np.log(_market(seed).close)
        own = closes - closes.mean(axis=1, keepdims=True)
        fall, later = own[10:-10:10] - own[:-20:10], own[20::10] - own[10:-10:10]
        assert _correlation(fall, later) > -0.04

    def test_wild_days_follow_wild_days(self, seed: int) -> None:
        sizes = np.abs(_market(seed).returns)
        assert _correlation(sizes[:-1], sizes[1:]) > 0.1
        assert _correlation(sizes[:-20], sizes[20:]) > 0.05

    def test_tails_are_fat(self, seed: int) -> None:
        returns = _market(seed).returns
        scaled = (returns - returns.mean(axis=0)) / returns.std(axis=0)
        assert (scaled**4).mean() > 5
        assert np.abs(returns).max() < 0.2

    def test_symbols_move_together_in_part(self, seed: int) -> None:
        together = np.asarray(np.corrcoef(_market(seed).returns.T))
        assert 0.1 < together[np.triu_indices(len(together), 1)].mean() < 0.6

    def test_volatility_is_that_of_large_caps(self, seed: int) -> None:
        yearly = _market(seed).returns.std(axis=0) * np.sqrt(252)
        assert 0.2 < float(np.median(yearly)) < 0.45

    def test_days_open_away_from_the_last_close_but_move_more_by_day(self, seed: int) -> None:
        market = _market(seed)
        gaps = np.log(market.open[1:] / market.close[:-1])
        by_day = np.log(market.close / market.open)
        assert 0.3 < gaps.std() / by_day.std() < 0.9
        assert (gaps == 0).mean() < 0.05

    def test_a_day_reaches_beyond_its_open_and_close(self, seed: int) -> None:
        market = _market(seed)
        body = np.abs(np.log(market.close / market.open)).mean()
        assert 1.3 < np.log(market.high / market.low).mean() / body < 3.5

    def test_big_moves_trade_more(self, seed: int) -> None:
        market = _market(seed)
        volume = np.log(market.volume[1:])
        busy = volume - volume.mean(axis=0)
        assert _correlation(np.abs(market.returns), busy) > 0.3


@pytest.mark.parametrize(
    ("seed", "sessions", "symbols", "words"),
    [
        (-1, [START], 1, "seed -1"),
        (1, [], 1, "sessions"),
        (1, [START, START], 1, "sessions"),
        (1, [START, START - timedelta(days=1)], 1, "sessions"),
        (1, [START], 0, "0 symbols"),
        (1, [START], 2001, "2001 symbols"),
    ],
)
def test_what_cannot_be_simulated_is_refused(seed: int, sessions: list[date], symbols: int, words: str) -> None:
    with pytest.raises(PriceSourceError, match=words):
        SimulatedPrices(seed, sessions, symbols)
