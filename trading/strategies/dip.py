"""The dip strategy: buy an oversold share after the close, sell it back at its nine-day average or when RSI recovers.

Source: domain 4.1-4.11.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal

import numpy as np

from trading.bars import Bars, Floats
from trading.config import RANGES, TradingConfig
from trading.feature_columns import HISTORY_BARS
from trading.features import FeatureParameters, FeatureTable, Json
from trading.indicators import rsi
from trading.risk import ENTRY_LEG, Intent
from trading.strategies.base import Candidate, Decision, Rejection, price_of
from trading.values import Price, Quantity, Side, Symbol, tick_floor
from trading.windows import Bools

EXIT_RSI = 50.0
"""Above it the dip is over; domain 4.11."""

LIVE_EMA9_WEIGHT = Decimal("0.2")
"""2 / (9 + 1): the share of the newest price in EMA9."""

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
_JOURNALLED = ("rsi", "ema9", "ema200", "above_ema200", "avg_volume_50", "volume_ratio")


class Dip:
    """Mean reversion on daily bars, long only."""

    name = "dip"

    def parameters(self, config: TradingConfig) -> FeatureParameters:
        """Return the feature table this configuration reads."""
        return FeatureParameters(rsi_period=config.rsi_period)

    def candidates(self, table: FeatureTable) -> list[Candidate]:
        """Return the symbols that the loosest allowed configuration would look at, by symbol."""
        columns = table.columns
        highest = _rsi_limit(columns, RANGES["rsi_oversold"][1], RANGES["rsi_extreme_oversold"][1])
        numbers = np.flatnonzero(columns["rsi"] < highest).tolist()
        rows = zip(numbers, table.rows(numbers), strict=True)
        return [
            Candidate(table.symbols[number], table.day, price_of(float(columns["close"][number])), row)
            for number, row in rows
        ]

    def decide(self, candidates: Sequence[Candidate], config: TradingConfig, taken: frozenset[Symbol]) -> Decision:
        """Return what one user buys of the candidates. taken: symbols with an open position or a live order."""
        columns = {name: _column(name, candidates) for name in GATE_FEATURES}
        codes = _first_refusals(gates(columns, config), len(candidates))
        scores = chart_score(columns, config).tolist()
        wanted: list[tuple[Candidate, Quantity, dict[str, Json]]] = []
        rejections: list[Rejection] = []
        for candidate, gate, score in zip(candidates, codes, scores, strict=True):
            quantity = 0 if gate else order_quantity(candidate.close, _volume(candidate), config)
            code = gate or _refusal(candidate, quantity, config, taken)
            facts = _facts(candidate, score)
            if code:
                rejections.append(Rejection(candidate.symbol, code, facts))
            else:
                wanted.append((candidate, quantity, facts))
        wanted.sort(key=lambda item: _rank(item[0], config))
        intents = tuple(_buy(*item, rank) for rank, item in enumerate(wanted, 1))
        return Decision(intents, tuple(sorted(rejections, key=lambda rejection: rejection.symbol)))


def gates(columns: Mapping[str, Floats], config: TradingConfig) -> dict[str, Bools]:
    """Return, for each refusal code in the order they are asked, which entries it refuses.

    columns: GATE_FEATURES, each (n,). The same gates serve a user's candidates and a backtest's days.
    """
    rsi_limit = _rsi_limit(columns, config.rsi_oversold, config.rsi_extreme_oversold)
    missing = np.any([np.isnan(columns[name]) for name in GATE_FEATURES], axis=0)
    low_quality = chart_score(columns, config) < config.chart_quality_min_score
    return {
        "features_missing": missing,
        "not_oversold": ~(columns["rsi"] < rsi_limit),
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


def order_quantity(close: Price, average_volume: float, config: TradingConfig) -> Quantity:
    """Return the shares that fit the capital, the order cap and the share of average volume; 0 if not even one.

    average_volume: shares a day. Source: domain 4.9, without its max(1, ...).
    """
    shares = Decimal(average_volume) * Decimal(str(config.max_position_volume_ratio))
    capital = min(config.user_capital, shares * close, config.max_order_value)
    return int((capital / close).to_integral_value(rounding=ROUND_FLOOR))


def live_ema9(ema9_yesterday: float, last: Price) -> Price:
    """Return EMA9 as it stands with today's last price, not rounded to a tick."""
    return (1 - LIVE_EMA9_WEIGHT) * price_of(ema9_yesterday) + LIVE_EMA9_WEIGHT * last


