"""The day's feature table: its definitions, its agreement with history, and its text form."""

import json
import time
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.bars import Bars, Floats
from trading.feature_columns import HISTORY_BARS, MIN_BARS
from trading.features import FeatureParameters, FeatureTable, feature_history, feature_table
from trading.values import Symbol

LAST = date(2024, 6, 28)
PARAMETERS = FeatureParameters(rsi_period=10)


def walk(seed: int, bars: int, symbol: str = "AAA", last: date = LAST) -> Bars:
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.02, bars)))
    opened = close * np.exp(random.normal(0, 0.01, bars))
    high = np.maximum(opened, close) * (1 + random.uniform(0, 0.02, bars))
    low = np.minimum(opened, close) * (1 - random.uniform(0, 0.02, bars))
    days = np.datetime64(last, "D") - np.arange(bars)[::-1]
    volume = random.integers(1_000, 100_000, bars).astype(np.float64)
    return Bars(Symbol(symbol), days, opened, high, low, close, volume)


def flat(bars: int = 300) -> Bars:
    price = np.full(bars, 100.0)
    days = np.datetime64(LAST, "D") - np.arange(bars)[::-1]
    return Bars(Symbol("FLAT"), days, price, price, price, price, np.full(bars, 1000.0))


def changed(bars: Bars, **columns: Floats) -> Bars:
    fields = {name: columns.get(name, getattr(bars, name)) for name in ("open", "high", "low", "close", "volume")}
    return Bars(bars.symbol, bars.days, **fields)


def row_of(bars: Bars) -> dict[str, float | None]:
    return feature_table([bars], LAST, PARAMETERS).row(bars.symbol)


@given(st.integers(0, 10_000), st.integers(MIN_BARS, HISTORY_BARS))
@settings(max_examples=20, deadline=None)
def test_the_table_is_the_last_row_of_history_to_the_bit(seed: int, count: int) -> None:
    bars = walk(seed, count)
    table, history = feature_table([bars, walk(1, 300, "BBB")], LAST, PARAMETERS), feature_history(bars, PARAMETERS)
    assert set(history) == set(table.columns)
    for name, values in history.items():
        np.testing.assert_array_equal(values[-1], table.columns[name][0], err_msg=name)


def test_longer_history_changes_nothing_because_history_too_sees_only_the_window() -> None:
    bars = walk(2, 1100)
    history = feature_history(bars, PARAMETERS)
    for end in (700, 1100):
        day = bars.days[end - 1].item()
        row = feature_table([bars.window(end - HISTORY_BARS, end)], day, PARAMETERS).row(bars.symbol)
        for name, values in history.items():
            assert values[end - 1] == pytest.approx(row[name], rel=1e-10, nan_ok=True), name


def test_bars_after_the_day_are_not_seen() -> None:
    bars = walk(3, 420)
    day = bars.days[-21].item()
    seen = feature_table([bars], day, PARAMETERS)
    assert seen.sha256() == feature_table([bars.window(0, 400)], day, PARAMETERS).sha256()


def test_history_has_nothing_before_the_first_whole_bar() -> None:
    for name, values in feature_history(walk(4, MIN_BARS + 5), PARAMETERS).items():
        assert np.isnan(values[: MIN_BARS - 1]).all(), name
        assert np.isfinite(values[MIN_BARS - 1 :]).all() or name == "dist_from_high_252d_pct", name


def test_a_stale_a_short_and_an_empty_symbol_are_left_out_with_the_reason() -> None:
    bars = [
        walk(1, 300, "GOOD"),
        walk(2, 300, "STALE", date(2024, 6, 27)),
        walk(3, MIN_BARS - 1, "SHORT"),
        walk(4, 300, "EMPTY").window(0, 0),
    ]
    table = feature_table(bars, LAST, PARAMETERS)
    assert table.symbols == ("GOOD",)
    assert table.left_out == {
        "STALE": "stale: last bar 2024-06-27",
        "SHORT": "249 bars, 250 needed",
        "EMPTY": "no bars",
    }
    with pytest.raises(KeyError):
        table.row(Symbol("STALE"))


def test_a_day_on_which_nothing_traded_gives_an_empty_table() -> None:
    table = feature_table([], LAST, PARAMETERS)
    assert table.symbols == ()
    assert FeatureTable.from_json(table.to_json()).sha256() == table.sha256()


def test_a_flat_chart_has_no_gaps_no_range_and_no_oversold_rsi() -> None:
    row = row_of(flat())
    zero = ("gap_frequency_60", "avg_range_pct_60", "range_60_pct", "extreme_candle_frequency_30", "hist_vol_20d")
    assert [row[name] for name in zero] == [0.0] * 5
    assert (row["rsi"], row["ema9"], row["ema200"], row["above_ema200"]) == (100.0, 100.0, 100.0, 0.0)
    assert row["volume_green_vs_red_ratio"] is None


