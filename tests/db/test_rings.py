"""What should be on Redis is read page by page, in an order that two reads share; what is stuck is told from what is not."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from db.claims import LedgerRepository
from db.executions import Bell
from db.rings import Page, RingRepository, Walk
from db.transaction import Database
from tests.people import MORNING, person, queued, replay_from, scalar, worker
from worker.wire import message_id

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


async def walked(database: Database, chunk: int, *, rung: bool = True) -> list[Page]:
    """Walk from the beginning to the end and return the pages."""
    walk: Walk | None = Walk()
    pages = []
    while walk is not None:
        async with database.reading(None) as session:
            rings = RingRepository(session)
            page = await (rings.rung(walk, 0, chunk) if rung else rings.unrung(walk, chunk))
        pages.append(page)
        walk = page.after
    return pages


async def change(database: Database, statement: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(statement))


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 7, 100])
async def test_a_walk_comes_to_everything_once_whatever_the_page(database: Database, chunk: int) -> None:
    asha, bala = await person(database, "asha"), await person(database, "bala")
    rung = [await queued(database, "order_sync", who, str(number)) for number in range(3) for who in (asha, None, bala)]
    unrung = [await queued(database, "order_sync", asha, f"unrung {number}", rung=False) for number in range(2)]
    await change(database, "UPDATE service_task_execution SET rung_at = rung_at - interval '1 s'")
    pages = await walked(database, chunk)
    found = [bell.execution_id for page in pages for bell in page.unanswered]
    assert sorted(found) == sorted(bell.execution_id for bell in rung)
    assert all(len(page.unanswered) <= chunk for page in pages)
    assert [page.unanswered for page in await walked(database, chunk, rung=False)] == [[]] * (len(unrung) // chunk + 1)


async def test_a_page_tells_what_is_late_apart_from_what_is_unanswered(database: Database) -> None:
    await replay_from(database)
    late, fresh = await queued(database, "prices", subject="late"), await queued(database, "prices", subject="fresh")
    behind = await queued(database, "prices", subject="late behind", rung=False)
    await change(
        database,
        "UPDATE service_task_execution SET rung_at = rung_at - interval '1 s', "
        "useful_until = market_now() - interval '1 s' * (CASE WHEN subject LIKE 'late%' THEN 1 ELSE -1 END)",
    )
    [page] = await walked(database, 10)
    assert (page.unanswered, page.late) == ([fresh], [late])
    [page] = await walked(database, 10, rung=False)
    assert page.late == [behind]


async def test_retries_come_by_their_time(database: Database) -> None:
    bells = [await queued(database, "prices", subject=str(number), rung=False) for number in range(4)]
    await change(
        database,
        "UPDATE service_task_execution SET status = 'retrying', next_attempt_at = now() + "
        "interval '1 minute' * (CASE subject WHEN '1' THEN -1 WHEN '2' THEN -1 ELSE 5 - subject::int END)",
    )
    async with database.reading(None) as session:
        first = await RingRepository(session).retries((LONG_AGO, 0), 3)
    async with database.reading(None) as session:
        rest = await RingRepository(session).retries((first[-1].at, first[-1].bell.execution_id), 3)
    assert [one.bell for one in [*first, *rest]] == [bells[1], bells[2], bells[3], bells[0]]
    assert [round(one.seconds / 60) for one in [*first, *rest]] == [-1, -1, 2, 5]


async def test_how_the_executions_of_claimed_messages_stand(database: Database) -> None:
    await worker(database)
    waits, runs, over, other = [await queued(database, "prices", subject=str(number)) for number in range(4)]
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim([runs], "w1")
    await change(database, "UPDATE service_task_execution SET status = 'success' WHERE subject = '2'")
    await change(database, "UPDATE service_task_execution SET generation = 2, losses = 1 WHERE subject = '3'")
    gone = Bell("prices", "default", MORNING, 10**9, 1)
    async with database.reading(None) as session:
        found = await RingRepository(session).stuck([waits, runs, over, other, gone])
    told = {key: (one.is_over, one.is_claimable, one.is_suspect) for key, one in found.items()}
    assert told == {
        message_id(waits): (False, True, False),
        message_id(runs): (False, False, False),
        message_id(over): (True, False, False),
        message_id(other): (True, False, True),
        message_id(gone): (True, False, False),
    }


async def test_only_what_is_still_to_be_claimed_gets_a_new_generation(database: Database) -> None:
    await worker(database)
    waits, runs, behind = [
        await queued(database, "prices", subject=name, rung=name != "behind") for name in ("waits", "runs", "behind")
    ]
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim([runs], "w1")
    for renewed in ([Bell("prices", "default", MORNING, waits.execution_id, 2)], []):
        async with database.transaction(None) as session:
            assert await RingRepository(session).renew([waits, runs, behind]) == renewed
    generations = "SELECT string_agg(generation || '', ',' ORDER BY id) FROM service_task_execution"
    assert await scalar(database, generations) == "2,1,1"
