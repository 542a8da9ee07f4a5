"""The queue with Dramatiq's own worker around it: claimed before a thread sees it, settled before it is acknowledged."""

import asyncio
import threading
from datetime import UTC, datetime

import dramatiq
import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.claims import LedgerRepository
from db.executions import Bell
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import running_worker
from worker.bells.keys import claims_key, messages_key, ready_key
from worker.bells.ringing import Bells
from worker.outcome import Outcome, Refuse, Retry, done
from worker.wire import encode

COUNT = "SELECT count(*) FROM service_task_execution WHERE status = :status"


async def test_what_is_rung_runs_once_and_leaves_nothing_on_redis(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    rung = [await queued(database, "prices", subject=str(number)) for number in range(40)]
    await worker(database)
    runs: list[int] = []

    async def step(_: object, execution: object) -> Outcome:
        runs.append(execution.id)  # type: ignore[attr-defined]
        return done(n=1)

    await bells.ring(rung)
    with running_worker(urls, step):
        await bells.ring(rung)
        await until(lambda: _is(database, "success", 40))
    assert sorted(runs) == [bell.execution_id for bell in rung]
    assert await bells.redis.hlen(messages_key("default")) == 0
    assert await bells.redis.scard(claims_key("w1", "default")) == 0


async def test_ringing_twice_is_one_message(bells: Bells, database: Database) -> None:
    bell = await queued(database, "prices")
    await bells.ring([bell, bell])
    await bells.ring([bell])
    assert await bells.redis.llen(ready_key("default")) == 1


async def test_an_idle_worker_sleeps_in_a_blocking_read_and_is_woken_by_what_is_rung(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)

    async def step(*_: object) -> Outcome:
        return done()

    async def is_asleep() -> bool:
        clients = await bells.redis.client_list(_type="normal")
        return any(client["cmd"] == "blmove" and "b" in client["flags"] for client in clients)

    with running_worker(urls, step):
        for number in range(3):
            await until(is_asleep)
            await bells.ring([await queued(database, "prices", subject=str(number))])
            await until(lambda number=number: _is(database, "success", number + 1))  # type: ignore[misc]


async def test_nothing_is_acknowledged_before_its_outcome_is_committed(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    bell = await queued(database, "prices")
    await worker(database)
    go = threading.Event()

    async def step(*_: object) -> Outcome:
        await asyncio.to_thread(go.wait, 10)
        return done()

    await bells.ring([bell])
    with running_worker(urls, step) as ledger:
        await until(lambda: _is(database, "running", 1))
        async with database.transaction(None) as session:
            # The row is locked by us: the settle cannot commit, and so the message must stay.
            await session.execute(text("SELECT 1 FROM service_task_execution FOR UPDATE"))
            go.set()
            await until(lambda: _answer(not ledger.held))
            assert await bells.redis.hlen(messages_key("default")) == 1
        await until(lambda: _is(database, "success", 1))
    assert await bells.redis.hlen(messages_key("default")) == 0


async def test_a_worker_without_a_lease_leaves_the_bells_to_others(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    bell = await queued(database, "prices")

    async def step(*_: object) -> Outcome:
        return done()

    await bells.ring([bell])
    with running_worker(urls, step, name="unregistered") as ledger:
        await until(lambda: _answer(bool(ledger.refused)))
    assert await bells.redis.llen(ready_key("default")) == 1
    assert await scalar(database, "SELECT status FROM service_task_execution") == "queued"


async def test_a_settle_whose_connection_is_cut_is_tried_again(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    bell = await queued(database, "prices")
    await worker(database)
    go = threading.Event()

    async def step(*_: object) -> Outcome:
        await asyncio.to_thread(go.wait, 10)
        return done()

    await bells.ring([bell])
    with running_worker(urls, step) as ledger:
        await until(lambda: _is(database, "running", 1))
        async with database.transaction(None) as session:
            await session.execute(text("SELECT 1 FROM service_task_execution FOR UPDATE"))
            go.set()
            await until(lambda: _answer(not ledger.held))
            cut = (
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                "WHERE pid <> pg_backend_pid() AND wait_event_type = 'Lock'"
            )

            async def struck() -> bool:
                return bool((await session.execute(text(cut))).scalar_one())

            await until(struck)
        await until(lambda: _is(database, "success", 1))


async def test_a_claim_of_unknown_outcome_is_handed_back(database: Database, urls: ServerUrls, bells: Bells) -> None:
    bell = await queued(database, "prices")
    await worker(database)
    refused = threading.Event()

    async def step(*_: object) -> Outcome:
        return done()

    claim = LedgerRepository.claim

    async def claim_and_lose_the_answer(self: LedgerRepository, *arguments: object, alone: bool) -> object:
        won = await claim(self, *arguments, alone=alone)  # type: ignore[arg-type]
        if not refused.is_set():
            refused.set()
            await self.session.commit()
            raise ConnectionError("the answer was lost")
        return won

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LedgerRepository, "claim", claim_and_lose_the_answer)
        await bells.ring([bell])
        with running_worker(urls, step):
            await until(lambda: _is(database, "queued", 1))
    assert await scalar(database, "SELECT generation FROM service_task_execution") == 2


async def test_errors_end_failed_and_temporary_ones_wait_for_their_next_attempt(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    rung = [await queued(database, "prices", subject=kind) for kind in ("bug", "refuse", "retry")]
    await worker(database)

    async def step(_: object, execution: object) -> Outcome:
        kind = execution.subject  # type: ignore[attr-defined]
        if kind == "bug":
            raise ZeroDivisionError("1 / 0")
        raise Refuse("no") if kind == "refuse" else Retry("away")

    await bells.ring(rung)
    with running_worker(urls, step):
        await until(lambda: _is(database, "failed", 2))
        await until(lambda: _is(database, "retrying", 1))
    assert "ZeroDivisionError: 1 / 0" in str(
        await scalar(database, "SELECT traceback FROM error_logs WHERE error_type = 'ZeroDivisionError'")
    )


async def test_one_outcome_that_postgres_refuses_ends_alone(database: Database, urls: ServerUrls, bells: Bells) -> None:
    rung = [await queued(database, "prices", subject=str(number)) for number in range(10)]
    await worker(database)

    async def step(_: object, execution: object) -> Outcome:
        bad = execution.subject == "3"  # type: ignore[attr-defined]
        return Outcome("no such status" if bad else "success", {"x": float("nan"), "y": "a\x00b"})

    await bells.ring(rung)
    with running_worker(urls, step):
        await until(lambda: _is(database, "success", 9))
        await until(lambda: _is(database, "failed", 1))
    assert (
        await scalar(database, "SELECT reason FROM service_task_execution WHERE subject = '3'") == "unstorable_outcome"
    )


async def test_an_undecodable_message_does_not_stop_its_neighbours(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    bell = await queued(database, "prices")
    await worker(database)

    async def step(*_: object) -> Outcome:
        return done()

    await bells.redis.hset(messages_key("default"), "bad", b"{not json")
    await bells.redis.rpush(ready_key("default"), "bad")
    await bells.ring([bell])
    with running_worker(urls, step):
        await until(lambda: _is(database, "success", 1))
    assert await bells.redis.scard(claims_key("w1", "default")) == 0
    assert await bells.redis.hgetall("dramatiq:default.XQ.msgs") == {b"bad": b"{not json"}


async def test_what_a_dead_worker_claimed_on_redis_comes_back(database: Database, bells: Bells) -> None:
    bell = await queued(database, "prices")
    await bells.ring([bell])
    id_ = await bells.redis.lpop(ready_key("default"))
    assert isinstance(id_, bytes)
    await bells.redis.sadd(claims_key("dead", "default"), id_)
    assert await bells.give_back(["dead"]) == 1
    assert await bells.redis.lrange(ready_key("default"), 0, -1) == [id_]
    assert await bells.give_back(["dead"]) == 0


async def test_work_that_never_began_is_handed_back_at_the_end(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    rung = [await queued(database, "prices", subject=str(number)) for number in range(8)]
    await worker(database)
    go = threading.Event()

    async def step(*_: object) -> Outcome:
        await asyncio.to_thread(go.wait, 5)
        return done()

    await bells.ring(rung)
    with running_worker(urls, step, threads=2):
        await until(lambda: _is(database, "running", 2))
        go.set()
    unfinished = await scalar(database, COUNT, status="running")
    assert unfinished == 0
    attempts = await scalar(
        database, "SELECT coalesce(sum(attempt), 0) FROM service_task_execution WHERE status = 'queued'"
    )
    assert attempts == 0


def test_the_message_is_dramatiqs_own_form() -> None:
    bell = Bell("order_sync", "orders", datetime(2024, 1, 2, tzinfo=UTC), 7, 3)
    message: dramatiq.Message[None] = dramatiq.Message.decode(encode(bell))
    assert (message.message_id, message.options["redis_message_id"]) == ("7.3", "7.3")
    assert list(message.args) == [7, "2024-01-02T00:00:00+00:00", 3]


async def _is(database: Database, status: str, count: int) -> bool:
    return await scalar(database, COUNT, status=status) == count


async def _answer(value: bool) -> bool:
    return value
