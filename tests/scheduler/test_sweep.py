"""The sweep also closes what an execution left open when it ended."""

from sqlalchemy import text

from db.claims import LedgerRepository
from db.executions import ServiceTaskRepository
from db.training_jobs import MLTrainingJobRepository, TrainingRequest
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import MORNING, person, queued, replay_from, scalar, worker
from tests.scheduler.messages import ready
from trading.features import FeatureParameters
from trading.recipes import Recipe
from worker.bells.ringing import Bells


async def test_a_training_job_whose_execution_was_cancelled_does_not_stay_running(
    database: Database, bells: Bells
) -> None:
    await replay_from(database)
    async with database.transaction(None) as session:
        job = await MLTrainingJobRepository(session).request(TrainingRequest(Recipe(), FeatureParameters(10)))
        await ServiceTaskRepository(session).request("train", "ml", str(job), MORNING, None)
        await session.execute(text("UPDATE ml_training_jobs SET status = 'running'"))
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)
    await sweep.heal()
    assert await scalar(database, "SELECT status FROM ml_training_jobs") == "running"
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = 'cancelled'"))
    await sweep.heal()
    assert await scalar(database, "SELECT status FROM ml_training_jobs") == "failed"


async def test_a_request_to_train_is_rung_by_the_sweep_and_never_too_late(database: Database, bells: Bells) -> None:
    await replay_from(database)
    async with database.transaction(None) as session:
        await ServiceTaskRepository(session).request("train", "ml", "1", MORNING, None)
        await session.execute(text("UPDATE market_clock SET at = at + interval '20 hours'"))
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)
    assert await sweep.ring_ready() == 1
    await sweep.heal()
    assert await scalar(database, "SELECT status FROM service_task_execution") == "queued"


async def test_what_a_dead_worker_held_comes_back_before_its_users_backlog_and_within_his_share(
    database: Database, bells: Bells
) -> None:
    asha, name = await person(database), await worker(database)
    held = [await queued(database, "order_sync", asha, str(number)) for number in range(2)]
    for number in range(2, 6):
        await queued(database, "order_sync", asha, str(number), rung=False)
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim(held, name)
        await WorkerRepository(session).expire(name)
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=2)
    assert await sweep.ring_ready() == 0
    await sweep.heal()
    assert await sweep.ring_ready() == 2
    assert await ready(bells) == [f"{bell.execution_id}.2" for bell in held]
    told = "SELECT string_agg(kind || ' ' || count, ', ' ORDER BY kind) FROM healings"
    assert await scalar(database, told) == "lost_worker 1, taken_back 2"
