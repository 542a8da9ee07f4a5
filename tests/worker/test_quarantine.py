"""What kills its worker is taken out of the way, alone: nobody who was beside it is blamed."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import LedgerRepository
from db.sweeps import DEATHS_ALONE, SweepRepository
from db.transaction import Database
from scheduler.sweep import Sweep
from tests.people import person, queued, scalar, worker
from tests.waiting import until
from worker.bells.ringing import Bells
from worker.room import Room
from worker.supervisor import Supervisor


@asynccontextmanager
async def _house(urls: ServerUrls, database: Database, bells: Bells) -> AsyncIterator[None]:
    """Two worker processes of four threads under a supervisor, and a scheduler's sweep."""
    supervisor = Supervisor(database, ("default",), 4, 5.0, "tests.worker.killing_child")
    sweep = Sweep(database, bells, 5.0, 0.1)

    async def turn() -> None:
        while True:
            await sweep.heal()
            await sweep.ring_ready()
            await asyncio.sleep(0.05)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", urls.database)
        patch.setenv("REDIS_URL", urls.redis)
        patch.setenv("MUHURAT_PRICES", "simulated:7:5")
        running, turning = asyncio.create_task(supervisor.run(2)), asyncio.create_task(turn())
        try:
            yield
        finally:
            turning.cancel()
            supervisor.stopping.set()
            await running


async def test_of_five_hundred_only_the_one_that_kills_is_quarantined_and_nobody_else_is_charged(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    subjects = [str(number) for number in range(499)]
    rung = [await queued(database, "prices", subject=name) for name in [*subjects[:250], "killer", *subjects[250:]]]
    await bells.ring(rung)

    async def ended() -> bool:
        count = "SELECT count(*) FROM service_task_execution WHERE status IN ('success', 'failed')"
        return await scalar(database, count) == 500

    async with _house(urls, database, bells):
        await until(ended, 90)
    async with database.reading(None) as session:
        rows = (
            await session.execute(text("SELECT subject, status, attempt, reason FROM service_task_execution"))
        ).all()
    failed = [row for row in rows if row.status == "failed"]
    assert [row.subject for row in failed] == ["killer"]
    assert failed[0].reason.startswith("quarantined")
    assert {row.attempt for row in rows if row.subject != "killer"} == {1}
    killed = "SELECT count(*) FROM execution_attempts a JOIN service_task_execution e ON e.id = a.execution_id "
    assert await scalar(database, killed + "WHERE e.subject = 'killer' AND a.outcome = 'lost'") == DEATHS_ALONE + 1
    assert await scalar(database, "SELECT count(*) FROM error_logs WHERE error_type = 'Quarantined'") == 1


async def _die(database: Database, name: str) -> None:
    async with database.transaction(None) as session:
        await SweepRepository(session).take_back([name])


async def test_a_suspect_is_claimed_only_alone(database: Database) -> None:
    asha = await person(database)
    name = await worker(database)
    bell = await queued(database, "order_sync", asha)
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim([bell], name)
    await _die(database, name)
    again = type(bell)(bell.task_name, bell.queue, bell.scheduled_for, bell.execution_id, bell.generation + 1)
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        assert await ledger.claim([again], name) == []
        assert [suspect.execution_id for suspect in await ledger.suspects([again])] == [bell.execution_id]
        assert [one.attempt for one in await ledger.claim([again], name, alone=True)] == [1]


def test_the_whole_room_is_had_only_when_nothing_runs_and_nobody_takes_meanwhile() -> None:
    room = Room(2)
    assert room.take(0) == 2
    assert not room.take_whole(0.01)
    room.give(1)
    waiting = threading.Thread(target=lambda: taken.append(room.take_whole(5)))
    taken: list[bool] = []
    waiting.start()
    while not room._emptying:
        pass
    assert room.take(0.01) == 0
    room.give(1)
    waiting.join()
    assert taken == [True]
    assert room.take(0.01) == 0
    room.give(2)
    assert room.take(0) == 2
