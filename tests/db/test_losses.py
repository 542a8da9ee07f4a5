"""What is charged to whom when a worker dies."""

from db.claims import LedgerRepository
from db.executions import Bell
from db.losses import DEATHS_ALONE, LossRepository, Taken
from db.transaction import Database
from tests.people import person, queued, scalar, worker

ROW = "SELECT concat_ws(' ', status, 'attempt', attempt, 'losses', losses, 'generation', generation) "


async def lose(database: Database, bell: Bell, number: int) -> Taken:
    """Claim an execution as a new worker, and let that one die."""
    name = await worker(database, f"w{number}")
    again = Bell(bell.task_name, bell.queue, bell.scheduled_for, bell.execution_id, number)
    async with database.transaction(None) as session:
        won, _ = await LedgerRepository(session).claim([again], name, alone=True)
        assert won
        return await LossRepository(session).take_back([name])


async def test_the_first_loss_is_recorded_and_charged_to_nobody(database: Database) -> None:
    bell = await queued(database, "prices")
    assert (await lose(database, bell, 1)).queued == [bell.execution_id]
    row = await scalar(database, ROW + "FROM service_task_execution")
    assert row == "queued attempt 0 losses 1 generation 2"
    attempt = (
        "SELECT concat_ws(' ', outcome, attempt, generation, worker, started_at IS NOT NULL) FROM execution_attempts"
    )
    assert await scalar(database, attempt) == "lost 1 1 w1 t"


async def test_each_further_one_is_its_own_and_the_last_ends_it(database: Database) -> None:
    asha = await person(database)
    bell = await queued(database, "order_sync", asha, "7")
    for number in range(1, DEATHS_ALONE + 1):
        assert (await lose(database, bell, number)).quarantined == []
    assert (await lose(database, bell, DEATHS_ALONE + 1)).quarantined == [bell.execution_id]
    row = await scalar(database, ROW + "FROM service_task_execution")
    assert row == f"failed attempt {DEATHS_ALONE} losses {DEATHS_ALONE + 1} generation {DEATHS_ALONE + 2}"
    ending = "SELECT reason || (finished_at IS NOT NULL) FROM service_task_execution"
    assert str(await scalar(database, ending)).startswith("quarantined: its worker died 3 times")
    assert await scalar(database, "SELECT count(*) FROM execution_attempts") == DEATHS_ALONE + 1
    error = "SELECT concat_ws(' ', error_type, user_id, context ->> 'subject', context ->> 'worker') FROM error_logs"
    assert await scalar(database, error) == f"Quarantined {asha.user_id} 7 w{DEATHS_ALONE + 1}"
    status = "SELECT error_count || last_error FROM service_status"
    assert str(await scalar(database, status)).startswith("1quarantined")


async def test_what_another_worker_holds_is_left_alone(database: Database) -> None:
    bell = await queued(database, "prices")
    for name in ("w1", "w2"):
        await worker(database, name)
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim([bell], "w1")
        assert await LossRepository(session).take_back(["w2"]) == Taken([], [])
    assert await scalar(database, "SELECT status FROM service_task_execution") == "running"
