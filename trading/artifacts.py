"""Trained models as bytes that hold data only, and the checks that stand before any of them is used."""

import hashlib
from collections.abc import Sequence
from typing import Any, cast
from zipfile import BadZipFile

import numpy as np
import sklearn
import skops.io
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from trading.lessons import check_features
from trading.predictor_errors import ArtifactRefused
from trading.recipes import PRICE_REGRESSOR, VERDICT_CLASSIFIER, Estimator

LIBRARY_VERSION: str = sklearn.__version__

# What a reader may build besides plain data. Trees are checked node by node, for scikit-learn follows them blindly.
_TRUSTED_TYPES = frozenset(
    {"sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "sklearn.tree._tree.Tree", "numpy.dtype"}
)
_KINDS: dict[str, tuple[type, ...]] = {
    VERDICT_CLASSIFIER: (HistGradientBoostingClassifier, RandomForestClassifier, Pipeline),
    PRICE_REGRESSOR: (HistGradientBoostingRegressor, RandomForestRegressor),
}
_PIPELINE = [SimpleImputer, StandardScaler, LogisticRegression]


def to_artifact(estimator: Estimator) -> bytes:
    """Return a model as bytes that hold data only: reading them runs no code."""
    return cast("bytes", skops.io.dumps(estimator))


def opened(data: bytes, sha256: str, model_type: str, features: Sequence[str], library_version: str) -> Estimator:
    """Return the model of a stored version, once all that is known of it holds.

    library_version: of scikit-learn, which made it; a model is good for the same major and minor version.
    Raises ArtifactRefused, FeatureRefused.
    """
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ArtifactRefused(f"its bytes do not have the hash {sha256}")
    check_features(features)
    if _line(library_version) != _line(LIBRARY_VERSION):
        raise ArtifactRefused(f"scikit-learn {library_version} made it, and this is {LIBRARY_VERSION}")
    return from_artifact(data, model_type, len(features))


def from_artifact(data: bytes, model_type: str, columns: int) -> Estimator:
    """Return the model in the bytes. Check their SHA-256 first: `opened` does. Raises ArtifactRefused."""
    try:
        foreign = sorted(set(skops.io.get_untrusted_types(data=data)) - _TRUSTED_TYPES)
        if foreign:
            raise ArtifactRefused(f"it holds {', '.join(foreign)}")
        estimator = skops.io.loads(data, trusted=sorted(_TRUSTED_TYPES))
    except (BadZipFile, KeyError, ValueError, TypeError, AttributeError, ImportError) as error:
        raise ArtifactRefused(f"it cannot be read ({type(error).__name__}: {error})") from error
    if type(estimator) not in _KINDS[model_type]:
        raise ArtifactRefused(f"it is a {type(estimator).__name__}, no {model_type}")
    if getattr(estimator, "n_features_in_", None) != columns:
        raise ArtifactRefused(f"it was not trained on {columns} features")
    _check_inside(estimator, columns)
    return cast("Estimator", estimator)


def _check_inside(estimator: Any, columns: int) -> None:
    if isinstance(estimator, Pipeline):
        if [type(step) for _, step in estimator.steps] != _PIPELINE:
            raise ArtifactRefused("it is a pipeline of other steps")
    elif isinstance(estimator, RandomForestClassifier | RandomForestRegressor):
        for tree in (one.tree_ for one in estimator.estimators_):
            if tree.n_features != columns:
                raise ArtifactRefused("a tree of it has other features")
            inner = np.flatnonzero(tree.children_left != tree.children_right)
            sides = (tree.children_left[inner], tree.children_right[inner])
            _check_nodes(tree.node_count, inner, sides, tree.feature[inner], columns)
    else:
        for tree in (tree for stage in estimator._predictors for tree in stage):  # noqa: SLF001 - they have no public name
            nodes = tree.nodes
            inner = np.flatnonzero(nodes["is_leaf"] == 0)
            sides = (nodes["left"][inner], nodes["right"][inner])
            _check_nodes(len(nodes), inner, sides, nodes["feature_idx"][inner], columns)
            if nodes["is_categorical"].any():
                raise ArtifactRefused("a tree splits on something that is not a number")


def _check_nodes(count: int, inner: Any, sides: tuple[Any, Any], features: Any, columns: int) -> None:
    """Refuse node numbers that point outside a tree, or back into it: both are followed without looking."""
    forward = all((side > inner).all() and (side < count).all() for side in sides)
    if not count or not forward or not ((features >= 0) & (features < columns)).all():
        raise ArtifactRefused("a tree points outside itself")


def _line(version: str) -> list[str]:
    return version.split(".")[:2]
