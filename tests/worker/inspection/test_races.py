"""Whoever acts, claims or promotes at the same moment: one wins, and everybody is told the truth."""

import asyncio
from itertools import count

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import LedgerRepository
from db.engine import make_engine
from db.executions import Bell, ServiceTaskRepository
from db.interventions import InterventionRepository
from db.transaction import Database
from tests.people import Person, person, scalar, worker
from tests.waiting import until
from tests.worker.inside import running_worker
from tests.worker.inspection.makings import audited, command, dead, reach_of, retrying, row, stock_dead
from worker.bells.keys import claims_key, dead_key, messages_key, ready_key, waiting_key
from worker.bells.ringing import Bells
from worker.inspection import changing
from worker.inspection.acting import act, resolve
from worker.inspection.results import Action, Command, Group, Result, Verdict
from worker.outcome import Outcome, Retry, done
from worker.wire import message_id

MANY = 40


@pytest.fixture
async def asha(database: Database) -> Person:
    return await person(database)


async def _act(database: Database, bells: Bells, asked: Command, made: list[Bell]) -> list[Result]:
    reach = reach_of(database, bells)
    return await act(reach, asked, await resolve(reach, [str(bell.execution_id) for bell in made]))


async def _claim(database: Database, made: list[Bell]) -> set[int]:
    async with database.transaction(None) as session:
        won, _ = await LedgerRepository(session).claim(made, "w1")
        return {one.id for one in won}


async def test_of_two_who_do_something_at_once_each_execution_has_one_winner(
    database: Database, bells: Bells, asha: Person
) -> None:
    made = await retrying(database, bells, asha, count=MANY)
    both = await asyncio.gather(
        _act(database, bells, command(Group.RETRIES, Action.DELETE), made),
        _act(database, bells, command(Group.RETRIES, Action.KILL), made),
    )
    for deleted, killed in zip(*both, strict=True):
        assert sorted((deleted.verdict, killed.verdict)) == [Verdict.DONE, Verdict.LOST], (deleted, killed)
    assert len(await audited(database)) == MANY
    ended = await scalar(
        database, "SELECT count(*) FROM service_task_execution WHERE status IN ('failed', 'cancelled')"
    )
    killed_ones = await scalar(database, "SELECT count(*) FROM service_task_execution WHERE status = 'failed'")
    assert (ended, await bells.redis.zcard(dead_key("orders"))) == (MANY, killed_ones)
    assert await bells.redis.zcard(waiting_key("orders")) == 0


async def test_of_an_act_and_a_claim_at_once_one_wins(database: Database, bells: Bells, asha: Person) -> None:
    await worker(database)
    made = await retrying(database, bells, asha, count=MANY)
    acting = asyncio.create_task(_act(database, bells, command(Group.RETRIES, Action.DELETE), made))
    claims = await asyncio.gather(*(_claim(database, made[start : start + 10]) for start in range(0, MANY, 10)))
    results, claimed = await acting, set[int]().union(*claims)
    for bell, result in zip(made, results, strict=True):
        status, _ = await row(database, bell)
        if result.verdict is Verdict.DONE:
            assert (status, bell.execution_id in claimed) == ("cancelled", False)
        else:
            assert (result.verdict, status, bell.execution_id in claimed) == (Verdict.LOST, "running", True)


async def test_many_are_held_while_each_of_them_is_written(
    urls: ServerUrls, database: Database, bells: Bells, asha: Person
) -> None:
    """A row that was written between a statement's beginning and its lock is looked at anew: Postgres must live."""
    made = await retrying(database, bells, asha, count=5 * MANY)
    keys, is_held = [(bell.scheduled_for, bell.execution_id) for bell in made], asyncio.Event()

    async def write(own: Database) -> None:
        for number in count():
            if is_held.is_set():
                return
            one = {"id": keys[-1 - number % (4 * MANY)][1]}
            async with own.transaction(None) as session:
                await session.execute(
                    text("UPDATE service_task_execution SET attempt = attempt + 1 WHERE id = :id"), one
                )

    own = [Database(make_engine(urls.sqlalchemy, pool_size=1)) for _ in range(2)]
    writing = [asyncio.create_task(write(one)) for one in own]
    for _ in range(10):
        async with database.transaction(None) as session:
            held = await InterventionRepository(session).hold(keys)
        assert len(held) >= len(keys) - len(own)
    is_held.set()
    await asyncio.gather(*writing)
    for one in own:
        await one.close()


