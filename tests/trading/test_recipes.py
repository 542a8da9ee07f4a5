"""Recipes: what cannot be made is refused by name, and every setting has a range."""

from typing import Any

import pytest

from trading.predictor_errors import RecipeRefused
from trading.recipes import ALGORITHMS, BOOSTING, LOGISTIC, MODEL_TYPES, PRICE_REGRESSOR, SETTINGS, Recipe


def test_what_is_not_asked_for_is_the_default() -> None:
    settings = Recipe(hyperparameters={"max_iter": 50}).settings()
    assert settings == {name: one.default for name, one in SETTINGS[BOOSTING].items()} | {"max_iter": 50}


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_every_algorithm_of_a_type_has_settings_within_their_own_ranges(model_type: str) -> None:
    for algorithm in ALGORITHMS[model_type]:
        defaults = Recipe(model_type, algorithm).settings()
        assert Recipe(model_type, algorithm, hyperparameters=defaults).settings() == defaults


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (Recipe("oracle"), "model type 'oracle': use verdict_classifier or price_regressor"),
        (Recipe(PRICE_REGRESSOR, LOGISTIC), "algorithm of a price_regressor 'logistic_regression': use hist_gradient"),
        (Recipe(hyperparameters={"depth": 3}), "hyperparameter 'depth': use learning_rate, max_iter"),
        (Recipe(hyperparameters={"max_iter": 0}), "max_iter 0: use a whole number from 1 to 2000"),
        (Recipe(hyperparameters={"max_iter": 1.5}), "max_iter 1.5: use a whole number"),
        (Recipe(hyperparameters={"learning_rate": float("nan")}), "learning_rate nan: use a number"),
    ],
)
def test_what_cannot_be_made_is_refused_with_what_can(recipe: Recipe, said: str) -> None:
    with pytest.raises(RecipeRefused) as refused:
        recipe.settings()
    assert str(refused.value).startswith(said) or said in str(refused.value)


@pytest.mark.parametrize("value", [True, "100", None])
def test_a_hyperparameter_is_a_number(value: Any) -> None:
    with pytest.raises(RecipeRefused):
        Recipe(hyperparameters={"max_iter": value}).settings()
