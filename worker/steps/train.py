"""Trains one predictor version: on the past dip entries of the bars in the database, or on a file of past trades."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # published without types

from db.artifacts import PREFIX, ArtifactRepository
from db.bars import BarRepository
from db.configs import UserTradingConfigRepository
from db.executions import Execution, Fenced, ServiceTaskRepository
from db.models import MLModelRepository, MLModelRow
from db.training_jobs import BARS, MLTrainingJobRepository, MLTrainingJobRow
from trading.artifacts import LIBRARY_VERSION, to_artifact
from trading.backtest import all_dip_trades
from trading.bars import Bars
from trading.config import DEFAULTS
from trading.features import FeatureParameters
from trading.lesson_file import read_lessons
from trading.lessons import MODEL_FEATURES, Lessons, lessons_of
from trading.predictor import fitted, measured
from trading.predictor_errors import PredictorError
from trading.recipes import Recipe
from worker.messages import TASKS
from worker.outcome import Json, Outcome, Refuse, done
from worker.resources import Resources

# The model is asked about dips that some configuration would buy, not only about the default's few: a looser entry
# gives it four times the examples.
LESSONS = replace(DEFAULTS, rsi_oversold=40.0, rsi_extreme_oversold=30.0, rsi_near_oversold=45.0)
# More than any source has: half a century of sessions.
ALL_BARS = 12_500
# Sums of several threads differ in the last bits from run to run; one thread gives the same model anywhere.
THREADS = 1
# Ends before the task's own limit does: a step that is interrupted has no say about its job any more.
LONGEST_SECONDS = TASKS["train"].limit_seconds - 120.0
_MESSAGE_LENGTH = 1024

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Job:
    """What is asked for. data: the bytes of a file, None for the bars."""

    id: int
    recipe: Recipe
    parameters: FeatureParameters
    features: tuple[str, ...]
    until: date | None
    data: bytes | None


@dataclass(frozen=True, slots=True)
class _Learnt:
    """A model, ready to store. through: the last day it may know anything of."""

    artifact: bytes
    metrics: dict[str, Json]
    through: date | None


async def train(resources: Resources, execution: Execution) -> Outcome:
    """Run the training job whose id is the subject. Raises Refuse when there is too little to learn from."""
    job_id = int(execution.subject)
    try:
        job = await _begin(resources, execution, job_id)
        if isinstance(job, Outcome):
            return job
        learnt = await _learnt_in_time(resources, execution, job)
        return await _store(resources, execution, job, learnt)
    except Fenced:
        raise
    except (PredictorError, Refuse) as error:
        await _fail(resources, execution, job_id, str(error))
        raise Refuse(str(error)) from error
    except Exception as error:
        await _fail(resources, execution, job_id, f"{type(error).__name__}: {error}")
        raise


async def _begin(resources: Resources, execution: Execution, job_id: int) -> _Job | Outcome:
    async with resources.database.transaction(None) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        jobs = MLTrainingJobRepository(session)
        row = await jobs.lock(job_id)
        if row.status == "completed":
            known = await MLModelRepository(session).of_job(job_id)
            return done(job=job_id, version=known.version if known else None, repeated=True)
        if row.status == "failed":
            raise Refuse(row.error_message or f"job {job_id} failed before")
        again = " again: the one before it was lost" if row.status == "running" else ""
        row.status, row.started_at = "running", row.started_at or now
        await session.flush()
        await jobs.log(job_id, f"attempt {execution.attempt}.{execution.generation} begins{again}")
        stored = await UserTradingConfigRepository(session).parameters(row.parameter_hash)
        data = await ArtifactRepository(session).get(_sha256(row)) if row.training_data_path != BARS else None
    if data is not None and hashlib.sha256(data).hexdigest() != _sha256(row):
        raise Refuse(f"the training data does not have the hash {_sha256(row)}; store the file again")
    recipe = Recipe(row.model_type, row.algorithm, row.seed, row.hyperparameters or {})
    parameters = FeatureParameters(rsi_period=int(stored.parameters["rsi_period"]))
    return _Job(job_id, recipe, parameters, tuple(row.features or MODEL_FEATURES), row.training_run_end_date, data)


async def _learnt_in_time(resources: Resources, execution: Execution, job: _Job) -> _Learnt:
    limit = asyncio.timeout(LONGEST_SECONDS)
    try:
        async with limit:
            return await _learnt(resources, execution, job)
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise Refuse(f"training took longer than {LONGEST_SECONDS:g} s; train on fewer symbols") from error


async def _learnt(resources: Resources, execution: Execution, job: _Job) -> _Learnt:
    """Learn in a thread of its own, a stage at a time, with no transaction open."""
    lessons, through = await _lessons(resources, execution, job)
    span = f", {lessons.entry_days.min()} to {lessons.entry_days.max()}" if len(lessons) else ""
    unused = f"; columns not used: {', '.join(lessons.ignored)}" if lessons.ignored else ""
    await _log(resources, execution, job.id, f"{len(lessons)} past trades{span}{unused}")
    metrics = await asyncio.to_thread(_alone, lambda: measured(lessons, job.recipe))
    said = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, float))
    await _log(resources, execution, job.id, f"on {metrics['test_rows']} later trades: {said}")
    artifact = await asyncio.to_thread(_alone, lambda: to_artifact(fitted(lessons, job.recipe)))
    return _Learnt(artifact, dict(metrics), through)


async def _lessons(resources: Resources, execution: Execution, job: _Job) -> tuple[Lessons, date | None]:
    """Return past trades, with the last day that any of them may know of. A file says so itself."""
    if job.data is not None:
        data = job.data
        lessons = await asyncio.to_thread(lambda: read_lessons(data, job.features))
        lessons = lessons.known_by(np.datetime64(job.until, "D")) if job.until is not None else lessons
        return lessons, lessons.exit_days.max().item() if len(lessons) else None
    latest = resources.calendar.exchange_day(execution.as_of)
    async with resources.database.reading(None) as session:
        rows = BarRepository(session)
        whole = await rows.last_whole_day(until=latest)
        through = min(whole, job.until or whole) if whole is not None else None
        bars = await rows.history(through, ALL_BARS) if through is not None else []
    return await asyncio.to_thread(_from_bars, bars, job), through


def _from_bars(bars: list[Bars], job: _Job) -> Lessons:
    return lessons_of(list(all_dip_trades(bars, LESSONS, job.parameters)), job.features)


async def _store(resources: Resources, execution: Execution, job: _Job, learnt: _Learnt) -> Outcome:
    async with resources.database.transaction(None) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        jobs, models = MLTrainingJobRepository(session), MLModelRepository(session)
        row = await jobs.lock(job.id)
        model = MLModelRow(
            model_type=row.model_type,
            features=list(job.features),
            metrics=dict(learnt.metrics),
            library_version=LIBRARY_VERSION,
            accuracy=_number(learnt.metrics.get("accuracy")),
            training_job_id=job.id,
            training_data_through_date=learnt.through,
            created_by=row.started_by,
        )
        version = await models.store(model, learnt.artifact)
        row.status, row.completed_at = "completed", now
        row.model_path, row.accuracy = model.model_path, model.accuracy
        if row.activate:
            await models.activate(row.model_type, version, f"training job {job.id}", now)
        await session.flush()
        await jobs.log(job.id, f"stored as {version}, {'active' if row.activate else 'a draft'}")
        model_type, activated, sha256 = row.model_type, row.activate, model.sha256
    return done(
        job=job.id, model_type=model_type, version=version, sha256=sha256, activated=activated, metrics=learnt.metrics
    )


async def _fail(resources: Resources, execution: Execution, job_id: int, message: str) -> None:
    """Mark the job failed with its reason; another worker's job is left alone. Raises Fenced."""
    async with resources.database.transaction(None) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        jobs = MLTrainingJobRepository(session)
        row = await jobs.lock(job_id)
        if row.status == "failed":
            return
        row.status, row.error_message, row.completed_at = "failed", message[:_MESSAGE_LENGTH], now
        await session.flush()
        await jobs.log(job_id, f"failed: {message}")


async def _log(resources: Resources, execution: Execution, job_id: int, line: str) -> None:
    async with resources.database.transaction(None) as session:
        await ServiceTaskRepository(session).fence(execution)
        await MLTrainingJobRepository(session).log(job_id, line)


def _alone(work: Callable[[], T]) -> T:
    with threadpool_limits(THREADS):
        return work()


def _sha256(row: MLTrainingJobRow) -> str:
    return row.training_data_path.removeprefix(PREFIX)


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) else None
