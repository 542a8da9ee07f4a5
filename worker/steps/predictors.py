"""The predictors that have a say in an analysis: found as rows, built once a process, asked about candidates."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.artifacts import ArtifactRepository
from db.models import MLModelRepository, MLModelRow
from trading.bars import Floats
from trading.predictor_errors import PredictorError
from trading.recipes import PRICE_REGRESSOR, VERDICT_CLASSIFIER, Estimator
from trading.strategies.base import Candidate
from worker.resources import Resources

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """Versions as rows, with the bytes of those that this process has not built yet. pinned: by some user."""

    classifier: MLModelRow | None
    regressor: MLModelRow | None
    pinned: tuple[MLModelRow, ...]
    data: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Predictor:
    """One version, ready to be asked."""

    version: str
    features: tuple[str, ...]
    estimator: Estimator

    def columns(self, candidates: Sequence[Candidate]) -> Floats:
        """Return what the version sees of candidates, (n, k)."""
        rows = [[candidate.features.get(name) for name in self.features] for candidate in candidates]
        return np.array(rows, dtype=np.float64).reshape(len(candidates), len(self.features))


@dataclass(frozen=True, slots=True)
class Predictors:
    """Who is asked: the active classifier and regressor, where there are any, and what users have pinned."""

    classifier: Predictor | None = None
    regressor: Predictor | None = None
    pinned: tuple[Predictor, ...] = ()


async def find(resources: Resources, session: AsyncSession, parameter_hash: str) -> Found:
    """Return the versions that have a say for a parameter set."""
    models, artifacts = MLModelRepository(session), ArtifactRepository(session)
    classifier, regressor = await models.active(VERDICT_CLASSIFIER), await models.active(PRICE_REGRESSOR)
    pinned = [row for row in await models.pinned(parameter_hash) if not row.is_active]
    wanted = {row.sha256 for row in (classifier, regressor, *pinned) if row is not None} - resources.estimators.keys()
    return Found(classifier, regressor, tuple(pinned), {sha256: await artifacts.get(sha256) for sha256 in wanted})


async def build(resources: Resources, found: Found) -> Predictors:
    """Return the versions, checked and built; call it with no transaction open.

    A pinned one that cannot be used has no say, and its users are told so at their refusals. Raises PredictorError for
    an active one.
    """
    pinned = []
    for row in found.pinned:
        try:
            pinned.append(await _built(resources, row, found.data))
        except PredictorError as error:
            log.warning("pinned_model_unusable", model_type=row.model_type, version=row.version, error=str(error))
    return Predictors(
        await _built(resources, found.classifier, found.data) if found.classifier is not None else None,
        await _built(resources, found.regressor, found.data) if found.regressor is not None else None,
        tuple(pinned),
    )


def judged(candidates: Sequence[Candidate], predictors: Predictors) -> Sequence[Candidate]:
    """Return the candidates with what every version says of them."""
    if not candidates or predictors == Predictors():
        return candidates
    from trading.predictor import confidence, predicted_gain

    active, regressor = predictors.classifier, predictors.regressor
    if active is not None:
        scores = confidence(active.estimator, active.columns(candidates)).tolist()
        candidates = [
            replace(one, confidence=score, model_version=active.version)
            for one, score in zip(candidates, scores, strict=True)
        ]
    if regressor is not None:
        gains = predicted_gain(regressor.estimator, regressor.columns(candidates)).tolist()
        candidates = [replace(one, predicted_gain=gain) for one, gain in zip(candidates, gains, strict=True)]
    said = {one.version: confidence(one.estimator, one.columns(candidates)).tolist() for one in predictors.pinned}
    if said:
        by_place = [dict(zip(said, scores, strict=True)) for scores in zip(*said.values(), strict=True)]
        candidates = [replace(one, pinned=scores) for one, scores in zip(candidates, by_place, strict=True)]
    return candidates


async def _built(resources: Resources, row: MLModelRow, data: dict[str, bytes]) -> Predictor:
    if row.sha256 not in resources.estimators:
        resources.estimators[row.sha256] = await asyncio.to_thread(
            _opened, data[row.sha256], row.sha256, row.model_type, row.features, row.library_version
        )
    return Predictor(row.version, tuple(row.features), resources.estimators[row.sha256])


def _opened(data: bytes, sha256: str, model_type: str, features: Sequence[str], library_version: str) -> Estimator:
    """Build an estimator. Its library takes seconds to be read: only who has a model waits for it, in a thread."""
    from trading.artifacts import opened

    return opened(data, sha256, model_type, features, library_version)
