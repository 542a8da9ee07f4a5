"""Every feature as a column over a panel of daily bars: one definition for a day's table and a symbol's history."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from trading.bars import Bars, Days, Floats
from trading.dip_record import dip_record
from trading.indicators import ema, rsi
from trading.windows import (
    Bools,
    back,
    rolling_deviation,
    rolling_max,
    rolling_mean,
    rolling_min,
    rolling_sum,
    streak,
)

HISTORY_BARS = 400
"""Bars a value may depend on: twice the slowest average, so that results do not depend on how much was loaded."""

MIN_BARS = 250
"""Bars before a symbol has features: EMA200 needs them. Source: domain 4.1."""

RSI_LOW = 30.0  # under it a thinner day is enough for vol_ok; domain 4.5
VOLUME_RATIO_OK = 0.7
VOLUME_RATIO_OK_LOW = 0.5
VOLUME_RATIO_CAP = 20.0  # the cap in the training data, domain 8.2
EXTREME_BODY_RANGES = 3.0  # a body above this many average ranges is extreme; domain 4.4
EXTREME_BODY_PCT = 5.0
DIVERGENCE_BARS = 10  # domain 4.6
YEAR_BARS = 250  # fifty weeks: the window of weekly support; domain 4.6
LONGEST_WINDOW = 253
"""Rows that a rolling feature may reach back; a panel holds as many above the rows asked for."""

Columns = dict[str, Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Bars of many symbols, all ending in the last row; shorter ones start with NaN (days: NaT). Each (n, symbols)."""

    days: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def last(self, rows: int) -> Self:
        """Return the last rows as views."""
        part = slice(max(0, len(self.close) - rows), None)
        prices = (self.open[part], self.high[part], self.low[part], self.close[part])
        return type(self)(self.days[part], *prices, self.volume[part])


def panel_of(bars: list[Bars], height: int) -> Panel:
    """Return the last bars of every symbol, day-major, as many rows as `height`."""
    days = np.full((len(bars), height), "NaT", dtype="datetime64[D]")
    values = np.full((5, len(bars), height), np.nan)
    for number, one in enumerate(bars):
        count = min(len(one), height)
        days[number, height - count :] = one.days[len(one) - count :]
        for field, column in enumerate((one.open, one.high, one.low, one.close, one.volume)):
            values[field, number, height - count :] = column[len(one) - count :]
    return Panel(days.T, *(np.ascontiguousarray(field.T) for field in values))


def columns_of(panel: Panel, rows: int, rsi_period: int) -> Columns:
    """Return every feature of the panel's last `rows` rows, each (rows, symbols), NaN where it is not known.

    Percentages are 0-100, flags are 0 or 1. Volume is in shares.
    """
    # Divisions by zero mean "not known": a share without volume, a window without a red day.
    with np.errstate(divide="ignore", invalid="ignore"):
        strength, ema9 = rsi(panel.close, rsi_period, HISTORY_BARS), ema(panel.close, 9, HISTORY_BARS)
        columns = _trend(panel, rows, strength, ema9)
        columns |= dip_record(panel.open, panel.high, panel.close, ema9, strength, rows)
        columns["has_divergence"] = _divergence(panel, rows, strength)
        panel = panel.last(rows + LONGEST_WINDOW)
        columns |= _volume(panel, rows, columns["rsi"])
        columns |= _chart_quality(panel, rows)
        columns |= _dip(panel, rows)
        columns |= _candles(panel, rows)
        columns |= _volatility(panel, rows)
        columns["rsi_volume_interaction"] = columns["rsi"] * columns["volume_ratio_20"]
        columns["dip_support_interaction"] = (
            np.abs(columns["dip_depth_from_20d_high_pct"]) * columns["support_distance_pct"]
        )
    return columns


def _trend(panel: Panel, rows: int, strength: Floats, ema9: Floats) -> Columns:
    close = back(panel.close, rows)
    averages = {f"ema{period}": back(ema(panel.close, period, HISTORY_BARS), rows) for period in (20, 50, 200)}
    averages["ema9"] = back(ema9, rows)
    return {
        "close": close,
        "rsi": back(strength, rows),
        **averages,
        "above_ema200": (close > averages["ema200"]).astype(np.float64),
        "ema9_distance_pct": (close / averages["ema9"] - 1) * 100,
        "ret_60d": (close / back(panel.close, rows, 60) - 1) * 100,
        "ret_120d": (close / back(panel.close, rows, 120) - 1) * 100,
        "dist_from_high_252d_pct": (close / rolling_max(panel.high, 252, rows) - 1) * 100,
    }


