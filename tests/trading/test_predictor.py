"""The predictor: skill is found on later trades, noise is not, and the same lessons give the same model."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # published without types

from tests.trading.past_trades import START, trades
from trading.lessons import MODEL_FEATURES, Lessons
from trading.predictor import Trained, confidence, predicted_gain, train
from trading.predictor_errors import FeatureRefused, TrainingRefused
from trading.recipes import ALGORITHMS, MODEL_TYPES, PRICE_REGRESSOR, VERDICT_CLASSIFIER, Recipe

KINDS = [Recipe(model_type, algorithm) for model_type in MODEL_TYPES for algorithm in ALGORITHMS[model_type]]


@pytest.fixture(scope="module", autouse=True)
def _on_one_thread() -> Iterator[None]:
    """Train as the step does: on few rows several threads mostly wait for each other, the longer the busier a machine."""
    with threadpool_limits(1):
        yield


_learned: dict[str, Trained] = {}


def learned(recipe: Recipe) -> Trained:
    """Return what a recipe makes of the usual trades, trained once for all who only look at it."""
    if repr(recipe) not in _learned:
        _learned[repr(recipe)] = train(trades(), recipe)
    return _learned[repr(recipe)]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return learned(Recipe())


@pytest.mark.parametrize("recipe", KINDS, ids=lambda one: f"{one.model_type}-{one.algorithm}")
def test_a_skill_in_the_features_is_found_on_later_trades(recipe: Recipe) -> None:
    metrics = learned(recipe).metrics
    skill = metrics["auc" if recipe.model_type == VERDICT_CLASSIFIER else "spearman"]
    assert isinstance(skill, float)
    assert skill > 0.7
    deciles = metrics["pnl_pct_by_decile"]
    assert isinstance(deciles, list)
    assert len(deciles) == 10
    assert deciles[-1] > deciles[0]


def test_every_trade_is_on_one_side_or_purged_and_the_record_says_how_many(trained: Trained) -> None:
    metrics = trained.metrics
    rows = [metrics[name] for name in ("train_rows", "test_rows", "purged_rows")]
    assert rows[0] != 400
    assert sum(count for count in rows if isinstance(count, int)) == metrics["rows"] == 400
    assert metrics["purged_rows"] != 0
    assert {"log_loss", "log_loss_constant", "accuracy", "majority_accuracy", "test_from"} <= set(metrics)


def test_a_gain_is_purged_by_the_day_it_was_known_not_by_the_exit() -> None:
    purged = [learned(Recipe(kind)).metrics["purged_rows"] for kind in (VERDICT_CLASSIFIER, PRICE_REGRESSOR)]
    assert isinstance(purged[0], int)
    assert isinstance(purged[1], int)
    assert purged[1] > purged[0]


def test_a_gain_that_is_not_known_yet_teaches_nothing() -> None:
    lessons = trades()
    gains = lessons.gain_pct.copy()
    gains[-30:] = np.nan
    unknown = replace(lessons, gain_pct=gains)
    metrics = train(unknown, Recipe(PRICE_REGRESSOR)).metrics
    assert (metrics["rows"], metrics["unknown_rows"]) == (370, 30)
    assert train(unknown, Recipe(VERDICT_CLASSIFIER)).metrics["rows"] == 400


@pytest.mark.parametrize("name", ["label", "holding_days", "close"])
def test_a_leaking_column_is_never_trained_on(name: str) -> None:
    leaking = replace(trades(), features=(*MODEL_FEATURES[:-1], name))
    for model_type in MODEL_TYPES:
        with pytest.raises(FeatureRefused, match=repr(name)):
            train(leaking, Recipe(model_type))


def test_noise_is_not_taken_for_skill() -> None:
    auc = train(trades(600, skill=0.0), Recipe()).metrics["auc"]
    assert isinstance(auc, float)
    assert 0.35 < auc < 0.65
    r2 = train(trades(600, skill=0.0), Recipe(PRICE_REGRESSOR)).metrics["r2"]
    assert isinstance(r2, float)
    assert r2 < 0.1


@pytest.mark.parametrize("recipe", KINDS, ids=lambda one: f"{one.model_type}-{one.algorithm}")
def test_the_same_trades_and_recipe_give_the_same_model(recipe: Recipe) -> None:
    first, again = learned(recipe), train(trades(), recipe)
    x = trades(50, seed=2).x
    np.testing.assert_array_equal(first.estimator.predict(x), again.estimator.predict(x))
    assert again.metrics == first.metrics


def test_confidence_is_a_probability_for_every_row_and_none_for_none(trained: Trained) -> None:
    scores = confidence(trained.estimator, trades(50, seed=3).x)
    assert scores.shape == (50,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert confidence(trained.estimator, np.empty((0, len(MODEL_FEATURES)))).shape == (0,)


def test_a_gain_is_foretold_for_every_row_and_none_for_none() -> None:
    regressor = learned(Recipe(PRICE_REGRESSOR)).estimator
    later = trades(50, seed=3)
    assert np.corrcoef(predicted_gain(regressor, later.x), later.gain_pct)[0, 1] > 0.7
    assert predicted_gain(regressor, np.empty((0, len(MODEL_FEATURES)))).shape == (0,)


DAY = np.full(400, START)


@pytest.mark.parametrize(
    ("lessons", "recipe", "what", "count"),
    [
        (trades(199), Recipe(), "trades", 199),
        (trades(0), Recipe(), "trades", 0),
        (replace(trades(), pnl_pct=np.full(400, 5.0)), Recipe(), "classes", 1),
        (replace(trades(), entry_days=DAY, exit_days=DAY, gain_days=DAY), Recipe(), "trades before the test part", 0),
        (replace(trades(), gain_pct=np.full(400, np.nan)), Recipe(PRICE_REGRESSOR), "trades", 0),
    ],
)
def test_too_little_to_learn_from_is_refused_with_the_count(
    lessons: Lessons, recipe: Recipe, what: str, count: int
) -> None:
    with pytest.raises(TrainingRefused, match=f"{count} {what}") as refused:
        train(lessons, recipe)
    assert refused.value.count == count
