"""Trains one predictor version on the past dip entries of the bars in the database."""

import asyncio
import hashlib
from dataclasses import replace
from datetime import date

import sklearn
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # published without types

from db.bars import BarRepository
from db.configs import UserTradingConfigRepository
from db.executions import Execution, Fenced, ServiceTaskRepository
from db.models import MLModelRepository, MLModelRow
from trading.backtest import all_dip_trades
from trading.bars import Bars
from trading.config import DEFAULTS
from trading.features import FeatureParameters
from trading.predictor import Trained, TrainingRefused, dataset_of, to_artifact
from trading.predictor import train as fit
from worker.messages import TASKS
from worker.outcome import Json, Outcome, Refuse, done
from worker.resources import Resources

# The model is asked about dips that some configuration would buy, not only about the default's few: a looser entry
# gives it four times the examples.
LESSONS = replace(DEFAULTS, rsi_oversold=40.0, rsi_extreme_oversold=30.0)
# More than any source has: half a century of sessions.
ALL_BARS = 12_500
# Sums of several threads differ in the last bits from run to run; one thread gives the same model anywhere.
THREADS = 1
# Ends before the task's own limit does: a step that is interrupted has no say about its job any more.
LONGEST_SECONDS = TASKS["train"].limit_seconds - 120.0
_MESSAGE_LENGTH = 1024


async def train(resources: Resources, execution: Execution) -> Outcome:
    """Run the training job whose id is the subject. Raises Refuse when there is too little to learn from."""
    job_id = int(execution.subject)
    begun = await _begin(resources, execution, job_id)
    if isinstance(begun, Outcome):
        return begun
    parameters, seed = begun
    try:
        through, bars = await _bars(resources, execution)
        trained, artifact = await _learned(bars, parameters, seed)
        return await _store(resources, execution, job_id, trained, artifact, through)
    except Fenced:
        raise
    except (TrainingRefused, Refuse) as error:
        await _fail(resources, execution, job_id, str(error))
        raise Refuse(str(error)) from error
    except Exception as error:
        await _fail(resources, execution, job_id, f"{type(error).__name__}: {error}")
        raise


async def _bars(resources: Resources, execution: Execution) -> tuple[date | None, list[Bars]]:
    """Return the last whole day and all bars up to it."""
    async with resources.database.reading(None) as session:
        rows = BarRepository(session)
        through = await rows.last_whole_day(until=resources.calendar.exchange_day(execution.as_of))
        return through, await rows.history(through, ALL_BARS) if through is not None else []


async def _learned(bars: list[Bars], parameters: FeatureParameters, seed: int) -> tuple[Trained, bytes]:
    """Learn in a thread of its own. Raises TrainingRefused, and Refuse when it takes too long."""
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await asyncio.to_thread(_learn, bars, parameters, seed)
    except TimeoutError as error:
        raise Refuse(f"training took longer than {LONGEST_SECONDS:g} s; train on fewer symbols") from error


async def _begin(resources: Resources, execution: Execution, job_id: int) -> Outcome | tuple[FeatureParameters, int]:
    async with resources.database.transaction(None) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        models = MLModelRepository(session)
        job = await models.job(job_id)
        if job.status == "completed":
            known = await models.of_job(job_id)
            return done(job=job_id, version=known.version if known else None, repeated=True)
        if job.status == "failed":
            raise Refuse(job.error_message or f"job {job_id} failed before")
        stored = await UserTradingConfigRepository(session).parameters(job.parameter_hash)
        job.status = "running"
        job.started_at = job.started_at or now
        return FeatureParameters(rsi_period=int(stored.parameters["rsi_period"])), job.seed


def _learn(bars: list[Bars], parameters: FeatureParameters, seed: int) -> tuple[Trained, bytes]:
    with threadpool_limits(THREADS):
        trades = list(all_dip_trades(bars, LESSONS, parameters))
        trained = fit(dataset_of(trades), seed)
        return trained, to_artifact(trained)


async def _store(
    resources: Resources, execution: Execution, job_id: int, trained: Trained, artifact: bytes, through: date | None
) -> Outcome:
    sha256 = hashlib.sha256(artifact).hexdigest()
    async with resources.database.transaction(None) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        models = MLModelRepository(session)
        job = await models.job(job_id)
        accuracy = _number(trained.metrics.get("accuracy"))
        row = MLModelRow(
            model_type=job.model_type,
            model_path=f"db:{sha256}",
            sha256=sha256,
            features=list(trained.features),
            metrics=dict(trained.metrics),
            library_version=sklearn.__version__,
            accuracy=accuracy,
            training_job_id=job_id,
            training_data_through_date=through,
            created_by=job.started_by,
        )
        version = await models.store(row, artifact)
        job.status, job.completed_at = "completed", now
        job.model_path, job.accuracy = f"db:{sha256}", accuracy
        if job.activate:
            await models.activate(job.model_type, version, now)
        activated = job.activate
    metrics: dict[str, Json] = dict(trained.metrics)
    return done(job=job_id, version=version, sha256=sha256, activated=activated, metrics=metrics)


async def _fail(resources: Resources, execution: Execution, job_id: int, message: str) -> None:
    """Mark the job failed with its reason; another worker's job is left alone. Raises Fenced."""
    async with resources.database.transaction(None) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        job = await MLModelRepository(session).job(job_id)
        job.status, job.error_message = "failed", message[:_MESSAGE_LENGTH]
        job.completed_at = now


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) else None
