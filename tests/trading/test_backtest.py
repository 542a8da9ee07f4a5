"""The backtest: its trades obey the live strategy's rules, on made-up prices and on real ones."""

import os
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.backtest import GAIN_SESSIONS, DipTrades, _exit, dip_trades
from trading.bars import Bars, Floats
from trading.charges import charges
from trading.config import DEFAULTS
from trading.features import FeatureParameters, feature_history, feature_table
from trading.strategies.base import price_of
from trading.strategies.dip import Dip, exit_limit
from trading.values import Side, Symbol, parse_symbol

PARAMETERS = FeatureParameters(rsi_period=10)
FIRST = np.datetime64("2022-01-03", "D")


def bars_of_closes(close: Floats, spread: float = 0.005) -> Bars:
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * (1 + spread), np.minimum(opened, close) * (1 - spread)
    days = FIRST + np.arange(len(close))
    return Bars(Symbol("AAA"), days, opened, high, low, close, np.full(len(close), 1e6))


def one_dip(after: list[float]) -> Bars:
    """A rising share that falls 3 % a day for four days, then goes on as told (factors of the day before)."""
    steps = np.concatenate([np.tile([1.012, 0.994], 150), [0.97] * 4, after])
    return bars_of_closes(100 * np.cumprod(steps), 0.012)


def trades_of(bars: Bars) -> DipTrades:
    return dip_trades(bars, DEFAULTS, PARAMETERS)


def test_a_dip_that_recovers_is_one_trade_sold_at_the_average() -> None:
    bars = one_dip([0.995, 1.01, 1.04, 1.04, 1.01, 1.01])
    trades = trades_of(bars)
    history = feature_history(bars, PARAMETERS)
    assert trades.exit_reason == ("ema9",)
    entry = int(trades.entry_index[0])
    assert trades.entry_price[0] == pytest.approx(bars.open[entry], abs=1e-4)
    assert trades.features["rsi"][0] == history["rsi"][entry - 1] < 30
    exit_ = int(np.searchsorted(bars.days, trades.exit_day[0]))
    limit = exit_limit(float(history["ema9"][exit_ - 1]), price_of(bars.open[exit_]))
    assert trades.exit_price[0] == float(max(limit, price_of(bars.open[exit_])))


def test_an_open_above_the_limit_sells_at_the_open() -> None:
    bars = one_dip([0.995, 1.01, 1.0, 1.0])
    opened, high = bars.open.copy(), bars.high.copy()
    entry = int(trades_of(one_dip([0.995, 1.01, 1.0, 1.2])).entry_index[0])
    opened[entry + 1] = high[entry + 1] = 300.0
    trades = trades_of(replace(bars, open=opened, high=high))
    assert trades.exit_price.tolist() == [300.0]
    assert trades.exit_day.tolist() == [bars.days[entry + 1].item()]


def test_nothing_is_sold_on_the_day_it_was_bought() -> None:
    bars = one_dip([1.3, 0.9, 0.9])
    trades = trades_of(bars)
    assert (trades.exit_day > trades.entry_day).all()


def test_a_recovered_rsi_sells_at_the_close() -> None:
    bars = one_dip([1.001] * 30)
    calm = replace(bars, open=bars.close * 0.99, high=bars.close)
    history = feature_history(calm, PARAMETERS)
    # The average is put out of reach, so that only RSI can sell.
    far = {**history, "ema9": history["ema9"] * 10}
    found = [_exit(calm, far, day) for day in range(300, len(calm))]
    sold = [(day, exit_) for day, exit_ in enumerate(found, 300) if exit_ is not None]
    day, exit_ = sold[-1]
    assert exit_ == (price_of(calm.close[day]), "rsi50")
    assert all((history["rsi"][day] > 50) == (exit_ is not None) for day, exit_ in enumerate(found, 300))


def test_a_trade_still_open_at_the_end_is_left_out() -> None:
    bars = one_dip([0.995, 0.99, 0.99])
    assert len(trades_of(bars)) == 0
    assert trades_of(bars).features["rsi"].shape == (0,)


