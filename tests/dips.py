"""A share that the default configuration buys: oversold in an uptrend, liquid, on support, with a record."""

from collections.abc import Mapping

DIP: Mapping[str, float | None] = {
    "rsi": 25.0,
    "ema9": 104.0,
    "ema50": 95.0,
    "ema200": 90.0,
    "above_ema200": 1.0,
    "ema9_distance_pct": -3.8,
    "vol_ok": 1.0,
    "avg_volume_50": 1_000_000.0,
    "volume_ratio": 1.3,
    "volume_green_vs_red_ratio": 1.2,
    "consecutive_red_days": 3.0,
    "support_distance_pct": 1.0,
    "year_low_distance_pct": 4.0,
    "has_hammer": 0.0,
    "has_bullish_engulfing": 0.0,
    "has_divergence": 0.0,
    "dip_count_250": 6.0,
    "dip_wins_250": 5.0,
    "dip_gain_pct_250": 12.0,
    "hold_pct_250": 8.0,
    "gap_frequency_60": 0.0,
    "avg_range_pct_60": 3.0,
    "range_60_pct": 30.0,
    "extreme_candle_frequency_30": 0.0,
}
