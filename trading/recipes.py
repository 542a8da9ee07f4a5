"""What a model may be: its type, the algorithm behind it, the numbers that can be set. Light: no model is made here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from trading.bars import Floats
from trading.predictor_errors import RecipeRefused
from trading.windows import Bools

VERDICT_CLASSIFIER = "verdict_classifier"
"""Tells the probability that an entry makes GOOD_PNL_PCT."""

PRICE_REGRESSOR = "price_regressor"
"""Tells the most an entry is up in its first twenty sessions, in per cent."""

MODEL_TYPES = (VERDICT_CLASSIFIER, PRICE_REGRESSOR)

BOOSTING, FOREST, LOGISTIC = "hist_gradient_boosting", "random_forest", "logistic_regression"

Number = int | float


class Estimator(Protocol):
    """What the rest of the house needs of a model."""

    def fit(self, x: Floats, y: Floats | Bools, /) -> object:
        """Learn from rows whose answer is known."""
        ...

    def predict(self, x: Floats, /) -> Floats:
        """Return (n,) answers."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """A hyperparameter: its default and the range that may be asked for. An int default takes whole numbers only."""

    default: Number
    low: Number
    high: Number


# Small, slow-learning trees: real skill here is an AUC of about .6, so most of what a big tree finds is noise.
SETTINGS: dict[str, dict[str, Setting]] = {
    BOOSTING: {
        "learning_rate": Setting(0.05, 0.001, 1.0),
        "max_iter": Setting(120, 1, 2000),
        "max_leaf_nodes": Setting(8, 2, 64),
        "min_samples_leaf": Setting(20, 1, 1000),
        "l2_regularization": Setting(1.0, 0.0, 1000.0),
    },
    FOREST: {
        "n_estimators": Setting(100, 1, 500),
        "max_depth": Setting(6, 1, 16),
        "min_samples_leaf": Setting(20, 1, 1000),
    },
    LOGISTIC: {"C": Setting(1.0, 0.0001, 1000.0)},
}

ALGORITHMS = {VERDICT_CLASSIFIER: (BOOSTING, FOREST, LOGISTIC), PRICE_REGRESSOR: (BOOSTING, FOREST)}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a model besides its lessons. hyperparameters: those that differ from the defaults."""

    model_type: str = VERDICT_CLASSIFIER
    algorithm: str = BOOSTING
    seed: int = 7
    hyperparameters: Mapping[str, Number] = field(default_factory=dict)

    def settings(self) -> dict[str, Number]:
        """Return every hyperparameter as it will be used. Raises RecipeRefused."""
        algorithms = ALGORITHMS.get(self.model_type)
        if algorithms is None:
            raise RecipeRefused("model type", self.model_type, " or ".join(MODEL_TYPES))
        if self.algorithm not in algorithms:
            raise RecipeRefused(f"algorithm of a {self.model_type}", self.algorithm, " or ".join(algorithms))
        known = SETTINGS[self.algorithm]
        for name, value in self.hyperparameters.items():
            _check(name, value, known)
        return {name: setting.default for name, setting in known.items()} | dict(self.hyperparameters)


def _check(name: str, value: object, known: Mapping[str, Setting]) -> None:
    setting = known.get(name)
    if setting is None:
        raise RecipeRefused("hyperparameter", name, ", ".join(known))
    kind = "a whole number" if isinstance(setting.default, int) else "a number"
    allowed = (int,) if isinstance(setting.default, int) else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not setting.low <= value <= setting.high:
        raise RecipeRefused(f"hyperparameter {name}", value, f"{kind} from {setting.low} to {setting.high}")
