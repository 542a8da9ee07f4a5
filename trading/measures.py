"""How good a model is on trades it has not seen, held against knowing nothing. All per hundred, oldest data first."""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import log_loss, roc_auc_score

from trading.bars import Floats
from trading.features import Json
from trading.lessons import Rows
from trading.windows import Bools

DECILES = 10


def classifier_measures(scores: Floats, good: Bools, pnl_pct: Floats, base_share: float) -> dict[str, Json]:
    """Return the skill of probabilities. base_share: of good trades in the training part, what a constant would say.

    Deciles are by score, lowest first. Needs both classes.
    """
    share = float(good.mean())
    parts = _deciles(scores)
    constant = np.full(len(good), base_share)
    return {
        "auc": float(roc_auc_score(good, scores)),
        "log_loss": float(log_loss(good, scores)),
        "log_loss_constant": float(log_loss(good, constant)),
        "brier": float(((scores - good) ** 2).mean()),
        "brier_constant": float(((constant - good) ** 2).mean()),
        "accuracy": float(((scores >= 0.5) == good).mean()),
        "majority_accuracy": max(share, 1 - share),
        "pnl_pct": float(pnl_pct.mean()),
        "pnl_pct_by_decile": _means(pnl_pct, parts),
        "confidence_by_decile": _means(scores, parts),
        "good_share_by_decile": _means(good.astype(np.float64), parts),
    }


def regressor_measures(predicted: Floats, gain_pct: Floats, pnl_pct: Floats, learnt: Floats) -> dict[str, Json]:
    """Return the skill of predicted gains. learnt: gains of the training part; its mean and median are the constants.

    Deciles are by prediction, lowest first.
    """
    parts = _deciles(predicted)
    spread = float(((gain_pct - gain_pct.mean()) ** 2).mean())
    error = float(((predicted - gain_pct) ** 2).mean())
    return {
        "r2": 1 - error / spread if spread else 0.0,
        "spearman": rank_correlation(predicted, gain_pct),
        "mae": float(np.abs(predicted - gain_pct).mean()),
        "mae_mean": float(np.abs(learnt.mean() - gain_pct).mean()),
        "mae_median": float(np.abs(np.median(learnt) - gain_pct).mean()),
        "gain_pct": float(gain_pct.mean()),
        "gain_pct_by_decile": _means(gain_pct, parts),
        "predicted_by_decile": _means(predicted, parts),
        "pnl_pct_by_decile": _means(pnl_pct, parts),
    }


def rank_correlation(first: Floats, second: Floats) -> float:
    """Return Spearman's correlation, -1 to 1; equal values share their mean rank. 0 where one side is constant."""
    ranks = [_ranks(values) for values in (first, second)]
    if not all(one.std() for one in ranks):
        return 0.0
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _ranks(values: Floats) -> Floats:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: Floats = ends - (counts - 1) / 2
    return middle[places]


def _deciles(scores: Floats) -> Sequence[Rows]:
    return np.array_split(np.argsort(scores, kind="stable"), DECILES)


def _means(values: Floats, parts: Sequence[Rows]) -> list[Json]:
    return [float(values[part].mean()) for part in parts]