def test_gaps_are_days_wholly_above_or_below_the_close_before() -> None:
    bars = flat()
    low, high = bars.low.copy(), bars.high.copy()
    low[-3], high[-3] = 101.0, 102.0
    high[-10], low[-10] = 99.0, 98.0
    low[-20], high[-20] = 99.0, 101.0
    assert row_of(changed(bars, low=low, high=high))["gap_frequency_60"] == pytest.approx(2 / 60 * 100)


def test_extreme_candles_are_bodies_over_five_percent_or_three_average_ranges() -> None:
    bars = flat()
    opened, high, low = bars.open.copy(), bars.high.copy(), bars.low.copy()
    opened[-2] = low[-2] = 94.0
    opened[-29] = high[-29] = 102.0
    frequency = row_of(changed(bars, open=opened, high=high, low=low))["extreme_candle_frequency_30"]
    assert frequency == pytest.approx(2 / 30 * 100)


@pytest.mark.parametrize(
    ("rsi_falls", "ratio", "ok"),
    [(False, 0.69, 0.0), (False, 0.71, 1.0), (True, 0.49, 0.0), (True, 0.51, 1.0)],
)
def test_an_oversold_day_needs_less_volume(rsi_falls: bool, ratio: float, ok: float) -> None:
    bars = flat()
    steps = np.concatenate([np.zeros(290), np.arange(1.0, 11.0)])
    close = 100.0 - steps if rsi_falls else 100.0 + steps
    volume = np.full(300, 1000.0)
    volume[-1] = 1000.0 * 49 * ratio / (50 - ratio)
    row = row_of(changed(bars, close=close, high=np.full(300, 120.0), low=np.full(300, 80.0), volume=volume))
    assert row["volume_ratio"] == pytest.approx(ratio)
    assert row["vol_ok"] == ok


def test_the_dip_columns_follow_their_definitions() -> None:
    bars = flat()
    close, opened = bars.close.copy(), bars.open.copy()
    close[-10] = 110.0
    close[-3:], opened[-4:] = (95.0, 92.0, 88.0), (99.0, 100.0, 95.0, 92.0)
    row = row_of(changed(bars, open=opened, close=close, high=np.full(300, 111.0), low=np.full(300, 87.0)))
    assert row["dip_depth_from_20d_high_pct"] == pytest.approx(-20.0)
    assert row["consecutive_red_days"] == 2
    assert row["dip_speed_pct_per_day"] == pytest.approx(10.0)
    assert row["support_distance_pct"] == 0
    assert row["atr_pct_14"] == pytest.approx(24 / 88 * 100)
    assert row["ret_60d"] == pytest.approx(-12.0)
    assert row["dist_from_high_252d_pct"] == pytest.approx((88 / 111 - 1) * 100)
    assert row["day_of_week"] == 4


def test_text_and_back_keeps_every_value_and_the_hash() -> None:
    table = feature_table([walk(1, 251), walk(2, 300, "BBB"), flat(), walk(5, 9, "X")], LAST, PARAMETERS)
    text = table.canonical()
    again = FeatureTable.from_json(json.loads(text))
    assert (again.day, again.symbols, again.left_out) == (table.day, table.symbols, table.left_out)
    assert again.canonical() == text
    assert again.sha256() == table.sha256()
    assert b"NaN" not in text
    assert again.row(Symbol("AAA"))["dist_from_high_252d_pct"] is None


def test_the_order_of_the_symbols_given_changes_nothing() -> None:
    bars = [walk(seed, 300, f"S{seed}") for seed in range(5)]
    assert feature_table(bars, LAST, PARAMETERS).sha256() == feature_table(bars[::-1], LAST, PARAMETERS).sha256()


def test_text_that_is_no_table_is_refused() -> None:
    with pytest.raises(ValueError, match="not a feature table"):
        FeatureTable.from_json({"day": "2024-06-28"})
    with pytest.raises(ValueError, match=r"columns \['rsi'\]"):
        FeatureTable.from_json({"day": "2024-06-28", "symbols": ["A"], "columns": {"rsi": [1.0, 2.0]}})


def test_parameter_sets_have_different_names_and_the_same_set_one() -> None:
    assert FeatureParameters(10).hash == PARAMETERS.hash != FeatureParameters(14).hash
    assert PARAMETERS.to_json() == {"rsi_period": 10}


def test_a_market_of_120_symbols_is_computed_in_milliseconds() -> None:
    bars = [walk(seed, HISTORY_BARS, f"S{seed:03d}") for seed in range(120)]
    seconds = []
    for _ in range(5):
        start = time.process_time()
        feature_table(bars, LAST, PARAMETERS)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.05
