"""What was with a dead worker runs with nothing beside it, and what was before it is in the record by then."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import Settlement
from db.executions import Bell, Execution
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import claim, open_ledger, running_broker, running_worker
from worker.bells.keys import claims_key
from worker.bells.ringing import Bells
from worker.outcome import Outcome, done
from worker.queue import consumer

ROW = "SELECT concat_ws(' ', status, attempt, generation) FROM service_task_execution WHERE id = :id"


async def suspect(database: Database, subject: str) -> Bell:
    """Queue an execution whose worker has died once."""
    bell = await queued(database, "prices", subject=subject)
    async with database.transaction(None) as session:
        await session.execute(
            text("UPDATE service_task_execution SET losses = 1 WHERE id = :id"), {"id": bell.execution_id}
        )
    return bell


async def test_a_suspect_has_the_process_to_itself_and_the_others_go_on_afterwards(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    suspects = [await suspect(database, f"suspect {number}") for number in range(3)]
    others = [await queued(database, "prices", subject=str(number)) for number in range(30)]
    beside: list[set[str]] = []
    running: set[str] = set()

    async def step(_: object, execution: Execution) -> Outcome:
        running.add(execution.subject)
        for _turn in range(50):
            beside.append(set(running))
            await asyncio.sleep(0)
        running.discard(execution.subject)
        return done()

    async def is_over() -> bool:
        return await scalar(database, "SELECT count(*) FROM service_task_execution WHERE status = 'success'") == 33

    await bells.ring([*others[:15], *suspects, *others[15:]])
    with running_worker(urls, step):
        await until(is_over, 20)
    assert max(len(names) for names in beside) > 1, "nothing ever ran beside anything"
    assert all(len(names) == 1 for names in beside if any(name.startswith("suspect") for name in names))
    assert await scalar(database, "SELECT max(attempt) FROM service_task_execution") == 1


async def test_a_process_told_to_end_gives_a_waiting_suspect_back(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    long, waiting = await queued(database, "prices", subject="long"), await suspect(database, "suspect")
    began, ended = threading.Event(), threading.Event()

    async def step(*_: object) -> Outcome:
        began.set()
        await asyncio.to_thread(ended.wait, 2)
        return done()

    async def one_has_begun_and_both_are_fetched() -> bool:
        return began.is_set() and await bells.redis.scard(claims_key("w1", "default")) == 2

    await bells.ring([long, waiting])
    with running_worker(urls, step):
        await until(one_has_begun_and_both_are_fetched)
    assert await scalar(database, ROW, id=long.execution_id) == "success 1 1"
    assert str(await scalar(database, ROW, id=waiting.execution_id)).startswith("queued 0")
    assert await bells.redis.scard(claims_key("w1", "default")) == 0
    assert await scalar(database, "SELECT count(*) FROM execution_attempts") == 0


async def test_with_a_single_place_others_go_on_after_a_suspect_too(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    rung = [await suspect(database, "suspect"), await queued(database, "prices", subject="other")]

    async def step(*_: object) -> Outcome:
        return done()

    async def is_over() -> bool:
        return await scalar(database, "SELECT count(*) FROM service_task_execution WHERE status = 'success'") == 2

    async def all_room_is_free() -> bool:
        return ledger.room.held == 0  # but while a fetch is under way

    await bells.ring(rung)
    with running_worker(urls, step, threads=1) as ledger:
        await until(is_over)
        await until(all_room_is_free)


async def test_a_suspect_does_not_stand_behind_a_long_one_while_another_process_is_idle(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "ALONE_SECONDS", 0.5)
    await worker(database)
    await worker(database, "w2")
    long, alone = await queued(database, "prices", subject="long"), await suspect(database, "suspect")
    go, ran_in = threading.Event(), list[str]()

    def step_in(name: str) -> Callable[..., Awaitable[Outcome]]:
        async def step(_: object, execution: Execution) -> Outcome:
            if execution.subject == "long":
                await asyncio.to_thread(go.wait, 30)
            else:
                ran_in.append(name)
            return done()

        return step

    async def is_held_back() -> bool:
        return len(first.ledger.held) == 1 and await bells.redis.scard(claims_key("w1", "default")) == 2

    async def has_run() -> bool:
        return str(await scalar(database, ROW, id=alone.execution_id)).startswith("success")

    with running_broker(urls, step_in("w1")) as first:
        await bells.ring([long])
        await until(lambda: _is(len(first.ledger.held) == 1))
        await bells.ring([alone])
        await until(is_held_back)
        try:
            with running_broker(urls, step_in("w2"), "w2"):
                await until(has_run)
        finally:
            go.set()
    assert ran_in == ["w2"]


async def _is(value: bool) -> bool:
    return value


async def test_what_ended_before_is_committed_before_a_suspect_begins(database: Database, urls: ServerUrls) -> None:
    await worker(database)
    first, second = await queued(database, "prices", subject="first"), await suspect(database, "second")
    with open_ledger(urls) as ledger:
        [held] = (await claim(ledger, first)).won
        async with database.transaction(None) as session:
            # Locked by us, the outcome cannot be committed.
            await session.execute(
                text("SELECT 1 FROM service_task_execution WHERE id = :id FOR UPDATE"), {"id": first.execution_id}
            )
            ended = Settlement(held.execution, "success", 0.1)
            ledger.loop.call_soon_threadsafe(ledger.finish, held, ended)
            claiming = asyncio.create_task(claim(ledger, second, alone=True))
            finished, _ = await asyncio.wait([claiming], timeout=0.3)
            assert not finished
            assert ledger.settler.left == 1
        assert len((await claiming).won) == 1
        assert ledger.settler.left == 0


async def test_what_does_not_end_in_time_is_interrupted_and_costs_no_attempt(
    database: Database, urls: ServerUrls
) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    with open_ledger(urls) as ledger:
        await claim(ledger, bell)
    assert await scalar(database, ROW, id=bell.execution_id) == "queued 0 2"
    assert await scalar(database, "SELECT losses FROM service_task_execution") == 0
    attempt = "SELECT concat_ws(' ', outcome, attempt, generation, started_at IS NOT NULL) FROM execution_attempts"
    assert await scalar(database, attempt) == "interrupted 1 1 t"


async def test_one_that_is_inside_a_transaction_is_interrupted_after_it(database: Database, urls: ServerUrls) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    with open_ledger(urls) as ledger:
        await claim(ledger, bell)
        async with database.transaction(None) as session:
            await session.execute(text("SELECT 1 FROM service_task_execution FOR SHARE"))
            closing = asyncio.create_task(asyncio.to_thread(ledger.close, 5))
            finished, _ = await asyncio.wait([closing], timeout=0.3)
            assert not finished
        await closing
    assert await scalar(database, ROW, id=bell.execution_id) == "queued 0 2"
