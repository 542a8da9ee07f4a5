"""The trained judge of dip entries: what it may see, how it is split, trained and measured, and its safe artefact.

PredictorError
├── FeatureRefused    refuse: a column that is not known when the decision is made
├── TrainingRefused   refuse: too little to learn from
└── ArtifactRefused   stop: bytes that are not a model of ours
"""

# ruff: noqa: N818 - a name says what happened; the tree says that it is an error

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

from trading.backtest import DipTrades
from trading.bars import Days, Floats
from trading.errors import TradingError
from trading.features import Json
from trading.windows import Bools

MODEL_FEATURES = (
    "rsi",
    "ema9_distance_pct",
    "volume_ratio_20",
    "volume_green_vs_red_ratio",
    "support_distance_pct",
    "dip_depth_from_20d_high_pct",
    "consecutive_red_days",
    "dip_speed_pct_per_day",
    "has_hammer",
    "has_bullish_engulfing",
    "day_of_week",
    "atr_pct_14",
    "hist_vol_20d",
    "ret_60d",
    "ret_120d",
    "dist_from_high_252d_pct",
    "rsi_volume_interaction",
    "dip_support_interaction",
)
"""The allow-list: known at the signal's close, and free of scale. A new column is refused until it is named here."""

GOOD_PNL_PCT = 1.0
"""A trade that made this much, net, was worth entering; domain 8.1."""

MIN_ROWS = 200
"""Below it even the test part's base rate is noise."""

DECILES = 10
_MIN_TEST_ROWS = DECILES  # one trade a decile

_TRUSTED_TYPES = frozenset({"sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"})

Rows = npt.NDArray[np.intp]


class PredictorError(TradingError):
    """Any error of the predictor."""


class FeatureRefused(PredictorError):
    """A column outside the allow-list: an outcome, or one nobody has vouched for."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"feature {name!r} is not known at the decision; use only: {', '.join(MODEL_FEATURES)}")


class TrainingRefused(PredictorError):
    """Too little to learn from. count: what there is of it."""

    def __init__(self, what: str, count: int, needed: int) -> None:
        self.what, self.count, self.needed = what, count, needed
        super().__init__(f"{count} {what}, {needed} needed; train on more symbols or a longer past")


class ArtifactRefused(PredictorError):
    """Bytes that are not a model of ours, or that could harm the process that loads them."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"model artefact refused: {reason}; train the model again")


class Estimator(Protocol):
    """What the rest of the house needs of a model."""

    def predict_proba(self, x: Floats, /) -> Floats:
        """Return (n, 2) probabilities of a bad and a good trade."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Past trades to learn from. x: (n, k) in the order of features, NaN where not known. The rest: (n,)."""

    x: Floats
    pnl_pct: Floats
    entry_days: Days
    exit_days: Days
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A model fitted on every row, and how one fitted on the earlier rows did on the later ones."""

    estimator: Estimator
    features: tuple[str, ...]
    metrics: dict[str, Json]


def check_features(names: Iterable[str]) -> None:
    """Raise FeatureRefused, naming the first column that is not on the allow-list."""
    for name in names:
        if name not in MODEL_FEATURES:
            raise FeatureRefused(name)


def dataset_of(trades: Sequence[DipTrades], features: tuple[str, ...] = MODEL_FEATURES) -> Dataset:
    """Return the trades of many symbols as one dataset, by entry day, then symbol. Raises FeatureRefused."""
    check_features(features)
    trades = sorted((one for one in trades if len(one)), key=lambda one: one.symbol)
    if not trades:
        none = np.empty(0, dtype="datetime64[D]")
        return Dataset(np.empty((0, len(features))), np.empty(0), none, none, features)
    entry_days = np.concatenate([one.entry_day for one in trades])
    order = np.argsort(entry_days, kind="stable")
    columns = [np.concatenate([one.features[name] for one in trades]) for name in features]
    return Dataset(
        np.column_stack(columns)[order],
        np.concatenate([one.pnl_pct for one in trades])[order],
        entry_days[order],
        np.concatenate([one.exit_day for one in trades])[order],
        features,
    )


def purged_split(entry_days: Days, exit_days: Days, test_share: float = 0.2) -> tuple[Rows, Rows]:
    """Return the row numbers to train on and to test on.

    The test part is the last `test_share` of entries, one day never being cut in two. A trade that was still open when
    the test part began is in neither: its outcome was not known yet.
    """
    if not len(entry_days):
        return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp)
    start = np.sort(entry_days)[min(int(len(entry_days) * (1 - test_share)), len(entry_days) - 1)]
    return np.flatnonzero((entry_days < start) & (exit_days < start)), np.flatnonzero(entry_days >= start)


def train(dataset: Dataset, seed: int) -> Trained:
    """Measure a model on the purged last part of the trades, then fit it on all of them. Same input, same model.

    Raises FeatureRefused, and TrainingRefused when a part is too small or holds one class only.
    """
    check_features(dataset.features)
    good = dataset.pnl_pct >= GOOD_PNL_PCT
    _check_rows("trades", len(good), MIN_ROWS)
    train_rows, test_rows = purged_split(dataset.entry_days, dataset.exit_days)
    _check_rows("trades before the test part", len(train_rows), MIN_ROWS // 2)
    _check_rows("trades in the test part", len(test_rows), _MIN_TEST_ROWS)
    for part, rows in (("before", train_rows), ("in", test_rows)):
        _check_rows(f"classes {part} the test part", len(np.unique(good[rows])), 2)
    measured = _fitted(dataset.x[train_rows], good[train_rows], seed)
    scores = confidence(measured, dataset.x[test_rows])
    metrics = _metrics(scores, good[test_rows], dataset.pnl_pct[test_rows])
    metrics |= {
        "rows": len(good),
        "train_rows": len(train_rows),
        "test_rows": len(test_rows),
        "purged_rows": len(good) - len(train_rows) - len(test_rows),
        "test_from": str(dataset.entry_days[test_rows].min()),
    }
    return Trained(_fitted(dataset.x, good, seed), dataset.features, metrics)


def confidence(estimator: Estimator, x: Floats) -> Floats:
    """Return the probability, 0-1, that each entry makes GOOD_PNL_PCT. x: (n, k) in the features' order."""
    if not len(x):
        return np.empty(0)
    return np.asarray(estimator.predict_proba(x)[:, 1], dtype=np.float64)