def test_the_best_gain_is_the_highest_price_of_twenty_sessions_known_at_their_end() -> None:
    bars = one_dip([0.995, 1.01, 1.04, 1.04, *[1.01] * 6, *[0.99] * 30])
    trades = trades_of(bars)
    entry = int(trades.entry_index[0])
    highest = bars.high[entry : entry + GAIN_SESSIONS].max()
    assert trades.best_gain_pct[0] == pytest.approx((highest / trades.entry_price[0] - 1) * 100)
    assert trades.best_gain_day[0] == bars.days[entry + GAIN_SESSIONS - 1]
    assert trades.best_gain_pct[0] > trades.pnl_pct[0]


def test_a_gain_whose_sessions_are_not_over_is_not_known() -> None:
    bars = one_dip([0.995, 1.01, 1.04, 1.04, *[1.01] * 40])
    entry = int(trades_of(bars).entry_index[0])
    whole, short = (trades_of(bars.until(bars.days[entry + GAIN_SESSIONS - 1 - lack].item())) for lack in (0, 1))
    assert np.isfinite(whole.best_gain_pct).all()
    assert np.isnan(short.best_gain_pct).all()


def test_a_signal_on_the_last_bar_is_no_trade() -> None:
    assert len(trades_of(one_dip([]))) == 0


def test_profit_is_net_of_the_charges_of_both_days() -> None:
    trades = trades_of(one_dip([0.995, 1.01, 1.04, 1.04]))
    bought, sold = price_of(float(trades.entry_price[0])), price_of(float(trades.exit_price[0]))
    quantity = int(DEFAULTS.user_capital / price_of(float(trades.features["close"][0])))
    paid = quantity * bought + charges(Side.BUY, quantity, bought, trades.entry_day[0].item()).total
    got = quantity * sold - charges(Side.SELL, quantity, sold, trades.exit_day[0].item()).total
    assert trades.pnl_pct[0] == pytest.approx(float((got / paid - 1) * 100))
    assert trades.pnl_pct[0] < float((sold / bought - 1) * 100)


def test_a_share_too_dear_for_the_capital_is_not_traded() -> None:
    bars = one_dip([0.995, 1.01, 1.04, 1.04])
    assert len(dip_trades(bars, replace(DEFAULTS, user_capital=Decimal(50)), PARAMETERS)) == 0


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_trades_never_overlap_and_pass_the_strategys_gates_that_evening(seed: int) -> None:
    random = np.random.default_rng(seed)
    bars = bars_of_closes(100 * np.exp(np.cumsum(random.normal(0.0005, 0.02, 700))), 0.01)
    trades = trades_of(bars)
    assert (trades.exit_day > trades.entry_day).all()
    assert (trades.entry_day[1:] > trades.exit_day[:-1]).all()
    for entry in trades.entry_index[:3].tolist():
        table = feature_table([bars], bars.days[entry - 1].item(), PARAMETERS)
        decision = Dip().decide(Dip().candidates(table), DEFAULTS, {})
        assert {one.code for one in decision.rejections} <= {"verdict", "combined_score"}


def sample_bars(path: Path) -> Bars:
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").split()[1:]]
    days = np.array([row[0][:10] for row in rows], dtype="datetime64[D]")
    values = np.array([[float(text) for text in row[1:6]] for row in rows])
    return Bars(parse_symbol(path.stem), days, *(values[:, column] for column in range(5)))


def sample_paths() -> list[Path]:
    folder = os.environ.get("MUHURAT_SAMPLE_DATA")
    if folder is None:
        if "data" in os.environ.get("MUHURAT_REQUIRE", "").split(","):
            pytest.fail("MUHURAT_REQUIRE names data, but MUHURAT_SAMPLE_DATA is not set")
        pytest.skip("MUHURAT_SAMPLE_DATA is not set: no real prices to trade on")
    return sorted(Path(folder, "nifty50").glob("*.csv"))


def test_on_real_large_caps_most_dips_are_sold_at_the_average() -> None:
    trades = [trades_of(sample_bars(path)) for path in sample_paths()[:8]]
    reasons = [reason for one in trades for reason in one.exit_reason]
    profits = np.concatenate([one.pnl_pct for one in trades])
    assert len(reasons) > 20
    assert reasons.count("ema9") / len(reasons) > 0.9
    assert np.isfinite(profits).all()
    assert 0.4 < (profits > 0).mean() < 0.9
    assert min(one.entry_day.min() for one in trades if len(one)) > date(2021, 9, 1)
