"""What a dip is worth: alignment, strength, record, combined score, verdict and priority, for many candidates at once.

Scores read features and the user's thresholds. The final verdict alone decides what is bought; nothing here does.
Source: domain 4.3, 4.6, 4.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from trading.bars import Floats
from trading.config import TradingConfig
from trading.windows import Bools

Ints = npt.NDArray[np.int64]
Columns = Mapping[str, Floats]


class Verdict(IntEnum):
    """How good an entry is, worst first, so that the more cautious of two is the smaller."""

    AVOID = 0
    WATCH = 1
    BUY = 2
    STRONG_BUY = 3

    @property
    def word(self) -> str:
        """Return the word that tables and people use."""
        return self.name.lower()


# A column that is not known is NaN, and NaN reaches no threshold: it earns no points.
SCORE_FEATURES = (
    "rsi",
    "above_ema200",
    "ema50",
    "ema200",
    "ema9_distance_pct",
    "vol_ok",
    "volume_ratio",
    "volume_green_vs_red_ratio",
    "consecutive_red_days",
    "support_distance_pct",
    "year_low_distance_pct",
    "has_hammer",
    "has_bullish_engulfing",
    "has_divergence",
    "dip_count_250",
    "dip_wins_250",
    "dip_gain_pct_250",
    "hold_pct_250",
)
PATTERNS = ("has_hammer", "has_bullish_engulfing", "has_divergence")

STRONG_VOLUME = 1.2  # of the average; domain 4.5
STRONG_SUPPORT_PCT = 3.0  # above the lowest close of 20 bars; domain 4.6
SUPPORT_PCT = 5.0
TIRED_RED_DAYS = 3  # falling days in a row after which sellers tire
STRETCHED_PCT = -3.0  # under EMA9: a reversion has somewhere to go
MAX_ALIGNMENT = 10.0
MAX_STRENGTH = 25.0
FULL_RECORD = 5  # dips from which a record is judged by its own thresholds; domain 4.7
THIN_RECORD = 3


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One value a candidate, each (n,). alignment 0-10, strength 0-25, record and combined 0-100, verdicts as Verdict.

    record is NaN where no dip of the last year is known; combined then is strength alone, on its scale of 0-100.
    excellent marks the uptrend dip onto support that the largest target is for.
    """

    alignment: Floats
    strength: Floats
    record: Floats
    combined: Floats
    excellent: Bools
    rule: Ints
    final: Ints


def scores(columns: Columns, entry: Bools, config: TradingConfig) -> Scores:
    """Return the scores of candidates. columns: SCORE_FEATURES, each (n,). entry: (n,) who passes the entry gates."""
    with np.errstate(invalid="ignore", divide="ignore"):
        aligned = alignment(columns, config)
        excellent = excellent_dip(columns, config)
        rule = rule_verdict(columns, entry, aligned, excellent)
        strong = strength(columns, rule, aligned, config)
        past = record_score(columns)
        own = strong / MAX_STRENGTH * 100
        combined: Floats = np.where(np.isnan(past), own, (own + past) / 2)
        final = final_verdict(columns, rule, past, combined)
    return Scores(aligned, strong, past, combined, excellent, rule, final)


def alignment(columns: Columns, config: TradingConfig) -> Floats:
    """Return how many time frames speak for a turn, 0-10.

    The weekly frame is read off daily bars: EMA50 over EMA200 is its trend, the low of fifty weeks its support. Below
    rsi_near_oversold counts one point, below the two entry limits two and three.
    """
    value, support = columns["rsi"], columns["support_distance_pct"]
    bands = (config.rsi_near_oversold, config.rsi_oversold, config.rsi_extreme_oversold)
    oversold = sum((value < band).astype(np.float64) for band in bands)
    weekly = _uptrend(columns) * (1.0 + (columns["year_low_distance_pct"] <= SUPPORT_PCT))
    daily = 1.0 * (support <= STRONG_SUPPORT_PCT) + (support <= SUPPORT_PCT)
    volume = columns["volume_green_vs_red_ratio"]
    dry = 1.0 * (volume >= 1.0) + (volume >= 1.5)
    tired = 1.0 * (columns["consecutive_red_days"] >= TIRED_RED_DAYS)
    set_up = 1.0 * ((columns["above_ema200"] == 1.0) & (columns["ema9_distance_pct"] <= STRETCHED_PCT))
    total: Floats = np.minimum(oversold + weekly + daily + dry + tired + set_up, MAX_ALIGNMENT)
    return total


def excellent_dip(columns: Columns, config: TradingConfig) -> Bools:
    """Mark dips in a long uptrend that fell into extreme oversold right onto support."""
    deep = columns["rsi"] < config.rsi_extreme_oversold
    on_support = columns["support_distance_pct"] <= STRONG_SUPPORT_PCT
    marked: Bools = (_uptrend(columns) == 1.0) & (columns["above_ema200"] == 1.0) & deep & on_support
    return marked


def rule_verdict(columns: Columns, entry: Bools, aligned: Floats, excellent: Bools) -> Ints:
    """Return what the rules say of each chart. entry: who passes the entry gates. Source: domain 4.3."""
    patterned = np.any([columns[name] == 1.0 for name in PATTERNS], axis=0)
    above = columns["above_ema200"] == 1.0
    supported = (aligned >= 6) | patterned | (columns["volume_ratio"] >= STRONG_VOLUME)
    return np.select(
        [entry & above & ((aligned >= 8) | excellent), entry & (above | supported), entry],
        [Verdict.STRONG_BUY, Verdict.BUY, Verdict.WATCH],
        np.where(patterned & (columns["vol_ok"] == 1.0), Verdict.WATCH, Verdict.AVOID),
    ).astype(np.int64)


