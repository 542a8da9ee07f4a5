"""Asks for trainings and watches them; the work itself is a worker's."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.artifacts import PREFIX, ArtifactRepository
from db.audit_logs import AuditLogRepository
from db.clock import ClockRepository
from db.executions import ServiceTaskRepository
from db.training_jobs import BARS, MLTrainingJobRepository, TrainingRequest
from db.transaction import Database
from trading.config import DEFAULTS
from trading.features import FeatureParameters
from trading.lesson_file import RSI_PERIOD, read_lessons
from trading.lessons import MODEL_FEATURES, check_features
from trading.recipes import Recipe
from worker.messages import TASKS

ENDED = ("completed", "failed")
POLL_SECONDS = 0.5
# A worker that is being replaced is back by then.
PATIENCE_SECONDS = 15.0

Job = Mapping[str, Any]


class TrainingNotDoneError(Exception):
    """A training that was waited for did not end well. The text names the job and the cure."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What to train. model_types: one job each. data: a CSV file's bytes, None for the bars in the database."""

    model_types: Sequence[str]
    algorithm: str
    seed: int
    hyperparameters: Mapping[str, int | float]
    data: bytes | None = None
    features: tuple[str, ...] | None = None
    until: date | None = None
    notes: str | None = None

    def check(self) -> None:
        """Raise PredictorError for what could never be trained: a bad file is refused here, not an hour later."""
        for recipe in self.recipes():
            recipe.settings()
        check_features(self.features or MODEL_FEATURES)
        if self.data is not None:
            read_lessons(self.data, self.features or MODEL_FEATURES)

    def recipes(self) -> list[Recipe]:
        """Return one recipe a type."""
        return [Recipe(one, self.algorithm, self.seed, self.hyperparameters) for one in self.model_types]


async def request(database: Database, wish: Wish, actor: str) -> list[int]:
    """Store jobs and their executions in one transaction; a sweep rings them. Returns the jobs' ids.

    A file travels as an artefact: the worker may be on another machine. Raises PredictorError.
    """
    wish.check()
    period = DEFAULTS.rsi_period if wish.data is None else RSI_PERIOD
    async with database.transaction(None) as session:
        jobs, ids = MLTrainingJobRepository(session), []
        path = BARS if wish.data is None else PREFIX + await ArtifactRepository(session).put(wish.data)
        for recipe in wish.recipes():
            wanted = TrainingRequest(
                recipe, FeatureParameters(period), path, wish.features, wish.until, notes=wish.notes
            )
            ids.append(await jobs.request(wanted))
            await _queue(session, ids[-1], actor)
        return ids


async def repeat(database: Database, job_id: int, actor: str) -> int | None:
    """Ask for a job once more. Returns the new one's id, None if there is no such job."""
    async with database.transaction(None) as session:
        again = await MLTrainingJobRepository(session).repeat(job_id)
        if again is not None:
            await _queue(session, again, actor)
        return again


async def shown(database: Database, job_ids: Sequence[int]) -> list[Job]:
    """Return jobs as they stand."""
    async with database.reading(None) as session:
        jobs = MLTrainingJobRepository(session)
        found = [await jobs.show(job_id) for job_id in job_ids]  # one, or one of each type
    return [job for job in found if job is not None]


async def takers(database: Database) -> int:
    """Return how many live workers take trainings."""
    async with database.reading(None) as session:
        return await MLTrainingJobRepository(session).takers()


async def wait(
    database: Database, job_ids: Sequence[int], say: Callable[[str], None], patience_seconds: float
) -> list[Job]:
    """Tell every new line of the jobs' logs until all have ended. Returns them.

    Raises TrainingNotDoneError when no worker takes trainings for that long; the jobs stay and run when one does.
    """
    told = dict.fromkeys(job_ids, 0)
    alone_since: float | None = None
    clock = asyncio.get_running_loop()
    while True:
        jobs = await shown(database, job_ids)
        for job in jobs:
            lines = (job["logs"] or "").splitlines()
            for line in lines[told[job["id"]] :]:
                say(f"job {job['id']}: {line}")
            told[job["id"]] = len(lines)
        if all(job["status"] in ENDED for job in jobs):
            return jobs
        alone_since = None if await takers(database) else (alone_since or clock.time())
        if alone_since is not None and clock.time() - alone_since >= patience_seconds:
            raise TrainingNotDoneError(no_worker(job_ids))
        await asyncio.sleep(POLL_SECONDS)


def no_worker(job_ids: Sequence[int]) -> str:
    """Return what to say when jobs are stored and nobody takes them."""
    named = ", ".join(map(str, job_ids))
    return f"no worker takes the ml queue: job {named} waits until `python -m worker.main --queues ml` runs"


async def _queue(session: AsyncSession, job_id: int, actor: str) -> None:
    """Make the job's execution, which is never too late, and record who asked."""
    now = (await ClockRepository(session).read()).now
    await ServiceTaskRepository(session).request("train", TASKS["train"].queue, str(job_id), now, None)
    job = await MLTrainingJobRepository(session).show(job_id) or {}
    names = ("model_type", "algorithm", "hyperparameters", "features", "seed", "data", "notes")
    changes = {name: job[name] for name in names if job.get(name) is not None}
    await AuditLogRepository(session).record(actor, "create", "ml_training_job", job_id, changes=changes)
