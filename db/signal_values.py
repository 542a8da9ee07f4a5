"""A signal's row, from a candidate and what the default configuration makes of it."""

from decimal import Decimal
from typing import Any

from trading.scores import FULL_RECORD, PATTERNS, STRONG_VOLUME, THIN_RECORD, Verdict, alignment_label
from trading.strategies.base import Assessment, Candidate
from trading.targets import TradePlan

CLEAN_CHART = 80.0  # domain 4.4

_OBJECTS = frozenset(
    {
        "ml_probabilities",
        "buy_range",
        "trading_params",
        "chart_quality",
        "timeframe_analysis",
        "signals",
        "justification",
    }
)


def signal_values(candidate: Candidate, found: Assessment | None) -> dict[str, Any]:
    """Return the columns of a signal; None for what the features do not tell. found: None leaves the scores empty.

    An object or list that is not known is left out: given as None it would be stored as JSON's null, which is a value.
    """
    values = {
        "symbol": candidate.symbol,
        "last_close": candidate.close,
        "features": dict(candidate.features),
        **_model(candidate),
        **_chart(candidate),
        **_volume(candidate),
        **_scores(candidate, found),
        **_plan(found.plan if found is not None else None),
    }
    return {name: value for name, value in values.items() if value is not None or name not in _OBJECTS}


def _model(candidate: Candidate) -> dict[str, Any]:
    confidence = candidate.confidence
    return {
        "confidence": confidence,
        "ml_confidence": confidence,
        "ml_model_version": candidate.model_version,
        "ml_verdict": None if confidence is None else ("buy" if confidence >= 0.5 else "avoid"),
        "ml_probabilities": dict(candidate.pinned) or None,
        "ml_predicted_gain": candidate.predicted_gain,
    }


def _chart(candidate: Candidate) -> dict[str, Any]:
    features = candidate.features
    above = features.get("above_ema200")
    return {
        "rsi10": features.get("rsi"),
        "ema9": _price(features.get("ema9")),
        "ema200": _price(features.get("ema200")),
        "distance_to_ema9": features.get("ema9_distance_pct"),
        "is_above_ema200": None if above is None else above == 1.0,
        "monthly_support_dist": features.get("support_distance_pct"),
        "candle_analysis": {name: features.get(name) == 1.0 for name in PATTERNS},
    }


def _volume(candidate: Candidate) -> dict[str, Any]:
    average, ratio = candidate.features.get("avg_volume_50"), candidate.features.get("volume_ratio")
    ok = candidate.features.get("vol_ok")
    return {
        "avg_vol": None if average is None else round(average),
        "today_vol": None if average is None or ratio is None else round(average * ratio),
        "volume_ratio": ratio,
        "vol_ok": None if ok is None else ok == 1.0,
        "vol_strong": None if ratio is None else ratio >= STRONG_VOLUME,
    }


def _scores(candidate: Candidate, found: Assessment | None) -> dict[str, Any]:
    if found is None:
        return dict.fromkeys(_SCORES)
    features = candidate.features
    names = ("gap_frequency_60", "avg_range_pct_60", "range_60_pct", "extreme_candle_frequency_30")
    reasons = [] if found.code is None else [found.code]
    return {
        "verdict": found.verdict.word,
        "final_verdict": found.final.word,
        "rule_verdict": found.rule.word,
        "verdict_source": "rule_based",
        "strength_score": found.strength,
        "backtest_score": found.record,
        "backtest_confidence": _record_confidence(features.get("dip_count_250")),
        "combined_score": found.combined,
        "priority_score": found.priority,
        "clean_chart": None if found.chart is None else found.chart >= CLEAN_CHART,
        "chart_quality": {"score": found.chart, **{name: features.get(name) for name in names}},
        "timeframe_analysis": {"alignment": found.alignment, "label": alignment_label(found.alignment)},
        "signals": [name for name in PATTERNS if features.get(name) == 1.0],
        "justification": reasons if found.verdict < Verdict.BUY or reasons else [found.verdict.word],
    }


_SCORES = (
    "verdict",
    "final_verdict",
    "rule_verdict",
    "verdict_source",
    "strength_score",
    "backtest_score",
    "backtest_confidence",
    "combined_score",
    "priority_score",
    "clean_chart",
    "chart_quality",
    "timeframe_analysis",
    "signals",
    "justification",
)


def _record_confidence(count: float | None) -> str | None:
    if not count:
        return None
    return "High" if count >= FULL_RECORD else "Medium" if count >= THIN_RECORD else "Low"


def _plan(plan: TradePlan | None) -> dict[str, Any]:
    if plan is None:
        return dict.fromkeys(("buy_range", "stop", "target", "trading_params"))
    return {
        "buy_range": {"low": str(plan.buy_low), "high": str(plan.buy_high)},
        "stop": plan.stop,
        "target": plan.target,
        "trading_params": plan.to_json(),
    }


def _price(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(round(value, 4)))
