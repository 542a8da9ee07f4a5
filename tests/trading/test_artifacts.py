"""Artefacts: the same predictions come back, and no foreign, changed or outdated bytes become a model."""

import hashlib
import pickle

import numpy as np
import pytest
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from tests.trading.past_trades import trades
from trading.artifacts import LIBRARY_VERSION, from_artifact, opened, to_artifact
from trading.estimators import estimator_of
from trading.lessons import MODEL_FEATURES
from trading.predictor import fitted
from trading.predictor_errors import ArtifactRefused, FeatureRefused
from trading.recipes import ALGORITHMS, MODEL_TYPES, PRICE_REGRESSOR, VERDICT_CLASSIFIER, Recipe

COLUMNS = len(MODEL_FEATURES)
KINDS = [Recipe(model_type, algorithm) for model_type in MODEL_TYPES for algorithm in ALGORITHMS[model_type]]


@pytest.fixture(scope="module")
def data() -> bytes:
    return to_artifact(fitted(trades(), Recipe()))


@pytest.mark.parametrize("recipe", KINDS, ids=lambda one: f"{one.model_type}-{one.algorithm}")
def test_an_artefact_gives_back_the_same_predictions(recipe: Recipe) -> None:
    model = fitted(trades(), recipe)
    again = from_artifact(to_artifact(model), recipe.model_type, COLUMNS)
    x = trades(80, seed=4).x
    np.testing.assert_array_equal(again.predict(x), model.predict(x))


def test_a_pickle_or_rubbish_is_refused_unread(data: bytes) -> None:
    for other in (pickle.dumps(estimator_of(Recipe())), b"", b"rubbish", data[:-100]):
        with pytest.raises(ArtifactRefused, match="cannot be read"):
            from_artifact(other, VERDICT_CLASSIFIER, COLUMNS)


class Foreign:
    """A type nobody has vouched for."""

    def __init__(self) -> None:
        self.value = 1


def test_a_foreign_type_is_refused_by_name() -> None:
    with pytest.raises(ArtifactRefused, match="Foreign"):
        from_artifact(skops.io.dumps(Foreign()), VERDICT_CLASSIFIER, COLUMNS)


def test_another_kind_of_model_is_refused(data: bytes) -> None:
    lessons = trades()
    x, good = np.nan_to_num(lessons.x), lessons.pnl_pct > 1
    with pytest.raises(ArtifactRefused, match="it is a LogisticRegression"):
        from_artifact(skops.io.dumps(LogisticRegression().fit(x, good)), VERDICT_CLASSIFIER, COLUMNS)
    steps = make_pipeline(MinMaxScaler(), LogisticRegression()).fit(x, good)
    with pytest.raises(ArtifactRefused, match="pipeline of other steps"):
        from_artifact(skops.io.dumps(steps), VERDICT_CLASSIFIER, COLUMNS)
    with pytest.raises(ArtifactRefused, match="no price_regressor"):
        from_artifact(data, PRICE_REGRESSOR, COLUMNS)
    with pytest.raises(ArtifactRefused, match="not trained on 17 features"):
        from_artifact(data, VERDICT_CLASSIFIER, 17)


@pytest.mark.parametrize(
    ("field", "value"), [("left", 9_999), ("right", 0), ("feature_idx", 99), ("is_categorical", 1)]
)
def test_a_tree_that_points_outside_itself_is_refused(field: str, value: int) -> None:
    lessons = trades()
    model = HistGradientBoostingClassifier(max_iter=2, early_stopping=False).fit(lessons.x, lessons.pnl_pct > 1)
    model._predictors[0][0].nodes[field][0] = value
    with pytest.raises(ArtifactRefused, match="a tree"):
        from_artifact(skops.io.dumps(model), VERDICT_CLASSIFIER, COLUMNS)


@pytest.mark.parametrize(("field", "value"), [("left_child", 9_999), ("right_child", 0), ("feature", 99)])
def test_a_tree_of_a_forest_that_points_outside_itself_is_refused(field: str, value: int) -> None:
    lessons = trades()
    model = RandomForestClassifier(2, max_depth=3).fit(lessons.x, lessons.pnl_pct > 1)
    tree = model.estimators_[0].tree_
    state = tree.__getstate__()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    with pytest.raises(ArtifactRefused, match="a tree"):
        from_artifact(skops.io.dumps(model), VERDICT_CLASSIFIER, COLUMNS)


def test_a_version_is_opened_only_when_all_that_is_known_of_it_holds(data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    major, minor, *_ = LIBRARY_VERSION.split(".")
    assert opened(data, sha256, VERDICT_CLASSIFIER, MODEL_FEATURES, f"{major}.{minor}.99") is not None
    with pytest.raises(ArtifactRefused, match="do not have the hash"):
        opened(data + b"x", sha256, VERDICT_CLASSIFIER, MODEL_FEATURES, LIBRARY_VERSION)
    with pytest.raises(ArtifactRefused, match=r"scikit-learn 0\.1\.0 made it.*train the model again"):
        opened(data, sha256, VERDICT_CLASSIFIER, MODEL_FEATURES, "0.1.0")
    with pytest.raises(FeatureRefused, match="'label'"):
        opened(data, sha256, VERDICT_CLASSIFIER, (*MODEL_FEATURES[:-1], "label"), LIBRARY_VERSION)
