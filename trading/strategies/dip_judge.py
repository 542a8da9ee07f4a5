"""How one configuration judges a day's candidates: gates, then the model's word, then the verdict and its score."""

from collections.abc import Iterable, Sequence

import numpy as np

from trading.bars import Floats
from trading.config import TradingConfig
from trading.scores import SCORE_FEATURES, Ints, Scores, Verdict, model_verdict, priority, scores
from trading.strategies.base import Assessment, Candidate
from trading.strategies.dip_gates import GATE_FEATURES, chart_score, first_refusals, gates
from trading.targets import TradePlan, trade_plan
from trading.windows import Bools

_COLUMNS = tuple(dict.fromkeys((*GATE_FEATURES, *SCORE_FEATURES)))


def assess(candidates: Sequence[Candidate], config: TradingConfig) -> list[Assessment]:
    """Return what a configuration makes of each candidate, in their order.

    The final verdict alone decides. With a model's word it is the more cautious of both, or, with
    ml_combine_with_rules off, the model's alone; then min_combined_score is not asked either.
    """
    if not candidates:
        return []
    columns = {name: _column(candidate.features.get(name) for candidate in candidates) for name in _COLUMNS}
    refusals = gates(columns, config)
    found = scores(columns, ~np.any(list(refusals.values()), axis=0), config)
    confidence = _column(candidate.spoken(config)[1] for candidate in candidates)
    asked = np.array([candidate.spoken(config)[1] is not None for candidate in candidates])
    verdicts = _verdicts(found, confidence, asked, config)
    codes = first_refusals(refusals | _refusals(candidates, found, verdicts, confidence, asked, config), len(asked))
    plans = [_plan(one, found, verdicts, number, config) for number, one in enumerate(candidates)]
    rewards = _column(None if plan is None else plan.risk_reward for plan in plans)
    chart = chart_score(columns, config)
    ranks = priority(columns, found, rewards, confidence, chart)
    return [
        Assessment(
            verdict=Verdict(int(verdicts[number])),
            rule=Verdict(int(found.rule[number])),
            final=Verdict(int(found.final[number])),
            alignment=float(found.alignment[number]),
            strength=float(found.strength[number]),
            record=_known(found.record[number]),
            combined=float(found.combined[number]),
            priority=float(ranks[number]),
            chart=_known(chart[number]),
            plan=plans[number],
            code=codes[number],
        )
        for number in range(len(candidates))
    ]


def _verdicts(found: Scores, confidence: Floats, asked: Bools, config: TradingConfig) -> Ints:
    model = model_verdict(confidence, config)
    spoken = np.minimum(found.final, model) if config.ml_combine_with_rules else model
    return np.where(asked, spoken, found.final)


def _refusals(
    candidates: Sequence[Candidate],
    found: Scores,
    verdicts: Ints,
    confidence: Floats,
    asked: Bools,
    config: TradingConfig,
) -> dict[str, Bools]:
    """Return what refuses an entry that passed the gates. A pinned version that did not score it refuses it."""
    pinned = config.ml_enabled and config.ml_model_version is not None
    by_rules = ~asked | config.ml_combine_with_rules
    return {
        "ml_version_missing": np.full(len(candidates), pinned) & ~asked,
        "ml_confidence": asked & ~(confidence >= config.ml_confidence_threshold),
        "verdict": verdicts < Verdict.BUY,
        "combined_score": by_rules & (found.combined < config.min_combined_score),
    }


def _plan(candidate: Candidate, found: Scores, verdicts: Ints, number: int, config: TradingConfig) -> TradePlan | None:
    verdict = Verdict(int(verdicts[number]))
    if verdict < Verdict.BUY:
        return None
    aligned, excellent = float(found.alignment[number]), bool(found.excellent[number])
    gain = candidate.predicted_gain
    return trade_plan(candidate.close, candidate.features, verdict, aligned, excellent, gain, config)


def _column(values: Iterable[float | None]) -> Floats:
    return np.array(list(values), dtype=np.float64)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
