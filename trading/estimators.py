"""Makes the models that recipes name. All are deterministic for a seed, and none starts a thread of its own."""

from collections.abc import Callable
from typing import cast

from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from trading.recipes import BOOSTING, FOREST, LOGISTIC, PRICE_REGRESSOR, VERDICT_CLASSIFIER, Estimator, Recipe


def estimator_of(recipe: Recipe) -> Estimator:
    """Return a model that has learnt nothing yet. Raises RecipeRefused."""
    settings = recipe.settings()
    make = _MAKERS[recipe.model_type, recipe.algorithm]
    return cast("Estimator", make(random_state=recipe.seed, **settings))


def _logistic_regression(random_state: int, C: float) -> object:  # noqa: N803 - its name in scikit-learn and in papers
    fill = SimpleImputer(strategy="median", keep_empty_features=True)
    return make_pipeline(fill, StandardScaler(), LogisticRegression(C=C, max_iter=1000, random_state=random_state))


_MAKERS: dict[tuple[str, str], Callable[..., object]] = {
    (VERDICT_CLASSIFIER, BOOSTING): lambda **a: HistGradientBoostingClassifier(early_stopping=False, **a),
    (VERDICT_CLASSIFIER, FOREST): lambda **a: RandomForestClassifier(max_features="sqrt", **a),
    (VERDICT_CLASSIFIER, LOGISTIC): _logistic_regression,
    (PRICE_REGRESSOR, BOOSTING): lambda **a: HistGradientBoostingRegressor(early_stopping=False, **a),
    (PRICE_REGRESSOR, FOREST): lambda **a: RandomForestRegressor(max_features=1 / 3, **a),
}
