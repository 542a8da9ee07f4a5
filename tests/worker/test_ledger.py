"""Claims of a process: what it holds, what it gives back, and what a lost answer leaves behind."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import LedgerRepository
from db.executions import Execution
from db.shares import ShareRepository
from db.transaction import Database
from scheduler.wakeups import Wakeups
from tests.halted import halt, resume
from tests.people import MORNING, person, queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import beside, claim, holds_nothing, open_ledger, running_worker
from trading.halts import Stops
from worker import ledger as ledgers
from worker.bells.keys import claims_key, messages_key, ready_key
from worker.bells.ringing import Bells
from worker.ledger import Ledger
from worker.outcome import Outcome, done
from worker.queue.fetching import Fetching

ROW = "SELECT concat_ws(' ', status, attempt, generation) FROM service_task_execution WHERE id = :id"
COUNT = "SELECT count(*) FROM service_task_execution WHERE status = 'success'"

Answer = tuple[list[Execution], dict[str, str]]


async def step(*_: object) -> Outcome:
    return done()


def ended(database: Database, count: int) -> Callable[[], Awaitable[bool]]:
    """Return a condition: so many have succeeded."""

    async def there() -> bool:
        return await scalar(database, COUNT) == count

    return there


def lose_answers(monkeypatch: pytest.MonkeyPatch, of: set[str], *, committed: bool = True) -> list[float]:
    """Lose the answer of the first claim that asks for one of these subjects. Returns the moments of all claims."""
    original, moments, lost = LedgerRepository.claim, list[float](), threading.Event()

    async def claim_and_lose(self: LedgerRepository, *arguments: object, alone: bool = False) -> Answer:
        moments.append(time.monotonic())
        won, dropped = await original(self, *arguments, alone=alone)  # type: ignore[arg-type]
        if of & {one.subject for one in won} and not lost.is_set():
            lost.set()
            if committed:
                await self.session.commit()
            raise ConnectionError("the answer was lost")
        return won, dropped

    monkeypatch.setattr(LedgerRepository, "claim", claim_and_lose)
    return moments


async def test_what_was_won_without_being_told_is_handed_back_before_the_next_claim(
    database: Database, urls: ServerUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    lost, other = [await queued(database, "prices", subject=subject) for subject in ("lost", "other")]
    lose_answers(monkeypatch, {"lost"})
    with open_ledger(urls) as ledger:
        with pytest.raises(ConnectionError):
            await claim(ledger, lost)
        assert not ledger.held
        assert len((await claim(ledger, other)).won) == 1
        assert await scalar(database, ROW, id=lost.execution_id) == "queued 0 2"
        assert await scalar(database, ROW, id=other.execution_id) == "running 1 1"


async def test_a_running_execution_is_not_handed_back_with_a_copy_whose_claim_failed(
    database: Database, urls: ServerUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    running, lost, other = [await queued(database, "prices", subject=subject) for subject in ("run", "lost", "other")]
    lose_answers(monkeypatch, {"lost"})
    with open_ledger(urls) as ledger:
        [held] = (await claim(ledger, running)).won
        with pytest.raises(ConnectionError):
            await claim(ledger, running, lost)
        await claim(ledger, other)
        assert await scalar(database, ROW, id=running.execution_id) == "running 1 1"
        assert await scalar(database, ROW, id=lost.execution_id) == "queued 0 2"
        assert ledger.held[held.key] is held


async def test_the_message_of_a_running_execution_stays_though_it_is_fetched_a_second_time(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    running, other = [await queued(database, "prices", subject=str(number)) for number in range(2)]
    began, go = threading.Event(), threading.Event()

    async def waiting(*_: object) -> Outcome:
        began.set()
        await asyncio.to_thread(go.wait, 20)
        return done()

    async def is_copied() -> bool:
        return began.is_set() and await bells.redis.llen(ready_key("default")) == 0

    await bells.ring([running])
    with running_worker(urls, waiting) as ledger:
        await until(is_copied)
        began.clear()
        # As a stock client puts it back whose clock is ahead.
        await bells.redis.rpush(ready_key("default"), *[f"{running.execution_id}.1"] * 3)
        await bells.ring([other])
        await until(is_copied)
        assert await bells.redis.hlen(messages_key("default")) == 2
        assert set(ledger.known("default")) == {f"{bell.execution_id}.1" for bell in (running, other)}
        go.set()
        await until(ended(database, 2))

        async def is_over() -> bool:
            return await bells.redis.exists(messages_key("default"), claims_key("w1", "default")) == 0

        await until(is_over)
        await until(lambda: holds_nothing(ledger.room))
    assert await scalar(database, "SELECT max(attempt) FROM service_task_execution") == 1


async def test_a_claim_that_failed_and_won_nothing_leaves_its_executions_as_they_are(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    bell = await queued(database, "prices", subject="lost")
    lose_answers(monkeypatch, {"lost"}, committed=False)
    await bells.ring([bell])
    with running_worker(urls, step) as ledger:
        await until(ended(database, 1))
        assert ledger.refused == 1
        await until(lambda: holds_nothing(ledger.room))
    assert await scalar(database, ROW, id=bell.execution_id) == "success 1 1"


async def test_an_answer_that_comes_after_its_consumer_gave_up_leaves_nothing_held(
    database: Database, urls: ServerUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    late, other = [await queued(database, "prices", subject=subject) for subject in ("late", "other")]
    hold, gave_up = Ledger._hold, threading.Event()

    def hold_and_keep_the_loop_busy(self: Ledger, *arguments: object) -> None:
        hold(self, *arguments)  # type: ignore[arg-type]
        gave_up.wait(20)

    with open_ledger(urls) as ledger:
        monkeypatch.setattr(Ledger, "_hold", hold_and_keep_the_loop_busy)
        monkeypatch.setattr(ledgers, "CLAIM_SECONDS", 3.0)
        with pytest.raises(TimeoutError):
            await claim(ledger, late)
        gave_up.set()
        monkeypatch.setattr(ledgers, "CLAIM_SECONDS", 10.0)
        assert len((await claim(ledger, other)).won) == 1
        assert [held.execution.subject for held in ledger.held.values()] == ["other"]
        assert await scalar(database, ROW, id=late.execution_id) == "queued 0 2"


async def test_a_claim_that_takes_too_long_is_given_up_and_what_it_won_is_handed_back(
    database: Database, urls: ServerUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    late, other = [await queued(database, "prices", subject=subject) for subject in ("late", "other")]
    with open_ledger(urls) as ledger:
        async with database.transaction(None) as session:
            # The lease is locked by us: the claim waits.
            await session.execute(text("SELECT FROM worker_processes FOR UPDATE"))
            monkeypatch.setattr(ledgers, "CLAIM_SECONDS", 0.3)
            with pytest.raises(TimeoutError):
                await claim(ledger, late)
        monkeypatch.setattr(ledgers, "CLAIM_SECONDS", 10.0)
        assert len((await claim(ledger, other)).won) == 1
        assert [held.execution.subject for held in ledger.held.values()] == ["other"]
    assert str(await scalar(database, ROW, id=late.execution_id)).startswith("queued 0")


async def test_one_that_is_locked_for_a_moment_is_put_back_and_not_asked_for_at_full_speed(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    moments = lose_answers(monkeypatch, set())

    async def is_asked_for_again() -> bool:
        return len(moments) >= 4

    with running_worker(urls, step) as ledger:
        async with database.transaction(None) as session:
            await session.execute(text("SELECT FROM service_task_execution FOR UPDATE"))
            await bells.ring([bell])
            await until(is_asked_for_again)
            assert await bells.redis.hlen(messages_key("default")) == 1
        await until(ended(database, 1))
        await until(lambda: holds_nothing(ledger.room))
    assert moments[3] - moments[0] > 0.3
    assert await scalar(database, ROW, id=bell.execution_id) == "success 1 1"


async def test_its_neighbours_run_while_one_is_locked(database: Database, urls: ServerUrls, bells: Bells) -> None:
    await worker(database)
    locked, *others = [await queued(database, "prices", subject=str(number)) for number in range(20)]
    with running_worker(urls, step):
        async with database.transaction(None) as session:
            await session.execute(
                text("SELECT FROM service_task_execution WHERE id = :id FOR UPDATE"), {"id": locked.execution_id}
            )
            await bells.ring([locked, *others])
            await until(ended(database, 19))
        await until(ended(database, 20))


async def test_a_fetch_whose_answer_is_lost_is_found_again(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    lost, fetch = threading.Event(), Fetching.fetch

    def fetch_and_lose(self: Fetching, count: int) -> list[tuple[str, bytes]]:
        fetched = fetch(self, count)
        if fetched and not lost.is_set():
            lost.set()
            raise RedisConnectionError("the answer was lost")
        return fetched

    monkeypatch.setattr(Fetching, "fetch", fetch_and_lose)
    await bells.ring([await queued(database, "prices", subject=str(number)) for number in range(6)])
    with running_worker(urls, step) as ledger:
        await until(ended(database, 6))
        await until(lambda: holds_nothing(ledger.room))
    assert lost.is_set()
    assert await bells.redis.scard(claims_key("w1", "default")) == 0
    assert await scalar(database, "SELECT max(attempt) FROM service_task_execution") == 1


async def test_a_redis_that_forgot_all_scripts_and_messages_is_no_hindrance(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    first, second = [await queued(database, "prices", subject=str(number)) for number in range(2)]
    began, go = threading.Event(), threading.Event()

    async def waiting(*_: object) -> Outcome:
        began.set()
        await asyncio.to_thread(go.wait, 10)
        return done()

    async def has_begun() -> bool:
        return began.is_set()

    with running_worker(urls, waiting) as ledger:
        await bells.ring([first])
        await until(has_begun)
        await bells.redis.flushall()
        await bells.redis.script_flush()
        go.set()
        await bells.ring([first, second])
        await until(ended(database, 2))

        async def is_over() -> bool:
            return await bells.redis.exists(messages_key("default"), ready_key("default")) == 0

        await until(is_over)
        await until(lambda: holds_nothing(ledger.room))
    assert await scalar(database, "SELECT max(attempt) FROM service_task_execution") == 1


async def test_what_is_late_at_its_claim_wakes_the_scheduler_that_lets_its_users_next_on(
    database: Database, urls: ServerUrls
) -> None:
    await worker(database)
    asha = await person(database)
    late, _ = [await queued(database, "prices", asha, subject=str(number)) for number in range(2)]
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "UPDATE service_task_execution SET useful_until = CASE id WHEN :id THEN CAST(:at AS timestamptz) END, "
                "rung_at = CASE id WHEN :id THEN now() END"
            ),
            {"id": late.execution_id, "at": MORNING},
        )
    wakeups = Wakeups(urls.database)
    await wakeups.wait(0)
    with open_ledger(urls) as ledger:
        found = await claim(ledger, late)
        assert found.dropped == {f"{late.execution_id}.1": "late"}
        assert not ledger.held
        await asyncio.wait_for(wakeups.event.wait(), 5)
    await wakeups.close()


async def test_the_message_of_what_is_paused_leaves_redis_with_that_reason_and_runs_after_the_halt(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    asha = await person(database)
    bell = await queued(database, "prices", asha)
    id_ = await halt(database, Stops.TASKS, user_id=asha.user_id)

    async def is_gone() -> bool:
        return await bells.redis.hlen(messages_key("default")) == 0

    await bells.ring([bell])
    async with beside(running_worker(urls, step)) as ledger:
        await until(is_gone)
        assert await scalar(database, ROW, id=bell.execution_id) == "queued 0 2"
        await until(lambda: holds_nothing(ledger.room))
        await resume(database, [id_])
        async with database.transaction(None) as session:
            again = await ShareRepository(session, 8).ring_next([asha.user_id], ["default"])
        await bells.ring(again)
        await until(ended(database, 1))
    assert await scalar(database, ROW, id=bell.execution_id) == "success 1 2"


async def test_a_claim_says_that_a_halt_kept_an_execution_from_beginning(database: Database, urls: ServerUrls) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    await halt(database, Stops.TASKS)
    with open_ledger(urls) as ledger:
        found = await claim(ledger, bell)
        assert found.dropped == {f"{bell.execution_id}.1": "paused"}
        assert not ledger.held


async def test_what_was_claimed_and_never_began_is_no_longer_held_and_its_message_is_gone(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    await bells.ring([bell])
    with open_ledger(urls) as ledger:
        await bells.redis.lpop(ready_key("default"))
        await bells.redis.sadd(claims_key("w1", "default"), f"{bell.execution_id}.1")
        ledger.room.take("default", 0)
        [held] = (await claim(ledger, bell)).won
        ledger.loop.call_soon_threadsafe(ledger.hand_back, [held])

        async def is_back() -> bool:
            return (
                await scalar(database, ROW, id=bell.execution_id) == "queued 0 2"
                and await bells.redis.hlen(messages_key("default")) == 0
            )

        await until(is_back)
        assert not ledger.held
        assert ledger.room.held == 3  # of the four that were taken, one was the execution's
