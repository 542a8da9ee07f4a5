"""Trains predictors on past trades, measures them on later ones, and asks them about new entries."""

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np

from trading.bars import Floats
from trading.estimators import estimator_of
from trading.features import Json
from trading.lessons import Lessons, check_features, purged_split
from trading.measures import DECILES, classifier_measures, regressor_measures
from trading.predictor_errors import TrainingRefused
from trading.recipes import VERDICT_CLASSIFIER, Estimator, Recipe
from trading.windows import Bools

GOOD_PNL_PCT = 1.0
"""A trade that made this much, net, was worth entering; domain 8.1."""

MIN_ROWS = 200
"""Below it even the test part's base rate is noise."""

_MIN_TEST_ROWS = DECILES  # one trade a decile


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A model fitted on every row, and how one fitted on the earlier rows did on the later ones."""

    estimator: Estimator
    features: tuple[str, ...]
    metrics: dict[str, Json]


def train(lessons: Lessons, recipe: Recipe) -> Trained:
    """Measure a model, then fit it on all rows. Same input, same model. Raises as `measured` does."""
    metrics = measured(lessons, recipe)
    return Trained(fitted(lessons, recipe), lessons.features, metrics)


def measured(lessons: Lessons, recipe: Recipe) -> dict[str, Json]:
    """Return how a model of the earlier trades judges the later ones.

    Raises FeatureRefused, RecipeRefused, and TrainingRefused when a part is too small or holds one class only.
    """
    check_features(lessons.features)
    known = _known(lessons, recipe)
    _check_rows("trades", len(known), MIN_ROWS)
    known_days = known.exit_days if recipe.model_type == VERDICT_CLASSIFIER else known.gain_days
    train_rows, test_rows = purged_split(known.entry_days, known_days)
    _check_rows("trades before the test part", len(train_rows), MIN_ROWS // 2)
    _check_rows("trades in the test part", len(test_rows), _MIN_TEST_ROWS)
    earlier, later = known.take(train_rows), known.take(test_rows)
    split: dict[str, Json] = {
        "rows": len(known),
        "train_rows": len(earlier),
        "test_rows": len(later),
        "purged_rows": len(known) - len(earlier) - len(later),
        "unknown_rows": len(lessons) - len(known),
        "first_entry": str(known.entry_days.min()),
        "test_from": str(later.entry_days.min()),
        "last_entry": str(known.entry_days.max()),
        "columns_not_used": list(lessons.ignored),
    }
    return _skill(earlier, later, recipe) | split


def fitted(lessons: Lessons, recipe: Recipe) -> Estimator:
    """Return a model of all trades whose outcome is known."""
    known = _known(lessons, recipe)
    estimator = estimator_of(recipe)
    estimator.fit(known.x, _answers(known, recipe))
    return estimator


def confidence(estimator: Estimator, x: Floats) -> Floats:
    """Return the probability, 0-1, that each entry makes GOOD_PNL_PCT. x: (n, k) in the features' order."""
    if not len(x):
        return np.empty(0)
    return np.asarray(cast("_Classifier", estimator).predict_proba(x)[:, 1], dtype=np.float64)


def predicted_gain(estimator: Estimator, x: Floats) -> Floats:
    """Return the most each entry may be up in its first twenty sessions, in per cent. x: as for `confidence`."""
    return np.asarray(estimator.predict(x), dtype=np.float64) if len(x) else np.empty(0)


class _Classifier(Protocol):
    def predict_proba(self, x: Floats, /) -> Floats: ...


def _skill(earlier: Lessons, later: Lessons, recipe: Recipe) -> dict[str, Json]:
    answers, truth = _answers(earlier, recipe), _answers(later, recipe)
    if recipe.model_type == VERDICT_CLASSIFIER:
        for part, classes in (("before", answers), ("in", truth)):
            _check_rows(f"classes {part} the test part", len(np.unique(classes)), 2)
        scores = confidence(fitted(earlier, recipe), later.x)
        return classifier_measures(scores, truth.astype(np.bool_), later.pnl_pct, float(answers.mean()))
    return regressor_measures(
        predicted_gain(fitted(earlier, recipe), later.x), later.gain_pct, later.pnl_pct, earlier.gain_pct
    )


def _known(lessons: Lessons, recipe: Recipe) -> Lessons:
    """Return the trades whose outcome is known: a classifier's always is."""
    return lessons if recipe.model_type == VERDICT_CLASSIFIER else lessons.take(np.isfinite(lessons.gain_pct))


def _answers(lessons: Lessons, recipe: Recipe) -> Floats | Bools:
    return lessons.pnl_pct >= GOOD_PNL_PCT if recipe.model_type == VERDICT_CLASSIFIER else lessons.gain_pct


def _check_rows(what: str, count: int, needed: int) -> None:
    if count < needed:
        raise TrainingRefused(what, count, needed)
