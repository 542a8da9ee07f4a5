"""What is written of a step that failed is written whatever the step broke."""

from sqlalchemy import text

from config.servers import ServerUrls
from db.engine import make_engine
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import running_worker
from worker.bells.ringing import Bells
from worker.outcome import Outcome

HOST = "INSERT INTO scheduler_processes (name, host, pid) VALUES ('undone', 'h', 1)"


async def test_an_error_that_broke_a_transaction_is_recorded_outside_of_it(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)

    async def step(_: object, __: object) -> Outcome:
        steps = Database(make_engine(urls.sqlalchemy, pool_size=1))
        try:
            async with steps.transaction(None) as session:
                await session.execute(text(HOST))
                await session.execute(text("SELECT 1 / 0"))
        finally:
            await steps.close()
        raise AssertionError("Postgres divided by zero")

    async def over() -> bool:
        return await scalar(database, "SELECT status FROM service_task_execution") == "failed"

    await bells.ring([await queued(database, "prices")])
    with running_worker(urls, step):
        await until(over)
    assert await scalar(database, "SELECT count(*) FROM scheduler_processes WHERE name = 'undone'") == 0
    error = str(await scalar(database, "SELECT error_message FROM error_logs"))
    assert "division by zero" in error
    assert "aborted" not in error
    assert "SELECT 1 / 0" in str(await scalar(database, "SELECT traceback FROM error_logs"))
