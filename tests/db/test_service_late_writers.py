"""Who began before a service was started or stopped last writes nothing about it any more."""

from db.claims import LedgerRepository, Settlement
from db.executions import Execution
from db.transaction import Database
from tests.people import Person, person, queued, scalar, worker
from tests.services import standing, switched

COUNTED = "SELECT error_count || coalesce(last_error, '') FROM service_status"
HEARTBEAT = "SELECT last_heartbeat FROM service_status"


async def claimed(database: Database, who: Person) -> Execution:
    bell = await queued(database, "buy_orders", who)
    await worker(database)
    async with database.transaction(None) as session:
        ((execution,), _) = await LedgerRepository(session).claim([bell], "w1")
    return execution


async def fail(database: Database, execution: Execution) -> None:
    async with database.transaction(None) as session:
        failure = Settlement(execution, "failed", 0.1, reason="no", error_type="E", error="no")
        assert await LedgerRepository(session).settle([failure], "w1") == {execution.id: None}


async def test_an_error_of_an_earlier_generation_is_recorded_and_not_counted(database: Database) -> None:
    who = await person(database)
    late = await claimed(database, who)
    await switched(database, who, running=False)
    await switched(database, who, running=True)
    await fail(database, late)
    assert await standing(database, late.id) == ("failed", 1)
    assert await scalar(database, "SELECT count(*) FROM error_logs") == 1
    assert await scalar(database, COUNTED) == "0"


async def test_an_error_of_this_generation_is_counted(database: Database) -> None:
    who = await person(database)
    await fail(database, await claimed(database, who))
    assert await scalar(database, COUNTED) == "1no"


async def test_work_that_ends_after_a_stop_is_no_heartbeat(database: Database) -> None:
    who = await person(database)
    await switched(database, who, running=False)
    async with database.transaction(None) as session:
        await LedgerRepository(session).saw([who.user_id])
    assert await scalar(database, HEARTBEAT) is None
    assert await scalar(database, "SELECT last_task_execution IS NOT NULL FROM service_status") is True
    await switched(database, who, running=True)
    async with database.transaction(None) as session:
        await LedgerRepository(session).saw([who.user_id])
    assert await scalar(database, HEARTBEAT) is not None
