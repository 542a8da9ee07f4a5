"""Halts on a real Postgres: who sees them, how long they last, and that no effect slips past one."""

import asyncio
from datetime import timedelta

import asyncpg
from sqlalchemy import text

from config.servers import ServerUrls
from db.channels import SETTLED_CHANNEL
from db.executions import Bell
from db.halts import HaltRepository
from db.schedules import ScheduleRepository
from db.shares import ShareRepository
from db.sweeps import SweepRepository
from db.transaction import Database
from tests.halted import ORDERS, halt, resume, scope_of
from tests.people import MORNING, Person, person, queued, replay_from, scalar, set_clock
from trading.halts import Stops


async def rung(database: Database) -> list[Bell]:
    """Ring what is due and shared, as a scheduler does."""
    async with database.transaction(None) as session:
        return await ShareRepository(session, 8).ring_shared(100)


async def test_until_is_market_time_and_what_has_expired_stops_nothing(database: Database) -> None:
    await replay_from(database)
    await queued(database, "prices", rung=False)
    until = MORNING + timedelta(hours=1)
    await halt(database, Stops.TASKS, *ORDERS, until=until)
    assert await rung(database) == []
    await set_clock(database, until)
    assert len(await rung(database)) == 1
    async with database.transaction(None) as session:
        halts = HaltRepository(session)
        assert (await halts.stops(1, 1)).all == ()
        assert await halts.listed(10) == []
        assert [row["until"] for row in await halts.listed(10, ended=True)] == [until]
        assert await halts.end(None, "ravi") == []
    assert await scalar(database, "SELECT ended_by || ' ' || (ended_at = until) FROM halts") == "until true"


async def test_a_replay_goes_on_past_what_is_paused_to_the_end_of_the_halt(database: Database) -> None:
    await replay_from(database)
    await queued(database, "prices", rung=False)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET enabled = false"))
    until = MORNING + timedelta(hours=1)
    await halt(database, Stops.TASKS, until=until)
    async with database.reading(None) as session:
        assert not await SweepRepository(session).busy()
        assert await ScheduleRepository(session).next_moment() == until
    await resume(database)
    async with database.reading(None) as session:
        assert await SweepRepository(session).busy()


async def test_halts_survive_a_restart_and_say_who_why_and_until_when(database: Database) -> None:
    asha = await person(database)
    until = MORNING + timedelta(days=9999)
    id_ = await halt(database, Stops.EXITS, until=until, **scope_of("account", asha))
    await database.engine.dispose()
    async with database.reading(None) as session:
        [row] = await HaltRepository(session).listed(10)
    assert (row["id"], row["created_by"], row["reason"], row["until"]) == (id_, "ravi", "a test", until)
    assert (row["email"], row["account_id"], row["exits"], row["entries"]) == (
        "asha@example.org",
        asha.account_id,
        True,
        False,
    )


async def test_the_same_said_twice_is_one_halt_and_what_says_more_is_another(database: Database) -> None:
    asha = await person(database)
    first = await halt(database, Stops.ENTRIES, user_id=asha.user_id)
    assert await halt(database, Stops.ENTRIES, user_id=asha.user_id) == first
    assert await halt(database, Stops.ENTRIES, Stops.EXITS, user_id=asha.user_id) != first
    assert await halt(database, Stops.ENTRIES) != first
    assert await halt(database, Stops.ENTRIES, user_id=asha.user_id, until=MORNING + timedelta(days=9999)) != first
    await resume(database)
    assert await halt(database, Stops.ENTRIES, user_id=asha.user_id) != first


async def test_two_who_halt_the_same_at_once_make_one_halt(database: Database) -> None:
    ids = await asyncio.gather(*(halt(database, Stops.ENTRIES) for _ in range(4)))
    assert len(set(ids)) == 1


