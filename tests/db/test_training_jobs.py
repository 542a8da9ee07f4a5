"""Training jobs: one that ended without a word is closed, a log keeps its end, and a job can be asked for again."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from db.executions import ServiceTaskRepository
from db.training_jobs import LOG_LENGTH, MLTrainingJobRepository, TrainingRequest
from db.transaction import Database
from tests.people import MORNING, person, replay_from, scalar, worker
from trading.features import FeatureParameters
from trading.lessons import MODEL_FEATURES
from trading.predictor_errors import FeatureRefused, RecipeRefused
from trading.recipes import FOREST, LOGISTIC, PRICE_REGRESSOR, Recipe

WANTED = TrainingRequest(Recipe(), FeatureParameters(10))


async def requested(database: Database, wanted: TrainingRequest = WANTED, *, queued: bool = True) -> int:
    async with database.transaction(None) as session:
        job = await MLTrainingJobRepository(session).request(wanted)
        if queued:
            await ServiceTaskRepository(session).request("train", "ml", str(job), MORNING, None)
        return job


async def run(database: Database, statement: str, **values: object) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement), values)


async def closed(database: Database) -> int:
    async with database.transaction(None) as session:
        return await MLTrainingJobRepository(session).close_ended()


async def test_a_job_keeps_everything_that_decides_its_model(database: Database) -> None:
    recipe = Recipe(PRICE_REGRESSOR, FOREST, 3, {"n_estimators": 50})
    wanted = TrainingRequest(recipe, FeatureParameters(14), features=MODEL_FEATURES[:3], notes="a try")
    job = await requested(database, wanted)
    async with database.transaction(None) as session:
        row = await MLTrainingJobRepository(session).lock(job)
    assert (row.model_type, row.algorithm, row.seed) == (PRICE_REGRESSOR, FOREST, 3)
    assert row.hyperparameters == recipe.settings()
    assert (row.features, row.parameter_hash) == (list(MODEL_FEATURES[:3]), FeatureParameters(14).hash)


async def test_a_job_knows_the_user_who_asked_for_it_and_who_asked_again(database: Database) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    job = await requested(database, replace(WANTED, started_by=asha.user_id))
    async with database.transaction(None) as session:
        again = await MLTrainingJobRepository(session).repeat(job, bala.user_id)
    by = "SELECT started_by FROM ml_training_jobs WHERE id = :id"
    assert await scalar(database, by, id=job) == asha.user_id
    assert await scalar(database, by, id=again) == bala.user_id


@pytest.mark.parametrize(
    "wanted",
    [
        TrainingRequest(Recipe(PRICE_REGRESSOR, LOGISTIC), FeatureParameters(10)),
        TrainingRequest(Recipe(), FeatureParameters(10), features=("rsi", "label")),
    ],
)
async def test_what_can_never_be_trained_is_not_stored(database: Database, wanted: TrainingRequest) -> None:
    with pytest.raises((RecipeRefused, FeatureRefused)):
        await requested(database, wanted)
    assert await scalar(database, "SELECT count(*) FROM ml_training_jobs") == 0


@pytest.mark.parametrize("status", ["failed", "skipped", "cancelled"])
async def test_a_job_does_not_stay_running_when_its_execution_has_ended(database: Database, status: str) -> None:
    await replay_from(database)
    job, other = await requested(database), await requested(database)
    await run(database, "UPDATE ml_training_jobs SET status = 'running'")
    assert await closed(database) == 0
    await run(
        database,
        "UPDATE service_task_execution SET status = :status, reason = 'it was lost' WHERE subject = :job",
        status=status,
        job=str(job),
    )
    assert await closed(database) == 1
    async with database.reading(None) as session:
        shown = await MLTrainingJobRepository(session).show(job)
    assert shown is not None
    assert (shown["status"], shown["completed_at"]) == ("failed", MORNING)
    assert shown["error_message"] == f"execution {shown['execution_id']} ended {status}: it was lost"
    assert shown["logs"].endswith(f"{shown['error_message']}\n")
    assert await scalar(database, "SELECT status FROM ml_training_jobs WHERE id = :id", id=other) == "running"


async def test_a_job_that_runs_again_under_a_newer_execution_is_left_alone(database: Database) -> None:
    job = await requested(database)
    await run(database, "UPDATE service_task_execution SET status = 'cancelled'")
    async with database.transaction(None) as session:
        await ServiceTaskRepository(session).request("train", "ml", str(job), MORNING.replace(minute=45), None)
    assert await closed(database) == 0


async def test_a_log_keeps_its_end(database: Database) -> None:
    job = await requested(database)
    async with database.transaction(None) as session:
        jobs = MLTrainingJobRepository(session)
        for number in range(5):
            await jobs.log(job, f"{number} " + "x" * 5000)
        await jobs.log(job, "the end: 100% of ':' and {braces}")
    logs = await scalar(database, "SELECT logs FROM ml_training_jobs")
    assert isinstance(logs, str)
    assert len(logs) == LOG_LENGTH
    assert logs.endswith("Z the end: 100% of ':' and {braces}\n")
    assert " 0 x" not in logs


async def test_a_job_asked_for_again_is_a_new_one_that_names_the_old(database: Database) -> None:
    job = await requested(database, TrainingRequest(Recipe(seed=3), FeatureParameters(10), notes="first"))
    await run(database, "UPDATE ml_training_jobs SET status = 'failed', error_message = 'killed'")
    async with database.transaction(None) as session:
        jobs = MLTrainingJobRepository(session)
        again = await jobs.repeat(job)
        assert await jobs.repeat(999_999) is None
        newest, oldest = await jobs.newest(5)
    assert (newest["id"], newest["status"], newest["seed"], newest["notes"]) == (
        again,
        "pending",
        3,
        f"job {job} again",
    )
    assert (oldest["id"], oldest["status"], oldest["error_message"]) == (job, "failed", "killed")


async def test_only_live_workers_of_the_queue_are_counted(database: Database) -> None:
    async with database.transaction(None) as session:
        assert await MLTrainingJobRepository(session).takers() == 0
    await worker(database, "w1")
    await worker(database, "w2")
    await worker(database, "late", seconds=0)
    await run(database, "UPDATE worker_processes SET queues = 'strategy,ml' WHERE name <> 'w1'")
    async with database.transaction(None) as session:
        assert await MLTrainingJobRepository(session).takers() == 1
