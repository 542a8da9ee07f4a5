"""Computes the features of the whole market once for a strategy and parameter set, and the candidates in them."""

import asyncio

from db.bars import BarRepository
from db.configs import UserTradingConfigRepository
from db.executions import Execution, ServiceTaskRepository
from db.signals import Analysis, SignalRepository
from trading.config import DEFAULTS
from trading.features import FeatureParameters, feature_table
from trading.strategies.registry import strategy_named
from worker.outcome import Outcome, Refuse, done, skipped
from worker.resources import Resources
from worker.steps.predictors import build, find, judged


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
        versions = await find(resources, session, parameter_hash)
    predictors = await build(resources, versions)
    bars = list((await resources.history.until(day)).values())
    table = await asyncio.to_thread(feature_table, bars, day, parameters)
    candidates = await asyncio.to_thread(lambda: judged(strategy.candidates(table), predictors))
    assessments = await asyncio.to_thread(strategy.assess, candidates, DEFAULTS)
    found = Analysis(
        strategy=strategy.name,
        parameter_hash=parameter_hash,
        day=day,
        sha256=table.sha256(),
        features=dict(table.to_json()),
        left_out={str(symbol): reason for symbol, reason in table.left_out.items()},
        model_version=predictors.classifier.version if predictors.classifier else None,
        price_model_version=predictors.regressor.version if predictors.regressor else None,
        candidates=candidates,
        assessments={one.symbol: found for one, found in zip(candidates, assessments, strict=True)},
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
        price_model_version=found.price_model_version,
    )


async def _store(signals: SignalRepository, found: Analysis) -> int:
    """Store the analysis; the same one again, as after a crash, keeps its version."""
    newest = await signals.newest(found.strategy, found.parameter_hash, found.day)
    same = ("sha256", "model_version", "price_model_version")
    if newest is not None and all(getattr(newest, name) == getattr(found, name) for name in same):
        return newest.version
    return await signals.store(found)
