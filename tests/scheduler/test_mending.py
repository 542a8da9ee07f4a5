"""What workers claim on Redis and nobody begins comes back, and what is in no place is put back."""

import asyncio

import pytest
from sqlalchemy import text

from db.claims import LedgerRepository, Settlement
from db.executions import Bell
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.claimed import Watch
from scheduler.healed import Healed
from scheduler.mending import ALONE_SECONDS, STUCK_SECONDS, Mender
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import queued, scalar, worker
from tests.scheduler.messages import claimed, ready
from worker.bells.calls import text as text_of
from worker.bells.keys import HEARTBEATS, claims_key, dead_key, messages_key, ready_key
from worker.bells.ringing import Bells
from worker.wire import message_id

GENERATION = "SELECT generation FROM service_task_execution"
HEALED = "SELECT string_agg(kind || ' ' || count, ', ' ORDER BY kind) FROM healings"


class Clock:
    """A machine's clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Mending:
    """A mender whose time a test moves, and what it finds on Redis."""

    def __init__(self, database: Database, bells: Bells) -> None:
        self.database, self.bells, self.clock, self.healed = database, bells, Clock(), Healed()
        self.mender = Mender(database, Ringer(bells), self.healed)
        self.mender.watch = Watch(self.clock)

    async def look(self, seconds: float = 0.0) -> None:
        """Look at claims so many seconds after the last look."""
        self.clock.now += seconds
        await self.mender.free_stuck()

    async def told(self) -> object:
        await self.healed.write(self.database)
        return await scalar(self.database, HEALED)

    async def ready(self) -> list[str]:
        return await ready(self.bells)

    async def claimed(self, name: str = "w1") -> set[str]:
        return await claimed(self.bells, name)


@pytest.fixture
def mending(database: Database, bells: Bells) -> Mending:
    return Mending(database, bells)


async def fetched(bells: Bells, bell: Bell, name: str = "w1") -> str:
    """Let a worker fetch a message, and lose the answer."""
    await bells.ring([bell])
    id_ = message_id(bell)
    await bells.redis.lrem(ready_key("default"), 1, id_)
    await bells.redis.sadd(claims_key(name, "default"), id_)
    return id_


async def claim(database: Database, bell: Bell, name: str = "w1") -> None:
    async with database.transaction(None) as session:
        won, _ = await LedgerRepository(session).claim([bell], name)
        assert won


@pytest.mark.parametrize("status", ["queued", "retrying"])
async def test_a_message_that_a_living_worker_lost_sight_of_is_rung_under_a_new_generation(
    database: Database, bells: Bells, mending: Mending, status: str
) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    if status == "retrying":
        async with database.transaction(None) as session:
            await session.execute(
                text("UPDATE service_task_execution SET status = 'retrying', rung_at = NULL, next_attempt_at = now()")
            )
    await fetched(bells, bell)
    for seconds in (0.0, STUCK_SECONDS - 1):
        await mending.look(seconds)
        assert await mending.ready() == []
    await mending.look(1)
    assert await mending.ready() == [f"{bell.execution_id}.2"]
    assert await mending.claimed() == set()
    assert await scalar(database, GENERATION) == 2
    assert await mending.told() == "stuck_claim 1"


async def test_what_runs_for_hours_is_left_with_its_worker(database: Database, bells: Bells, mending: Mending) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    id_ = await fetched(bells, bell)
    await claim(database, bell)
    for _ in range(3):
        await mending.look(3600)
    assert await mending.claimed() == {id_}
    assert await mending.ready() == []
    assert await scalar(database, GENERATION) == 1


async def test_a_message_that_was_away_in_between_is_new_again(
    database: Database, bells: Bells, mending: Mending
) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    id_ = await fetched(bells, bell)
    await mending.look()
    await bells.redis.srem(claims_key("w1", "default"), id_)
    await mending.look(STUCK_SECONDS)
    await bells.redis.sadd(claims_key("w1", "default"), id_)
    await mending.look(STUCK_SECONDS)
    assert await scalar(database, GENERATION) == 1


async def test_what_waits_to_run_alone_is_given_more_time(database: Database, bells: Bells, mending: Mending) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET losses = 1"))
    await fetched(bells, bell)
    await mending.look()
    await mending.look(ALONE_SECONDS - 1)
    assert await scalar(database, GENERATION) == 1
    await mending.look(1)
    assert await scalar(database, GENERATION) == 2


async def test_a_message_whose_acknowledgement_was_lost_leaves_redis(
    database: Database, bells: Bells, mending: Mending
) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    await fetched(bells, bell)
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        [held], _ = await ledger.claim([bell], "w1")
        await ledger.settle([Settlement(held, "success", 0.1)], "w1")
    await mending.look()
    await mending.look(STUCK_SECONDS)
    assert await mending.claimed() == set()
    assert await bells.redis.hlen(messages_key("default")) == 0
    assert await mending.told() == "leftover_claim 1"


async def test_what_belongs_to_other_actors_is_left_where_it_is(
    database: Database, bells: Bells, mending: Mending
) -> None:
    await worker(database)
    await bells.redis.sadd(claims_key("w1", "default"), "a-stock-id")
    await bells.redis.hset(messages_key("default"), "a-stock-id", b"no message at all")
    await mending.look()
    await mending.look(STUCK_SECONDS)
    assert await mending.claimed() == {"a-stock-id"}


async def test_claims_left_by_workers_that_ended_are_given_back(
    database: Database, bells: Bells, mending: Mending
) -> None:
    for name in ("ended", "living"):
        await worker(database, name)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE worker_processes SET ended_at = now() WHERE name = 'ended'"))
    left, held = await queued(database, "prices", subject="left"), await queued(database, "prices", subject="held")
    id_ = await fetched(bells, left, "ended")
    await fetched(bells, held, "living")
    await mending.mender.scan()
    assert await mending.ready() == [id_]
    assert await mending.claimed("ended") == set()
    assert len(await mending.claimed("living")) == 1
    assert await mending.told() == "stray_claim 1"


async def test_a_stock_worker_is_left_alone_while_it_is_heard_of(
    database: Database, bells: Bells, mending: Mending
) -> None:
    heard, silent = [await queued(database, "prices", subject=name) for name in ("heard", "silent")]
    at, _ = await bells.redis.time()
    await fetched(bells, heard, "heard")
    await bells.redis.zadd(HEARTBEATS, {"heard": at * 1000, "silent": (at - 61) * 1000})
    id_ = await fetched(bells, silent, "silent")
    await mending.mender.scan()
    assert await mending.ready() == [id_]
    assert len(await mending.claimed("heard")) == 1


async def test_a_message_in_no_place_is_put_back_and_its_bell_rings_again(
    database: Database, bells: Bells, mending: Mending
) -> None:
    bell = await queued(database, "prices")
    await bells.ring([bell])
    await bells.redis.delete(ready_key("default"))
    assert await bells.ring([bell]) == 0, "its bytes are there, so it looks as if it were"
    await mending.mender.scan()
    assert await mending.ready() == [message_id(bell)]
    assert await mending.told() == "restored 1"


async def test_a_claim_of_nothing_is_forgotten(database: Database, bells: Bells, mending: Mending) -> None:
    await worker(database)
    await bells.redis.sadd(claims_key("w1", "default"), "9.1")
    await mending.mender.scan()
    assert await mending.claimed() == set()
    assert await mending.told() == "empty_claim 1"


async def test_two_that_mend_at_once_ring_one_message(database: Database, bells: Bells, mending: Mending) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    await fetched(bells, bell)
    other = Mending(database, bells)
    for seconds in (0.0, STUCK_SECONDS):
        await asyncio.gather(mending.look(seconds), other.look(seconds))
    assert await mending.ready() == [f"{bell.execution_id}.2"]
    assert await scalar(database, GENERATION) == 2


async def test_without_redis_or_with_a_new_one_nothing_is_found_and_nothing_raised(database: Database) -> None:
    await worker(database)
    bells = Bells("unix:///nowhere/redis.sock")
    away = Mending(database, bells)
    await away.look()
    await away.mender.scan()
    await bells.close()


async def copy(bells: Bells) -> dict[str, bytes]:
    """Return a copy of everything on Redis, as a backup has it."""
    keys = [text_of(key) for key in await bells.redis.keys("*")]
    return {key: bytes_ for key in keys if (bytes_ := await bells.redis.dump(key)) is not None}


async def restore(bells: Bells, backup: dict[str, bytes]) -> None:
    await bells.redis.flushall()
    for key, value in backup.items():
        await bells.redis.restore(key, 0, value)


async def test_with_redis_restored_from_an_old_copy_everything_open_can_be_claimed_once(
    database: Database, bells: Bells, mending: Mending
) -> None:
    """The copy tells of an hour ago: of executions that ended, of claims of workers that ended, of old generations."""
    await worker(database, "w1")
    await worker(database, "before")
    over, again, lost, kept = [await queued(database, "prices", subject=str(number)) for number in range(4)]
    await fetched(bells, over)
    await fetched(bells, again, "before")
    await bells.ring([lost, kept])
    backup = await copy(bells)
    async with database.transaction(None) as session:
        ledger = LedgerRepository(session)
        [first], _ = await ledger.claim([over], "w1")
        await ledger.settle([Settlement(first, "success", 0.1)], "w1")
        await session.execute(
            text("UPDATE service_task_execution SET generation = 2, rung_at = NULL WHERE id = :id"),
            {"id": lost.execution_id},
        )
        await WorkerRepository(session).expire("before")
    new = await queued(database, "prices", subject="new")
    sweep = Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8)
    await sweep.heal()
    await bells.redis.flushall()
    await restore(bells, backup)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET rung_at = now() - interval '1 minute'"))
    for seconds in (0.0, STUCK_SECONDS):
        await sweep.ring_ready()
        await sweep.heal()
        await mending.mender.scan()
        await mending.look(seconds)
    wanted = {message_id(again), f"{lost.execution_id}.2", message_id(kept), message_id(new)}
    assert wanted <= set(await mending.ready())
    assert await mending.claimed() == set()
    assert len(await mending.ready()) == len(set(await mending.ready()))


async def test_old_dead_letters_are_forgotten_and_young_ones_are_kept(
    database: Database, bells: Bells, mending: Mending
) -> None:
    old, young = [await queued(database, "prices", subject=name) for name in ("old", "young")]
    await bells.ring([old, young])
    for bell in (old, young):
        assert await bells.bury("default", message_id(bell), "no")
    await bells.redis.zadd(dead_key("default"), {message_id(old): 1})
    await mending.mender.scan()
    assert await bells.redis.zrange(dead_key("default"), 0, -1) == [message_id(young).encode()]
    assert await mending.told() == "dead_letter_purged 1"