def strength(columns: Columns, rule: Ints, aligned: Floats, config: TradingConfig) -> Floats:
    """Return how much today's chart speaks for an entry, 0-25. Source: domain 4.7; the RSI bonus is 1-3."""
    value = columns["rsi"]
    base = np.select([rule == Verdict.STRONG_BUY, rule == Verdict.BUY], [10.0, 5.0], -1.0)
    patterns = 2.0 * np.sum([columns[name] == 1.0 for name in PATTERNS], axis=0)
    middle = (config.rsi_oversold + config.rsi_extreme_oversold) / 2
    bands = (config.rsi_oversold, middle, config.rsi_extreme_oversold)
    oversold = sum((value < band).astype(np.float64) for band in bands)
    frames = np.select([aligned >= 8, aligned >= 6, aligned >= 4], [8.0, 5.0, 3.0], 0.0)
    total = base + patterns + oversold + frames + (columns["volume_ratio"] >= STRONG_VOLUME)
    clipped: Floats = np.clip(total, 0.0, MAX_STRENGTH)
    return clipped


def record_score(columns: Columns) -> Floats:
    """Return how the share came out of its dips of the last year, 0-100; NaN where it had none.

    40 % the sum of gains (10 % make half the points), 40 % the share of winners, 20 % the lead over holding on (level
    with it makes half the points). A thin record counts for less. Source: domain 4.7.
    """
    count, gain = columns["dip_count_250"], columns["dip_gain_pct_250"]
    gains = np.where(gain <= 10, gain * 5, 50 + (gain - 10) * 2.5)
    winners = np.clip(columns["dip_wins_250"] / count * 100, 0, 100)
    lead = 50 + 2.5 * (gain - columns["hold_pct_250"])
    held = np.where(np.isnan(lead), 50.0, np.clip(lead, 0, 100))
    points = 0.4 * np.clip(gains, 0, 100) + 0.4 * winners + 0.2 * held
    thin = np.where(count < THIN_RECORD, 0.8 + count / 10, 1.0)
    return np.where(count > 0, points * thin, np.nan)


def final_verdict(columns: Columns, rule: Ints, past: Floats, combined: Floats) -> Ints:
    """Return the verdict that decides: the rules', judged again by the record where there is one.

    The deeper the dip, the lower the bar. Source: domain 4.7, its table of thresholds.
    """
    value = columns["rsi"]
    factor = np.select([value < 20, value < 25, value < 30], [0.7, 0.8, 0.9], 1.0)
    full = columns["dip_count_250"] >= FULL_RECORD

    def bar(with_record: float, with_less: float) -> Floats:
        limit: Floats = np.where(full, with_record, with_less) * factor
        return limit

    strong = ((past >= bar(60, 65)) & (combined >= bar(35, 42))) | (combined >= bar(60, 65))
    buy = ((past >= bar(35, 40)) & (combined >= bar(22, 28))) | (combined >= bar(35, 45))
    judged = np.select([strong, buy], [Verdict.STRONG_BUY, Verdict.BUY], Verdict.WATCH)
    return np.where((rule >= Verdict.BUY) & ~np.isnan(past), judged, rule).astype(np.int64)


def model_verdict(confidence: Floats, config: TradingConfig) -> Ints:
    """Return what a model says: strong from 0.70, buy from the user's threshold, else avoid. Source: domain 8.1."""
    threshold = config.ml_confidence_threshold
    strong = confidence >= max(0.70, threshold)
    return np.select([strong, confidence >= threshold], [Verdict.STRONG_BUY, Verdict.BUY], Verdict.AVOID).astype(
        np.int64
    )


def priority(columns: Columns, found: Scores, risk_reward: Floats, confidence: Floats, chart: Floats) -> Floats:
    """Return what is served first, higher first. confidence, risk_reward: NaN where not known. Source: domain 4.7."""
    with np.errstate(invalid="ignore"):
        value, volume = columns["rsi"], columns["volume_ratio"]
        total = np.select([risk_reward >= 4, risk_reward >= 3, risk_reward >= 2, risk_reward >= 1.5], [40, 30, 20, 10])
        total = total + np.select([value <= 15, value <= 20, value <= 25, value <= 30], [25, 20, 15, 10])
        total = total + np.select([volume >= 1.5, volume >= 1.2, volume >= 1.0, volume >= 0.6], [20, 15, 10, 5])
        total = total + np.select([found.record >= 60, found.record >= 40, found.record >= 20], [15, 10, 5])
        total = total + np.select([chart >= 80, chart >= 60, chart >= 50], [10, 7, 5])
        total = total + np.select([confidence >= 0.7, confidence >= 0.6, confidence >= 0.5], [20, 10, 5])
        return np.asarray(total + found.alignment, dtype=np.float64)


def alignment_label(value: float) -> str:
    """Return the word for an alignment."""
    labels = ((8, "excellent"), (6, "good"), (4, "fair"), (2, "weak"))
    return next((label for least, label in labels if value >= least), "poor")


def _uptrend(columns: Columns) -> Floats:
    return (columns["ema50"] > columns["ema200"]).astype(np.float64)
