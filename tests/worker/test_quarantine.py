"""What kills its worker is taken out of the way, alone: nobody who was beside it is blamed."""

from dataclasses import replace

from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import LedgerRepository, Standing
from db.losses import DEATHS_ALONE, LossRepository
from db.transaction import Database
from tests.people import person, queued, scalar, worker
from tests.waiting import until
from tests.worker.house import house
from worker.bells.ringing import Bells

KILLER = "kills its worker"


async def test_of_five_hundred_only_the_one_that_kills_is_quarantined_and_nobody_else_is_charged(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    subjects = [str(number) for number in range(499)]
    rung = [await queued(database, "prices", subject=name) for name in [*subjects[:250], KILLER, *subjects[250:]]]
    await bells.ring(rung)

    async def ended() -> bool:
        count = "SELECT count(*) FROM service_task_execution WHERE status IN ('success', 'failed')"
        return await scalar(database, count) == 500

    async with house(urls, database, bells, lease_seconds=60.0):
        await until(ended, 180)
    async with database.reading(None) as session:
        rows = (
            await session.execute(text("SELECT subject, status, attempt, reason FROM service_task_execution"))
        ).all()
    failed = {row.subject: row.reason.split(":")[0] for row in rows if row.status == "failed"}
    assert failed == {KILLER: "quarantined"}
    assert {row.attempt for row in rows if row.subject != KILLER} == {1}
    killed = "SELECT count(*) FROM execution_attempts a JOIN service_task_execution e ON e.id = a.execution_id "
    assert await scalar(database, f"{killed} WHERE subject = '{KILLER}' AND outcome = 'lost'") == DEATHS_ALONE + 1
    assert await scalar(database, "SELECT count(*) FROM error_logs WHERE error_type = 'Quarantined'") == 1


async def test_a_suspect_is_claimed_only_alone(database: Database) -> None:
    asha = await person(database)
    name = await worker(database)
    bell = await queued(database, "order_sync", asha)
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim([bell], name)
        await LossRepository(session).take_back([name])
    again = replace(bell, generation=bell.generation + 1)
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        assert await ledger.claim([again], name) == ([], {})
        assert list((await ledger.standings([again])).values()) == [Standing("queued", True, True)]
        won, _ = await ledger.claim([again], name, alone=True)
        assert [one.attempt for one in won] == [1]