def to_artifact(trained: Trained) -> bytes:
    """Return the model as bytes that hold data only: reading them runs no code."""
    return cast("bytes", skops.io.dumps(trained.estimator))


def from_artifact(data: bytes) -> Estimator:
    """Return the model in the bytes. Check their SHA-256 first. Raises ArtifactRefused."""
    try:
        foreign = sorted(set(skops.io.get_untrusted_types(data=data)) - _TRUSTED_TYPES)
        if foreign:
            raise ArtifactRefused(f"it holds {', '.join(foreign)}")
        estimator = skops.io.loads(data, trusted=sorted(_TRUSTED_TYPES))
    except (BadZipFile, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise ArtifactRefused(f"it cannot be read ({type(error).__name__}: {error})") from error
    if not isinstance(estimator, HistGradientBoostingClassifier):
        raise ArtifactRefused(f"it is a {type(estimator).__name__}")
    _check_trees(estimator)
    return cast("Estimator", estimator)


def _fitted(x: Floats, good: Bools, seed: int) -> Estimator:
    """Small, slow-learning trees: real skill here is an AUC of about .6, so most of what a big tree finds is noise."""
    estimator = HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=120,
        max_leaf_nodes=8,
        min_samples_leaf=20,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    return cast("Estimator", estimator.fit(x, good))


def _metrics(scores: Floats, good: Bools, pnl_pct: Floats) -> dict[str, Json]:
    share = float(good.mean())
    by_score = np.array_split(pnl_pct[np.argsort(scores, kind="stable")], DECILES)
    return {
        "auc": float(roc_auc_score(good, scores)),
        "log_loss": float(log_loss(good, scores)),
        "accuracy": float(((scores >= 0.5) == good).mean()),
        "majority_accuracy": max(share, 1 - share),
        "pnl_pct_by_decile": [float(part.mean()) for part in by_score],
    }


def _check_rows(what: str, count: int, needed: int) -> None:
    if count < needed:
        raise TrainingRefused(what, count, needed)


def _check_trees(estimator: HistGradientBoostingClassifier) -> None:
    """Refuse node numbers that point outside a tree: scikit-learn follows them without looking (skops 0.16 warns)."""
    columns = estimator.n_features_in_
    for stage in estimator._predictors:  # noqa: SLF001 - the trees have no public name
        for tree in stage:
            nodes = tree.nodes
            inner = nodes[nodes["is_leaf"] == 0]
            numbers = np.arange(len(nodes))[nodes["is_leaf"] == 0]
            forward = all(
                (inner[side] > numbers).all() and (inner[side] < len(nodes)).all() for side in ("left", "right")
            )
            if not len(nodes) or not forward or not (inner["feature_idx"] < columns).all():
                raise ArtifactRefused("a tree points outside itself")
            if nodes["is_categorical"].any() or (inner["feature_idx"] < 0).any():
                raise ArtifactRefused("a tree splits on something that is not a number")
