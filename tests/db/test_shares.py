"""A user's share of a queue: nobody's backlog takes more of Redis than that, whoever rings and however many at once."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from db.claims import LedgerRepository, Settlement
from db.executions import Bell
from db.fan_outs import FanOutRepository, Slot
from db.hand_backs import HandBackRepository
from db.shares import Place, ShareRepository
from db.transaction import Database
from tests.people import MORNING, Person, person, queued, replay_from, scalar, set_clock, worker

SHARE = 3
QUEUES = ["orders", "strategy", "default"]
TAKEN = "SELECT count(*) FROM service_task_execution WHERE is_open AND rung_at IS NOT NULL AND user_id = :user_id"


async def backlog(database: Database, who: Person | None, count: int, queue: str = "default") -> list[int]:
    """Queue executions that nobody has rung, and return their ids."""
    bells = [await queued(database, "order_sync", who, f"{queue}{number}", rung=False) for number in range(count)]
    ids = [bell.execution_id for bell in bells]
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET queue = :queue WHERE id = ANY(:ids)"), {"queue": queue, "ids": ids}
        )
    return ids


async def due(database: Database, share: int = SHARE, places: int = 100) -> list[int]:
    """Ring what has room, from the first user to the last, and return the ids in the order of their ringing."""
    behind: Place | None = Place()
    ids: list[int] = []
    while behind is not None:
        async with database.transaction(None) as session:
            bells, behind = await ShareRepository(session, share).ring_due(behind, places)
        ids += [bell.execution_id for bell in bells]
    return ids


async def nexts(database: Database, who: Person, share: int = SHARE) -> list[int]:
    async with database.transaction(None) as session:
        bells = await ShareRepository(session, share).ring_next([who.user_id], QUEUES)
    return [bell.execution_id for bell in bells]


async def end(database: Database, bells: list[Bell], name: str = "w1") -> None:
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        won, _ = await ledger.claim(bells, name)
        await ledger.settle([Settlement(one, "success", 0.1) for one in won], name)


async def bells_of(database: Database, ids: list[int]) -> list[Bell]:
    query = text(
        "SELECT task_name, queue, scheduled_for, id, generation FROM service_task_execution WHERE id = ANY(:ids)"
    )
    async with database.reading(None) as session:
        return [Bell(*row) for row in await session.execute(query, {"ids": ids})]


async def test_of_a_backlog_the_oldest_are_rung_as_many_as_the_share(database: Database) -> None:
    asha = await person(database)
    ids = await backlog(database, asha, 10)
    assert sorted(await due(database)) == ids[:SHARE]
    assert await due(database) == []


async def test_what_ends_lets_the_next_on(database: Database) -> None:
    asha = await person(database)
    ids = await backlog(database, asha, 10)
    await worker(database)
    await due(database)
    await end(database, await bells_of(database, ids[:2]))
    assert sorted(await nexts(database, asha)) == ids[3:5]
    assert await nexts(database, asha) == []


async def test_each_user_and_each_queue_has_a_share_of_its_own(database: Database) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    loud, quiet = await backlog(database, asha, 20), await backlog(database, bala, 1)
    other = await backlog(database, asha, 5, "orders")
    assert sorted(await due(database)) == sorted([*loud[:SHARE], *quiet, *other[:SHARE]])


async def test_what_belongs_to_nobody_is_not_limited(database: Database) -> None:
    ids = await backlog(database, None, 10)
    assert await due(database) == []
    async with database.transaction(None) as session:
        rung = await ShareRepository(session, SHARE).ring_shared(100)
    assert sorted(bell.execution_id for bell in rung) == ids


@pytest.mark.parametrize("status", ["waiting", "retrying", "skipped", "cancelled", "success", "failed"])
async def test_what_is_not_queued_is_never_rung(database: Database, status: str) -> None:
    asha = await person(database)
    await backlog(database, asha, 2)
    await backlog(database, None, 2)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = :status"), {"status": status})
    assert await due(database) == []
    assert await nexts(database, asha) == []
    async with database.transaction(None) as session:
        assert await ShareRepository(session, SHARE).ring_shared(100) == []


async def test_what_is_due_later_is_rung_when_it_is_due(database: Database) -> None:
    await replay_from(database)
    asha = await person(database)
    later = MORNING + timedelta(minutes=1)
    bell = await queued(database, "order_sync", asha, at=later, rung=False)
    assert await due(database) == []
    assert await nexts(database, asha) == []
    await set_clock(database, later)
    assert await due(database) == [bell.execution_id]


async def test_what_is_handed_back_waits_for_its_turn_again(database: Database) -> None:
    asha = await person(database)
    ids = await backlog(database, asha, 5)
    name = await worker(database)
    await due(database)
    held = await bells_of(database, ids[2:3])
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim(held, name)
        await HandBackRepository(session).hand_back(held, name)
    assert await due(database) == [ids[2]]


async def test_a_retry_that_waits_takes_no_place(database: Database) -> None:
    asha = await person(database)
    ids = await backlog(database, asha, 5)
    name = await worker(database)
    await due(database)
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        [held], _ = await ledger.claim(await bells_of(database, ids[:1]), name)
        await ledger.settle([Settlement(held, "retrying", 0.1, backoff_seconds=60)], name)
    assert await nexts(database, asha) == [ids[3]]


async def test_a_walk_goes_on_where_it_stopped_and_comes_to_everybody(database: Database) -> None:
    people = [await person(database, f"user{number}") for number in range(7)]
    ids = [(await backlog(database, who, 2))[0] for who in people]
    async with database.transaction(None) as session:
        bells, behind = await ShareRepository(session, 1).ring_due(Place(), 3)
    assert [bell.execution_id for bell in bells] == ids[:3]
    assert behind is not None
    async with database.transaction(None) as session:
        rest, end_ = await ShareRepository(session, 1).ring_due(behind, 100)
    assert [bell.execution_id for bell in rest] == ids[3:]
    assert end_ is None


async def test_whoever_is_counted_by_another_is_left_to_him(database: Database) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    await backlog(database, asha, 3 * SHARE)
    other = await backlog(database, bala, 2)
    async with database.transaction(None) as ledger:
        await ShareRepository(ledger, SHARE).ring_next([asha.user_id], QUEUES)
        assert sorted(await due(database)) == other
    assert await due(database) == []
    assert await scalar(database, TAKEN, user_id=asha.user_id) == SHARE


async def test_two_that_count_the_same_user_do_it_one_after_the_other(database: Database) -> None:
    asha = await person(database)
    await backlog(database, asha, 3 * SHARE)
    async with database.transaction(None) as first:
        await ShareRepository(first, SHARE).ring_next([asha.user_id], QUEUES)
        second = asyncio.create_task(nexts(database, asha))
        done, _ = await asyncio.wait([second], timeout=0.2)
        assert not done
    assert await second == []


async def test_two_schedulers_a_fan_out_and_two_ledgers_never_let_more_on_than_the_share(database: Database) -> None:
    await replay_from(database)
    asha = await person(database)
    await backlog(database, asha, 40)
    for name in ("w1", "w2"):
        await worker(database, name)
    done = asyncio.Event()
    most = 0

    async def schedule() -> None:
        while not done.is_set():
            await due(database)

    async def fan_out() -> None:
        id_ = int(str(await scalar(database, "SELECT id FROM schedules WHERE name = 'order_sync before open'")))
        for number in range(40):
            at = MORNING - timedelta(seconds=number)
            slot = Slot(id_, "order_sync", "default", at, at.date(), at, at + timedelta(days=9), None)
            async with database.transaction(None) as session:
                await FanOutRepository(session, SHARE).make([slot], 10)

    async def work(name: str) -> None:
        nonlocal most
        while not done.is_set():
            async with database.transaction(None) as session:
                ledger = LedgerRepository(session)
                query = (
                    "SELECT id FROM service_task_execution WHERE is_open AND rung_at IS NOT NULL AND status = 'queued'"
                )
                ids = list((await session.execute(text(query))).scalars())
                won, _ = await ledger.claim(await bells_of(database, ids), name)
            async with database.transaction(None) as session:
                await LedgerRepository(session).settle([Settlement(one, "success", 0.1) for one in won], name)
                await ShareRepository(session, SHARE).ring_next([asha.user_id], QUEUES)
                taken = (await session.execute(text(TAKEN), {"user_id": asha.user_id})).scalar_one()
            most = max(most, taken)

    async def watch() -> None:
        nonlocal most
        left = "SELECT count(*) FROM service_task_execution WHERE is_open"
        while not fanning.done() or await scalar(database, left):
            most = max(most, int(str(await scalar(database, TAKEN, user_id=asha.user_id))))
        done.set()

    fanning = asyncio.create_task(fan_out())
    async with asyncio.timeout(60):
        await asyncio.gather(schedule(), schedule(), work("w1"), work("w2"), watch())
    await fanning
    assert most == SHARE
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE status = 'success'") == 80
