"""Computes the features of the whole market once for a strategy and parameter set, and the candidates in them."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from db.bars import BarRepository
from db.configs import UserTradingConfigRepository
from db.executions import Execution, ServiceTaskRepository
from db.models import MLModelRepository, MLModelRow
from db.signals import Analysis, SignalRepository
from trading.features import FeatureParameters, FeatureTable, feature_table
from trading.predictor import ArtifactRefused, Estimator, check_features, confidence, from_artifact
from trading.strategies.base import Candidate, Strategy
from trading.strategies.registry import strategy_named
from worker.outcome import Outcome, Refuse, done, skipped
from worker.resources import Resources


@dataclass(frozen=True, slots=True)
class _Model:
    """The active predictor as this run uses it. version: as it is journalled."""

    version: str
    features: tuple[str, ...]
    estimator: Estimator


async def analysis(resources: Resources, execution: Execution) -> Outcome:
    """Store the day's snapshot and signals of `strategy:parameter hash`. Raises Refuse for an outdated set."""
    name, _, parameter_hash = execution.subject.partition(":")
    strategy = strategy_named(name)
    day = resources.calendar.exchange_day(execution.as_of)
    async with resources.database.reading(None) as session:
        loaded = await BarRepository(session).price_day(day)
        if loaded is None or not loaded.whole:
            return skipped(f"the prices of {day} are not whole")
        stored = await UserTradingConfigRepository(session).parameters(parameter_hash)
        parameters = FeatureParameters(rsi_period=int(stored.parameters["rsi_period"]))
        if parameters.hash != parameter_hash:
            raise Refuse(
                f"parameter set {parameter_hash} is of other feature definitions: save the configuration again"
            )
        active = await _active_model(resources, session, strategy)
    model = await _model(resources, *active) if active is not None else None
    bars = list((await resources.history.until(day)).values())
    table = await asyncio.to_thread(feature_table, bars, day, parameters)
    candidates = await asyncio.to_thread(_candidates, strategy, table, model)
    found = Analysis(
        strategy=strategy.name,
        parameter_hash=parameter_hash,
        day=day,
        sha256=table.sha256(),
        features=dict(table.to_json()),
        left_out={str(symbol): reason for symbol, reason in table.left_out.items()},
        model_version=model.version if model else None,
        candidates=candidates,
    )
    async with resources.database.transaction(None) as session:
        await ServiceTaskRepository(session).fence(execution)
        version = await _store(SignalRepository(session), found)
    return done(
        day=day.isoformat(),
        symbols=len(table.symbols),
        left_out=len(table.left_out),
        candidates=len(candidates),
        snapshot=version,
        sha256=found.sha256,
        model_version=found.model_version,
    )


async def _store(signals: SignalRepository, found: Analysis) -> int:
    """Store the analysis; the same one again, as after a crash, keeps its version."""
    newest = await signals.newest(found.strategy, found.parameter_hash, found.day)
    if newest is not None and (newest.sha256, newest.model_version) == (found.sha256, found.model_version):
        return newest.version
    return await signals.store(found)


async def _active_model(
    resources: Resources, session: AsyncSession, strategy: Strategy
) -> tuple[MLModelRow, bytes | None] | None:
    """Return the active version, with its bytes where this process has not built it yet."""
    models = MLModelRepository(session)
    row = await models.active(strategy.name)
    if row is None:
        return None
    return row, None if row.sha256 in resources.estimators else await models.artifact(row.sha256)


async def _model(resources: Resources, row: MLModelRow, data: bytes | None) -> _Model:
    """Return the version, checked and built once a process; call it with no transaction open."""
    check_features(row.features)
    if data is not None:
        if hashlib.sha256(data).hexdigest() != row.sha256:
            raise ArtifactRefused(f"its bytes do not have the hash {row.sha256}")
        resources.estimators[row.sha256] = await asyncio.to_thread(from_artifact, data)
    return _Model(row.version, tuple(row.features), resources.estimators[row.sha256])


def _candidates(strategy: Strategy, table: FeatureTable, model: _Model | None) -> Sequence[Candidate]:
    found = strategy.candidates(table)
    if model is None or not found:
        return found
    rows = [[candidate.features.get(name) for name in model.features] for candidate in found]
    scores = confidence(model.estimator, np.array(rows, dtype=np.float64)).tolist()
    return [
        replace(candidate, confidence=score, model_version=model.version)
        for candidate, score in zip(found, scores, strict=True)
    ]
