"""What a scheduler asks before it does anything, and how it goes through what waits."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import text

from db.sweeps import LAST_ID, Span, SweepRepository
from db.transaction import Database
from tests.people import MORNING, Person, person, queued, replay_from, scalar

NEEDS = json.dumps(
    [{"task": "order_sync", "subject": None, "account": True, "after": MORNING.isoformat(), "repeats": True}]
)


async def wait_for_syncs(database: Database, who: Person, count: int) -> list[int]:
    bells = [await queued(database, "buy_orders", who, str(number), rung=False) for number in range(count)]
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET status = 'waiting', waiting_for = CAST(:needs AS jsonb)"),
            {"needs": NEEDS},
        )
    return [bell.execution_id for bell in bells]


async def outlook(database: Database) -> set[str]:
    """Return what there may be to do with executions."""
    async with database.reading(None) as session:
        found = await SweepRepository(session).outlook()
    return {name for name in ("waiting", "unrung", "busy") if getattr(found, name)}


@pytest.mark.parametrize(
    ("status", "rung", "told"),
    [
        ("queued", True, {"busy"}),
        ("running", True, {"busy"}),
        ("queued", False, {"unrung", "busy"}),
        ("retrying", False, {"busy"}),
        ("waiting", False, {"waiting"}),
        ("success", True, set()),
        ("failed", True, set()),
        ("skipped", False, set()),
    ],
)
async def test_an_outlook_tells_what_there_is_to_do(
    database: Database, status: str, rung: bool, told: set[str]
) -> None:
    await queued(database, "prices", rung=rung)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = :status"), {"status": status})
    assert await outlook(database) == told


async def test_what_is_due_later_is_nothing_to_do_yet(database: Database) -> None:
    await replay_from(database)
    await queued(database, "prices", at=MORNING + timedelta(minutes=1), rung=False)
    assert await outlook(database) == set()


async def test_what_waits_is_gone_through_in_spans(database: Database) -> None:
    ids = await wait_for_syncs(database, await person(database), 5)
    async with database.reading(None) as session:
        sweeps = SweepRepository(session)
        first = await sweeps.waiting(0, 2)
        second = await sweeps.waiting(first.until, 2)
        third = await sweeps.waiting(second.until, 2)
    assert (first, second) == (Span(0, ids[1], 2), Span(ids[1], ids[3], 2))
    assert third == Span(ids[3], LAST_ID, 1)


async def test_syncs_are_made_and_hopes_given_up_within_a_span_alone(database: Database) -> None:
    await replay_from(database)
    asha, bala = await person(database, "asha"), await person(database, "bala")
    [first] = await wait_for_syncs(database, asha, 1)
    [second] = await wait_for_syncs(database, bala, 1)
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET useful_until = :at"), {"at": MORNING - timedelta(minutes=1)}
        )
    syncs = "SELECT array_agg(user_id) FROM service_task_execution WHERE task_name = 'order_sync'"
    async with database.transaction(None) as session:
        sweeps = SweepRepository(session)
        assert await sweeps.make_syncs(Span(first, second)) == 1
        assert await sweeps.give_up(Span(0, first)) == 1
    assert await scalar(database, syncs) == [bala.user_id]
    ended = "SELECT array_agg(id) FROM service_task_execution WHERE status = 'skipped'"
    assert await scalar(database, ended) == [first]


async def test_what_is_late_ends_only_under_the_generation_it_was_seen_in(database: Database) -> None:
    await replay_from(database)
    seen, renewed, useful = [await queued(database, "prices", subject=str(number)) for number in range(3)]
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET useful_until = :at WHERE subject <> '2'"),
            {"at": MORNING - timedelta(minutes=1)},
        )
        await session.execute(text("UPDATE service_task_execution SET generation = 2 WHERE subject = '1'"))
    async with database.transaction(None) as session:
        assert await SweepRepository(session).end_late([seen, renewed, useful]) == [seen.execution_id]
    assert await scalar(database, "SELECT string_agg(status, ',' ORDER BY id) FROM service_task_execution") == (
        "skipped,queued,queued"
    )