async def test_a_user_sees_his_own_halts_and_those_of_everybody(database: Database) -> None:
    asha, bala = await person(database), await person(database, "bala")
    ids = [
        await halt(database, Stops.ENTRIES),
        await halt(database, Stops.ENTRIES, symbol="AAA"),
        await halt(database, Stops.ENTRIES, user_id=asha.user_id),
    ]
    await halt(database, Stops.ENTRIES, **scope_of("account", bala))
    async with database.transaction(asha.user_id) as session:
        assert (await session.execute(text("SELECT id FROM halts ORDER BY id"))).scalars().all() == ids
        stops = await HaltRepository(session).stops(asha.user_id, asha.account_id)
        assert [one.id for one in stops.all] == ids
        changed = await session.execute(text("UPDATE halts SET ended_at = now() WHERE user_id IS NULL RETURNING id"))
        assert changed.all() == [], "he may not end what is not his"


async def test_an_accounts_halt_leaves_the_users_other_accounts_alone(database: Database) -> None:
    asha = await person(database)
    id_ = await halt(database, Stops.ENTRIES, **scope_of("account", asha))
    async with database.transaction(asha.user_id) as session:
        halts = HaltRepository(session)
        assert [one.id for one in (await halts.stops(asha.user_id, asha.account_id)).all] == [id_]
        assert (await halts.stops(asha.user_id, asha.account_id + 1)).all == ()


async def test_schedulers_hear_of_a_halt_and_of_its_end_at_the_commit(database: Database, urls: ServerUrls) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    line = await asyncpg.connect(urls.database)
    await line.add_listener(SETTLED_CHANNEL, lambda *_: heard.put_nowait("heard"))
    async with asyncio.timeout(10):
        await halt(database, Stops.ENTRIES)
        await heard.get()
        await resume(database)
        await heard.get()
    await line.close()


async def _effect(database: Database, who: Person, reading: asyncio.Event, may_commit: asyncio.Event) -> int:
    """Plan an order as a step does, unless something halts it. Returns how many halts it saw."""
    async with database.transaction(who.user_id) as session:
        halts = HaltRepository(session)
        await halts.share()
        reading.set()
        await may_commit.wait()
        seen = len((await halts.stops(who.user_id, who.account_id)).all)
        if not seen:
            await session.execute(
                text("INSERT INTO activity (user_id, type) VALUES (:user_id, 'planned')"), {"user_id": who.user_id}
            )
    return seen


async def test_a_halt_waits_for_the_effects_that_began_before_it(database: Database) -> None:
    asha = await person(database)
    reading, may_commit = asyncio.Event(), asyncio.Event()
    effect = asyncio.create_task(_effect(database, asha, reading, may_commit))
    await reading.wait()
    halting = asyncio.create_task(halt(database, Stops.ENTRIES))
    async with asyncio.timeout(10):
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not await scalar(database, waiting):
            assert not halting.done()
    may_commit.set()
    assert await effect == 0
    await halting
    planned, halted = "SELECT created_at FROM halts", "SELECT ts FROM activity"
    assert await scalar(database, f"SELECT ({halted}) IS NOT NULL AND ({planned}) IS NOT NULL") is True


async def test_an_effect_that_begins_while_a_halt_commits_sees_it(database: Database) -> None:
    asha = await person(database)
    reading, may_commit = asyncio.Event(), asyncio.Event()
    may_commit.set()
    async with database.transaction(None) as session:
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('halts'))"))
        effect = asyncio.create_task(_effect(database, asha, reading, may_commit))
        async with asyncio.timeout(10):
            waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            while not (await session.execute(waiting)).scalar_one():
                assert not effect.done()
        await session.execute(
            text(
                "INSERT INTO halts (entries, exits, changes, tasks, reason, created_by) "
                "VALUES (true, false, false, false, 'a test', 'ravi')"
            )
        )
    assert await effect == 1
    assert await scalar(database, "SELECT count(*) FROM activity") == 0


async def test_effects_of_many_accounts_do_not_wait_for_each_other(database: Database) -> None:
    asha, bala = await person(database), await person(database, "bala")
    reading, may_commit = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(_effect(database, asha, reading, may_commit))
    await reading.wait()
    free = asyncio.Event()
    free.set()
    async with asyncio.timeout(10):
        assert await _effect(database, bala, asyncio.Event(), free) == 0
    assert not first.done()
    may_commit.set()
    assert await first == 0
