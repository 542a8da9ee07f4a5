"""The gates of a dip entry, one code each: the same for a user's candidates and for a backtest's days."""

from collections.abc import Mapping

import numpy as np

from trading.bars import Floats
from trading.config import TradingConfig
from trading.windows import Bools

LIGHT_GAP_PCT = 10.0  # of days; light penalties start here, heavy ones at the configured limit; domain 4.4
LIGHT_RANGE_PCT = 2.0
LIGHT_EXTREME_PCT = 10.0
FLAT_RANGE_60_PCT = 15.0

# What the gates read; a candidate lacking one of these is refused as features_missing.
GATE_FEATURES = (
    "rsi",
    "above_ema200",
    "vol_ok",
    "avg_volume_50",
    "gap_frequency_60",
    "avg_range_pct_60",
    "range_60_pct",
    "extreme_candle_frequency_30",
)


def gates(columns: Mapping[str, Floats], config: TradingConfig) -> dict[str, Bools]:
    """Return, for each refusal code in the order they are asked, which entries it refuses.

    columns: GATE_FEATURES, each (n,).
    """
    limit = rsi_limit(columns, config.rsi_oversold, config.rsi_extreme_oversold)
    missing = np.any([np.isnan(columns[name]) for name in GATE_FEATURES], axis=0)
    low_quality = chart_score(columns, config) < config.chart_quality_min_score
    return {
        "features_missing": missing,
        "not_oversold": ~(columns["rsi"] < limit),
        "volume_low": columns["vol_ok"] != 1.0,
        "illiquid": columns["avg_volume_50"] < config.min_absolute_avg_volume,
        "chart_quality": low_quality & config.chart_quality_enabled,
    }


def chart_score(columns: Mapping[str, Floats], config: TradingConfig) -> Floats:
    """Return how clean a chart is, 20-100: 100 less penalties for gaps, a flat chart and extreme candles.

    The configured percentages are the limits of the heavy penalties. Source: domain 4.4.
    """
    gaps, extremes = columns["gap_frequency_60"], columns["extreme_candle_frequency_30"]
    spread = columns["avg_range_pct_60"]
    flat = (spread < config.chart_quality_min_daily_range_pct) & (columns["range_60_pct"] < FLAT_RANGE_60_PCT)
    score: Floats = 100.0 - (
        np.where(gaps > config.chart_quality_max_gap_frequency, 30, np.where(gaps > LIGHT_GAP_PCT, 15, 0))
        + np.where(flat, 25, np.where(spread < LIGHT_RANGE_PCT, 10, 0))
        + np.where(
            extremes > config.chart_quality_max_extreme_candle_frequency,
            25,
            np.where(extremes > LIGHT_EXTREME_PCT, 15, 0),
        )
    )
    return score


def rsi_limit(columns: Mapping[str, Floats], above: float, below: float) -> Floats:
    """Return the RSI each share must be under: one limit above its EMA200, a deeper one below it."""
    return np.where(columns["above_ema200"] == 1.0, above, below)


def first_refusals(refusals: Mapping[str, Bools], count: int) -> list[str | None]:
    """Return the first code that refuses each entry, None for those that pass all."""
    codes: list[str | None] = [None] * count
    for code, refused in reversed(list(refusals.items())):
        for number in np.flatnonzero(refused).tolist():
            codes[number] = code
    return codes
