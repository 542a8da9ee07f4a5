"""EMA and RSI: against TA-Lib, as panels, and over a window of history."""

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trading.bars import Floats
from trading.indicators import ema, rsi

PRICES = arrays(np.float64, st.integers(2, 60), elements=st.floats(0.05, 90_000, allow_subnormal=False))


def walk(seed: int, bars: int, symbols: int = 1) -> Floats:
    moves = np.random.default_rng(seed).normal(0, 0.02, (bars, symbols))
    panel: Floats = 100 * np.exp(np.cumsum(moves, axis=0))
    return panel if symbols > 1 else panel[:, 0]


@pytest.mark.parametrize("period", [2, 10, 14, 50])
@pytest.mark.parametrize("seed", range(5))
def test_rsi_equals_ta_lib_from_the_first_value(period: int, seed: int) -> None:
    close = walk(seed, 500)
    np.testing.assert_allclose(rsi(close, period), talib.RSI(close, period), rtol=0, atol=1e-9)


@pytest.mark.parametrize("period", [9, 20])
def test_ema_equals_ta_lib_once_the_seed_is_forgotten(period: int) -> None:
    close = walk(7, 600)
    np.testing.assert_allclose(ema(close, period)[300:], talib.EMA(close, period)[300:], rtol=1e-9)


def test_ema_starts_at_the_first_price_and_moves_by_its_weight() -> None:
    np.testing.assert_allclose(ema(np.array([10.0, 20.0, 20.0]), 3), [10.0, 15.0, 17.5])


@given(PRICES, st.integers(2, 20))
def test_rsi_stays_between_0_and_100_after_its_first_period(close: Floats, period: int) -> None:
    values = rsi(close, period)
    assert np.isnan(values[:period]).all()
    known = values[period:]
    assert ((known >= 0) & (known <= 100)).all()


@given(PRICES, st.integers(1, 20))
def test_ema_stays_between_the_lowest_and_the_highest_price(close: Floats, period: int) -> None:
    values = ema(close, period)
    slack = 1e-9 * close.max()
    assert (values >= close.min() - slack).all()
    assert (values <= close.max() + slack).all()


@given(st.integers(0, 1000), st.floats(0.01, 1000), st.integers(2, 20))
@settings(max_examples=40)
def test_a_change_of_scale_scales_ema_and_leaves_rsi(seed: int, scale: float, period: int) -> None:
    close = walk(seed, 80)
    np.testing.assert_allclose(rsi(close * scale, period), rsi(close, period), atol=1e-7)
    np.testing.assert_allclose(ema(close * scale, period), ema(close, period) * scale, rtol=1e-9)


@pytest.mark.parametrize("window", [None, 30])
def test_a_price_that_never_moves_is_its_own_average_and_never_oversold(window: int | None) -> None:
    close = np.full(90, 123.45)
    assert (ema(close, 9, window) == 123.45).all()
    assert (rsi(close, 10, window)[10:] == 100).all()


def test_only_falls_give_0_and_only_rises_give_100() -> None:
    rising = np.arange(1.0, 40.0)
    assert (rsi(rising, 10)[10:] == 100).all()
    assert (rsi(rising[::-1], 10)[10:] == 0).all()


def test_one_share_among_twenty_has_to_the_last_bit_what_it_has_alone() -> None:
    """A limit hangs on it, and a replay is held to one number: alone and in a panel are computed in two ways."""
    rng = np.random.default_rng(7)
    panel = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.02, (400, 20)), axis=0))
    panel[:60, 3] = np.nan
    for window in (None, 50):
        averages, strengths = ema(panel, 9, window), rsi(panel, 10, window)
        for share in range(20):
            alone = panel[:, share].copy()
            assert np.array_equal(averages[:, share], ema(alone, 9, window), equal_nan=True)
            assert np.array_equal(strengths[:, share], rsi(alone, 10, window), equal_nan=True)


def test_a_panel_gives_each_symbol_what_it_gets_alone() -> None:
    panel = walk(3, 120, 4)
    for column, missing in enumerate((0, 1, 70, 115)):
        panel[:missing, column] = np.nan
    for indicator, period in ((ema, 9), (rsi, 10)):
        together = indicator(panel, period)
        for column, missing in enumerate((0, 1, 70, 115)):
            assert np.isnan(together[:missing, column]).all()
            np.testing.assert_array_equal(together[missing:, column], indicator(panel[missing:, column], period))


@pytest.mark.parametrize("period", [2, 9, 10, 20, 200])
def test_a_window_gives_what_the_last_bars_alone_would_give(period: int) -> None:
    close, window = walk(11, 700), 250
    for indicator in (ema, rsi):
        windowed = indicator(close, period, window)
        for end in (window, window + 1, 480, 700):
            alone = indicator(close[end - window : end], period)[-1]
            assert windowed[end - 1] == pytest.approx(alone, rel=1e-11)


def test_a_share_that_stood_still_for_a_whole_window_has_no_oversold_rsi() -> None:
    close = np.concatenate([walk(5, 200), np.full(400, 50.0)])
    assert rsi(close, 10, 300)[-1] == 100


def test_a_series_shorter_than_the_period_has_no_rsi() -> None:
    assert np.isnan(rsi(np.array([1.0, 2.0, 3.0]), 10)).all()
    assert rsi(np.empty(0), 10).shape == (0,)
    assert ema(np.empty(0), 9).shape == (0,)


def test_a_period_or_window_that_cannot_be_is_refused() -> None:
    close = walk(1, 20)
    with pytest.raises(ValueError, match="period >= 2"):
        rsi(close, 1)
    with pytest.raises(ValueError, match="window > period"):
        rsi(close, 10, 10)
    with pytest.raises(ValueError, match=">= 1"):
        ema(close, 0)