def _divergence(panel: Panel, rows: int, strength: Floats) -> Floats:
    """Mark the lowest close of the last bars on which RSI stands above its own lowest: the fall loses force."""
    lowest = rolling_min(panel.close[:-1], DIVERGENCE_BARS, rows)
    weakest = rolling_min(strength[:-1], DIVERGENCE_BARS, rows)
    return ((back(panel.close, rows) < lowest) & (back(strength, rows) > weakest)).astype(np.float64)


def _volume(panel: Panel, rows: int, rsi_now: Floats) -> Columns:
    volume = back(panel.volume, rows)
    average = rolling_mean(panel.volume, 50, rows)
    ratio = volume / average
    wanted = np.where(rsi_now < RSI_LOW, VOLUME_RATIO_OK_LOW, VOLUME_RATIO_OK)
    return {
        "avg_volume_50": average,
        "volume_ratio": ratio,
        "vol_ok": (ratio >= wanted).astype(np.float64),
        "volume_ratio_20": np.minimum(volume / rolling_mean(panel.volume, 20, rows), VOLUME_RATIO_CAP),
        "volume_green_vs_red_ratio": _green_to_red(panel, rows),
    }


def _green_to_red(panel: Panel, rows: int) -> Floats:
    """Mean volume of the green days over that of the red days, of the ten days before this one."""

    def mean_volume(marks: Bools) -> Floats:
        traded = np.where(marks, panel.volume, 0.0)
        return rolling_sum(traded, 10, rows, lag=1) / rolling_sum(marks.astype(np.float64), 10, rows, lag=1)

    ratio = mean_volume(panel.close > panel.open) / mean_volume(panel.close < panel.open)
    return np.where(np.isfinite(ratio), ratio, np.nan)


def _chart_quality(panel: Panel, rows: int) -> Columns:
    previous = np.vstack([panel.close[:1] * np.nan, panel.close[:-1]])
    gaps = ((panel.low > previous) | (panel.high < previous)).astype(np.float64)
    lowest = rolling_min(panel.low, 60, rows)
    return {
        "gap_frequency_60": rolling_mean(gaps, 60, rows) * 100,
        "avg_range_pct_60": rolling_mean((panel.high - panel.low) / panel.close * 100, 60, rows),
        "range_60_pct": (rolling_max(panel.high, 60, rows) / lowest - 1) * 100,
        "extreme_candle_frequency_30": _extreme_candles(panel, rows),
    }


def _extreme_candles(panel: Panel, rows: int) -> Floats:
    body = np.abs(panel.close - panel.open)
    limit = EXTREME_BODY_RANGES * rolling_mean(panel.high - panel.low, 30, rows)
    wide = body / panel.open * 100 > EXTREME_BODY_PCT
    count = np.zeros_like(limit)
    for lag in range(30):
        count += (back(body, rows, lag) > limit) | wide[len(wide) - lag - rows : len(wide) - lag]
    return count / 30 * 100


def _dip(panel: Panel, rows: int) -> Columns:
    close = back(panel.close, rows)
    depth = (close / rolling_max(panel.close, 20, rows) - 1) * 100
    # The training data counts the red days up to yesterday.
    red_days = streak(panel.close < panel.open, rows, lag=1)
    return {
        "dip_depth_from_20d_high_pct": depth,
        "consecutive_red_days": red_days,
        "dip_speed_pct_per_day": np.where(red_days > 0, np.abs(depth) / np.maximum(red_days, 1), 0.0),
        "support_distance_pct": (close / rolling_min(panel.close, 20, rows) - 1) * 100,
        "year_low_distance_pct": (close / rolling_min(panel.low, YEAR_BARS, rows) - 1) * 100,
    }


def _candles(panel: Panel, rows: int) -> Columns:
    open_, close = back(panel.open, rows), back(panel.close, rows)
    before_open, before_close = back(panel.open, rows, 1), back(panel.close, rows, 1)
    body = np.abs(close - open_)
    lower = np.minimum(open_, close) - back(panel.low, rows)
    upper = back(panel.high, rows) - np.maximum(open_, close)
    engulfing = (before_close < before_open) & (close > before_open) & (open_ < before_close)
    days = panel.days[len(panel.days) - rows :]
    # 1970-01-01 was a Thursday; Monday is 0.
    weekday = (days.astype(np.int64) + 3) % 7
    return {
        "has_hammer": ((lower > 2 * body) & (upper < 0.8 * body)).astype(np.float64),
        "has_bullish_engulfing": engulfing.astype(np.float64),
        "day_of_week": weekday.astype(np.float64),
    }


def _volatility(panel: Panel, rows: int) -> Columns:
    moves = np.vstack([panel.close[:1] * np.nan, panel.close[1:] / panel.close[:-1] - 1]) * 100
    spread = rolling_mean(panel.high - panel.low, 14, rows)
    return {
        "atr_pct_14": spread / back(panel.close, rows) * 100,
        "hist_vol_20d": rolling_deviation(moves, 20, rows),
    }