async def test_a_message_that_is_promoted_and_taken_between_the_row_and_the_script_is_dropped_at_the_claim(
    database: Database, bells: Bells, asha: Person
) -> None:
    await worker(database)
    [bell] = await retrying(database, bells, asha)
    reach, asked = reach_of(database, bells), command(Group.RETRIES, Action.RUN)
    refs = await resolve(reach, [str(bell.execution_id)])
    async with database.transaction(None) as session:
        written = await changing._change(session, reach, asked, refs)
    await bells.ring([bell])
    taken = await bells.redis.lpop(ready_key("orders"))
    assert taken == message_id(bell).encode()
    await bells.redis.sadd(claims_key("w1", "orders"), message_id(bell))
    told = await changing._tell(reach, asked, written)
    assert told[bell.execution_id].facts["message_was"] == "nowhere"
    assert await _claim(database, [bell]) == set()
    assert await bells.redis.lrange(ready_key("orders"), 0, -1) == [f"{bell.execution_id}.2".encode()]
    assert await bells.redis.hexists(messages_key("orders"), message_id(bell))


async def test_a_sweep_that_rings_between_the_row_and_the_script_makes_no_second_message(
    database: Database, bells: Bells, asha: Person
) -> None:
    [bell] = await retrying(database, bells, asha)
    reach, asked = reach_of(database, bells), command(Group.RETRIES, Action.RUN)
    async with database.transaction(None) as session:
        written = await changing._change(session, reach, asked, await resolve(reach, [str(bell.execution_id)]))
    await bells.ring(written.rung)
    await changing._tell(reach, asked, written)
    assert await bells.redis.lrange(ready_key("orders"), 0, -1) == [f"{bell.execution_id}.2".encode()]
    assert await bells.redis.zcard(waiting_key("orders")) == 0


async def test_of_two_who_requeue_at_once_one_makes_a_new_execution(
    database: Database, bells: Bells, asha: Person
) -> None:
    made = [await dead(database, bells, asha, subject=f"{n}:1", task="submit") for n in range(10)]
    asked = command(Group.DEAD, Action.REQUEUE)
    both = await asyncio.gather(_act(database, bells, asked, made), _act(database, bells, asked, made))
    for one, other in zip(*both, strict=True):
        assert sum(result.verdict is Verdict.DONE for result in (one, other)) == 1, (one, other)
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE status = 'queued'") == 10
    assert await bells.redis.zcard(dead_key("orders")) == 0


async def test_of_two_who_requeue_a_message_at_once_one_wins(database: Database, bells: Bells) -> None:
    for n in range(10):
        await stock_dead(bells, f"s{n}")
    reach, asked = reach_of(database, bells), command(Group.DEAD, Action.REQUEUE)
    refs = await resolve(reach, [f"s{n}" for n in range(10)])
    both = await asyncio.gather(act(reach, asked, refs), act(reach, asked, refs))
    for pair in zip(*both, strict=True):
        assert sorted(one.verdict for one in pair) == [Verdict.DONE, Verdict.LOST]
    assert await bells.redis.llen(ready_key("orders")) == 10


async def test_a_retry_that_is_run_runs_in_a_worker_long_before_its_time(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    [bell] = await retrying(database, bells, None, task="prices", queue="default", seconds=3600)

    async def step(*_: object) -> Outcome:
        return done(n=1)

    with running_worker(urls, step):
        [result] = await _act(database, bells, command(Group.RETRIES, Action.RUN), [bell])
        assert result.verdict is Verdict.DONE
        await until(lambda: _is(database, bell, "success"))
    assert await row(database, bell, "attempt, generation") == (2, 2)


async def test_what_is_killed_while_it_runs_changes_nothing_more_and_its_message_goes(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    [bell] = await retrying(database, bells, None, task="prices", queue="default")
    killed = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def step(_: object, execution: object) -> Outcome:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(killed.wait(), loop))
        own = Database(make_engine(urls.sqlalchemy, pool_size=1))
        try:
            async with own.transaction(None) as session:
                await ServiceTaskRepository(session).fence(execution)  # type: ignore[arg-type]  # as the ledger gave it
        finally:
            await own.close()
        raise Retry("it got past its fence")

    with running_worker(urls, step):
        await bells.ring([bell])
        await until(lambda: _is(database, bell, "running"))
        [result] = await _act(database, bells, command(Group.QUEUES, Action.KILL), [bell])
        assert result.verdict is Verdict.DONE
        killed.set()
        await until(lambda: _gone(bells))
    assert await row(database, bell, "status, reason") == ("cancelled", "killed by asha")
    assert await scalar(database, "SELECT string_agg(outcome, ',') FROM execution_attempts") == "interrupted"


async def _is(database: Database, bell: Bell, status: str) -> bool:
    return await row(database, bell, "status") == (status,)


async def _gone(bells: Bells) -> bool:
    return not await bells.redis.hlen(messages_key("default"))