def exit_limit(ema9_yesterday: float, open_today: Price) -> Price:
    """Return the day's sell limit: EMA9 with today's open as the last price, floored to the tick."""
    return tick_floor(live_ema9(ema9_yesterday, open_today))


def exits_on_rsi(value: float) -> bool:
    """Say whether RSI (0-100) has recovered enough to sell at market. NaN does not sell."""
    return value > EXIT_RSI


def rsi_with(bars: Bars, last: Price, period: int) -> float:
    """Return RSI (0-100) with one more close that is not stored yet.

    bars: of the days before, oldest first. Raises ValueError with fewer than `period` of them.
    """
    if len(bars) < period:
        raise ValueError(f"{bars.symbol}: rsi({period}) needs {period} bars before the last price, not {len(bars)}")
    closes = np.append(bars.close[-(HISTORY_BARS - 1) :], float(last))
    return float(rsi(closes, period)[-1])


def _rsi_limit(columns: Mapping[str, Floats], above: float, below: float) -> Floats:
    return np.where(columns["above_ema200"] == 1.0, above, below)


def _first_refusals(refusals: Mapping[str, Bools], count: int) -> list[str | None]:
    codes: list[str | None] = [None] * count
    for code, refused in reversed(list(refusals.items())):
        for number in np.flatnonzero(refused).tolist():
            codes[number] = code
    return codes


def _column(name: str, candidates: Iterable[Candidate]) -> Floats:
    return np.array([candidate.features.get(name) for candidate in candidates], dtype=np.float64)


def _refusal(candidate: Candidate, quantity: Quantity, config: TradingConfig, taken: frozenset[Symbol]) -> str | None:
    confidence = candidate.confidence
    if config.ml_enabled and confidence is not None and not confidence >= config.ml_confidence_threshold:
        return "ml_confidence"
    if candidate.symbol in taken:
        return "already_held"
    return None if quantity > 0 else "quantity_zero"


def _rank(candidate: Candidate, config: TradingConfig) -> tuple[bool, float, float, Symbol]:
    """Order by confidence, best first, where a model spoke; else by RSI, lowest first; ties by symbol."""
    confidence = candidate.confidence if config.ml_enabled else None
    value = candidate.features["rsi"]
    return (confidence is None, -(confidence or 0.0), 100.0 if value is None else value, candidate.symbol)


def _volume(candidate: Candidate) -> float:
    return candidate.features["avg_volume_50"] or 0.0


def _facts(candidate: Candidate, score: float) -> dict[str, Json]:
    facts: dict[str, Json] = {name: candidate.features.get(name) for name in _JOURNALLED}
    return facts | {
        "day": candidate.day.isoformat(),
        "close": str(candidate.close),
        "chart_score": score if np.isfinite(score) else None,
        "confidence": candidate.confidence,
        "model_version": candidate.model_version,
    }


def _buy(candidate: Candidate, quantity: Quantity, facts: Mapping[str, Json], rank: int) -> Intent:
    return Intent(
        symbol=candidate.symbol,
        side=Side.BUY,
        quantity=quantity,
        order_type="market",
        limit_price=None,
        reference_price=candidate.close,
        rank=rank,
        leg=ENTRY_LEG,
        reason="oversold",
        facts=facts,
    )
