"""What Redis lost is rung again from rows, and not one of them is written for it."""

import pytest
from sqlalchemy import text

from db.executions import Bell
from db.transaction import Database
from scheduler import rerings
from scheduler.healed import Healed
from scheduler.rerings import OVERDUE_SECONDS, UNANSWERED_SECONDS, Rerings
from scheduler.ringer import Ringer
from scheduler.sight import Sight
from scheduler.sweep import Sweep
from tests.people import MORNING, person, queued, replay_from, scalar
from tests.scheduler.messages import ready, waiting
from worker.bells.keys import messages_key
from worker.bells.ringing import Bells
from worker.wire import message_id

VERSIONS = "SELECT string_agg(ctid::text || generation || rings, ',' ORDER BY id) FROM service_task_execution"
STATUSES = "SELECT string_agg(status, ',' ORDER BY id) FROM service_task_execution"
NOBODY = "unix:///nowhere/redis.sock"


def looking(database: Database, bells: Bells) -> Rerings:
    return Rerings(database, Ringer(bells), Healed(), Sight(6.0, 4.0))


async def age(database: Database, seconds: float) -> None:
    """Let everything have been rung so long ago."""
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET rung_at = now() - make_interval(secs => :seconds)"),
            {"seconds": seconds},
        )


async def retrying(database: Database, count: int, seconds: float) -> list[Bell]:
    """Let executions wait for another try, due so many seconds from now."""
    bells = [await queued(database, "prices", None, f"{seconds} {number}", rung=False) for number in range(count)]
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "UPDATE service_task_execution SET status = 'retrying', next_attempt_at = now() + "
                "make_interval(secs => :seconds) WHERE id = ANY(:ids)"
            ),
            {"seconds": seconds, "ids": [bell.execution_id for bell in bells]},
        )
    return bells


async def test_a_lost_message_is_rung_again_and_no_row_is_written(database: Database, bells: Bells) -> None:
    asha = await person(database)
    lost = [await queued(database, "order_sync", who, str(n)) for n in range(3) for who in (asha, None)]
    await age(database, UNANSWERED_SECONDS + 1)
    before = await scalar(database, VERSIONS)
    await looking(database, bells).look()
    assert sorted(await ready(bells)) == sorted(map(message_id, lost))
    assert await scalar(database, VERSIONS) == before


async def test_a_backlog_that_waits_for_hours_stays_one_message_each(database: Database, bells: Bells) -> None:
    backlog = [await queued(database, "prices", subject=str(number)) for number in range(20)]
    await bells.ring(backlog)
    await age(database, 3 * 3600)
    look = looking(database, bells)
    before = await scalar(database, VERSIONS)
    for _ in range(20):
        await look.look()
    assert await ready(bells) == [message_id(bell) for bell in backlog]
    assert await bells.redis.hlen(messages_key("default")) == len(backlog)
    assert await scalar(database, VERSIONS) == before


async def test_what_was_rung_a_moment_ago_is_not_asked_about(database: Database, bells: Bells) -> None:
    await queued(database, "prices")
    await looking(database, bells).look()
    assert await ready(bells) == []


async def test_what_is_behind_its_share_or_waits_is_not_rung_again(database: Database, bells: Bells) -> None:
    asha = await person(database)
    for status in ("queued", "waiting"):
        await queued(database, "order_sync", asha, status, rung=False)
        async with database.transaction(None) as session:
            await session.execute(
                text("UPDATE service_task_execution SET status = subject, created_at = now() - interval '1 day'")
            )
    await looking(database, bells).look()
    assert await ready(bells) == []


async def test_after_a_wipe_retries_wait_for_the_time_they_had(database: Database, bells: Bells) -> None:
    later, soon = await retrying(database, 3, 600), await retrying(database, 3, 60)
    await looking(database, bells).look()
    found = await waiting(bells)
    assert found.keys() == {message_id(bell) for bell in [*later, *soon]}
    assert all(595 < found[message_id(bell)] <= 601 for bell in later)
    assert all(55 < found[message_id(bell)] <= 61 for bell in soon)
    assert await ready(bells) == []


async def test_a_retry_that_waits_already_keeps_its_time(database: Database, bells: Bells) -> None:
    [retry] = await retrying(database, 1, 600)
    await bells.wait([(retry, 30_000)])
    await looking(database, bells).look()
    assert (await waiting(bells))[message_id(retry)] < 31


async def test_an_overdue_retry_is_rung_at_once_and_waits_no_longer(database: Database, bells: Bells) -> None:
    [overdue] = await retrying(database, 1, -OVERDUE_SECONDS - 1)
    [lost] = await retrying(database, 1, -600)
    await bells.wait([(overdue, 600_000)])
    await looking(database, bells).look()
    assert sorted(await ready(bells)) == sorted([message_id(overdue), message_id(lost)])
    assert await waiting(bells) == {}


async def test_a_sweep_looks_at_a_page_and_goes_on_where_something_is_missing(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerings, "CHUNK", 3)
    asha = await person(database)
    there = [await queued(database, "order_sync", asha, str(number)) for number in range(5)]
    lost = [await queued(database, "prices", subject=str(number)) for number in range(5)]
    gone = await retrying(database, 8, 600)
    await bells.ring(there)
    await age(database, UNANSWERED_SECONDS + 1)
    look = looking(database, bells)
    await look.look()
    assert sorted(await ready(bells)) == sorted(map(message_id, there)), "the first page misses nothing"
    assert len(await waiting(bells)) == len(gone), "of these all are missing"
    await look.look()
    assert sorted(await ready(bells)) == sorted(map(message_id, [*there, *lost]))


async def test_what_nobody_began_by_its_deadline_ends_wherever_it_stands(database: Database, bells: Bells) -> None:
    await replay_from(database)
    asha = await person(database)
    await queued(database, "order_sync", asha, "rung")
    await queued(database, "order_sync", asha, "unrung", rung=False)
    await queued(database, "prices", None, "unrung", rung=False)
    await retrying(database, 1, 600)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET useful_until = :at"), {"at": MORNING})
        await session.execute(text("UPDATE market_clock SET at = at + interval '1 s'"))
    await looking(database, bells).look()
    assert await scalar(database, STATUSES) == "skipped,skipped,skipped,skipped"
    assert await ready(bells) == []


async def test_without_redis_a_sweep_does_all_that_needs_only_postgres(database: Database) -> None:
    await replay_from(database)
    await queued(database, "prices", None, "late")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET useful_until = :at"), {"at": MORNING})
        await session.execute(text("UPDATE market_clock SET at = at + interval '1 s'"))
    await queued(database, "prices", None, "due", rung=False)
    await retrying(database, 1, -60)
    bells = Bells(NOBODY)
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)
    assert await sweep.ring_ready() == 1
    await sweep.heal()
    await bells.close()
    assert await scalar(database, STATUSES) == "skipped,queued,retrying"
    assert await scalar(database, "SELECT kind || count FROM healings") == "late1"


async def test_what_was_put_right_is_written_down(database: Database, bells: Bells) -> None:
    await queued(database, "prices")
    await age(database, UNANSWERED_SECONDS + 1)
    await retrying(database, 2, 60)
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)
    for _ in range(2):
        await sweep.heal()
    told = "SELECT string_agg(kind || ' ' || count, ', ' ORDER BY kind) FROM healings"
    assert await scalar(database, told) == "retry_rebuilt 2, rung_again 1"
