"""A worker whose Postgres or Redis is away: it takes no more, keeps no more than it has room for, and loses nothing."""

import asyncio
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import dramatiq
import pytest

from config.servers import ServerUrls
from db.executions import Execution
from db.losses import LossRepository
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.bells.places import now_ms
from tests.worker.inside import beside, holds_nothing, read_only, running_broker, running_worker
from tests.worker.relay import Relay, relayed
from worker import settling
from worker.bells.keys import claims_key, dead_key, messages_key, ready_key, waiting_key
from worker.bells.ringing import Bells
from worker.messages import TASKS
from worker.outcome import Outcome, Refuse, Retry, done
from worker.queue.broker import QueueBroker

COUNT = "SELECT count(*) FROM service_task_execution WHERE status = :status"
ROW = "SELECT concat_ws(' ', status, attempt, generation) FROM service_task_execution WHERE id = :id"


@pytest.fixture
async def line(urls: ServerUrls) -> AsyncIterator[tuple[ServerUrls, Relay]]:
    """Addresses that reach Postgres through a relay, and the relay."""
    with tempfile.TemporaryDirectory(prefix="line-") as folder:
        async with relayed(urls, Path(folder)) as (relays, postgres, _):
            yield ServerUrls(relays.database, urls.redis), postgres


def counts(database: Database, **wanted: int) -> Callable[[], Awaitable[bool]]:
    """Return a condition: so many executions have these statuses."""

    async def there() -> bool:
        return all([await scalar(database, COUNT, status=status) == count for status, count in wanted.items()])

    return there


async def _all_are_due(bells: Bells) -> bool:
    waiting, due = await bells.redis.zcard(waiting_key("default")), await now_ms(bells)
    return waiting > 0 and await bells.redis.zcount(waiting_key("default"), "-inf", due) == waiting


async def nothing_left(bells: Bells) -> bool:
    return await bells.redis.exists(messages_key("default"), claims_key("w1", "default")) == 0


async def test_while_postgres_is_away_nothing_more_is_fetched_and_what_ended_is_settled_when_it_is_back(
    database: Database, bells: Bells, line: tuple[ServerUrls, Relay]
) -> None:
    urls, postgres = line
    await worker(database)
    rung = [await queued(database, "prices", subject=str(number)) for number in range(30)]
    go = threading.Event()

    async def step(*_: object) -> Outcome:
        await asyncio.to_thread(go.wait, 20)
        return done()

    async def has_noticed() -> bool:
        return not broker.ledger.wait_until_back(0)

    async def all_ended() -> bool:
        return broker.ledger.settler.left == 4

    async with beside(running_broker(urls, step, threads=8)) as broker:
        await bells.ring(rung[:4])
        await until(counts(database, running=4))
        postgres.cut()
        go.set()
        await until(all_ended)
        await bells.ring(rung[4:])
        await until(has_noticed)
        refused = broker.ledger.refused

        # It looks for Postgres again and again, and fetches nothing meanwhile.
        tried = postgres.refused

        async def has_tried() -> bool:
            return postgres.refused > tried + 3

        await until(has_tried)
        assert broker.ledger.refused <= refused + 1
        assert broker.room.held == 4
        assert broker.ledger.settler.left == 4
        assert await bells.redis.llen(ready_key("default")) == 26
        assert await scalar(database, COUNT, status="running") == 4
        postgres.mend()
        await until(counts(database, success=30))
        await until(lambda: nothing_left(bells))
        await until(lambda: holds_nothing(broker.room))
    assert await scalar(database, "SELECT max(attempt) FROM service_task_execution") == 1
    assert await scalar(database, "SELECT count(*) FROM execution_attempts") == 0


async def test_what_needs_no_postgres_is_acknowledged_while_it_is_away(
    database: Database, bells: Bells, line: tuple[ServerUrls, Relay]
) -> None:
    urls, postgres = line
    await worker(database)
    go, ran = threading.Event(), list[int]()

    def declare(broker: QueueBroker) -> None:
        dramatiq.actor(broker=broker, actor_name="stock")(ran.append)

    async def step(*_: object) -> Outcome:
        await asyncio.to_thread(go.wait, 20)
        return done()

    async def ended() -> bool:
        return broker.ledger.settler.left == 1

    async def only_the_execution_is_left() -> bool:
        return len(ran) == 50 and await bells.redis.hkeys(messages_key("default")) == [
            f"{bell.execution_id}.1".encode()
        ]

    bell = await queued(database, "prices")
    async with beside(running_broker(urls, step, declare=declare)) as broker:
        await bells.ring([bell])
        await until(counts(database, running=1))
        postgres.cut()
        go.set()
        await until(ended)
        for number in range(50):
            broker.actors["stock"].send(number)
        await until(only_the_execution_is_left)
        assert broker.ledger.settler.left == 1
        postgres.mend()
        await until(counts(database, success=1))
        await until(lambda: nothing_left(bells))


async def test_with_postgres_away_at_the_end_outcomes_are_dropped_and_their_executions_run_again(
    database: Database, urls: ServerUrls, bells: Bells, line: tuple[ServerUrls, Relay]
) -> None:
    relayed_urls, postgres = line
    await worker(database)
    await worker(database, "w2")
    bell = await queued(database, "prices")
    go = threading.Event()
    runs: list[int] = []

    async def step(_: object, execution: Execution) -> Outcome:
        await asyncio.to_thread(go.wait, 20)
        runs.append(execution.generation)
        return done()

    async def ended() -> bool:
        return broker.ledger.settler.left == 1

    await bells.ring([bell])
    async with beside(running_broker(relayed_urls, step)) as broker:
        await until(counts(database, running=1))
        postgres.cut()
        go.set()
        await until(ended)
        began = time.monotonic()
    assert time.monotonic() - began < 8.0
    assert await scalar(database, ROW, id=bell.execution_id) == "running 1 1"
    assert await bells.redis.hlen(messages_key("default")) == 1, "it was not committed, and so not acknowledged"
    async with database.transaction(None) as session:
        await LossRepository(session).take_back(["w1"])
    await bells.give_back(["w1"])
    await bells.ring([replace(bell, generation=2)])
    with running_worker(urls, step, "w2"):
        await until(counts(database, success=1))
    assert runs == [1, 2]
    assert await scalar(database, ROW, id=bell.execution_id) == "success 1 2"


async def test_what_redis_refuses_to_hear_it_is_told_again_when_it_is_back(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    ends: dict[str, Exception | None] = {"good": None, "retried": Retry("away"), "dead": Refuse("no")}
    rung = [await queued(database, "prices", subject=subject) for subject in ends]
    go = threading.Event()

    async def step(_: object, execution: Execution) -> Outcome:
        await asyncio.to_thread(go.wait, 20)
        end = ends[execution.subject]
        if end is not None:
            raise end
        return done()

    await bells.ring(rung)
    with running_broker(urls, step) as broker:
        await until(counts(database, running=3))
        async with read_only(bells):
            go.set()
            await until(counts(database, success=1, retrying=1, failed=1))
            assert await bells.redis.scard(claims_key("w1", "default")) == 3
        await until(lambda: nothing_left(bells))
        await until(lambda: holds_nothing(broker.room))
        assert not broker.ledger.known("default")
    _, retried, dead = rung
    assert await bells.redis.zrange(waiting_key("default"), 0, -1) == [f"{retried.execution_id}.2".encode()]
    assert await bells.redis.zrange(dead_key("default"), 0, -1) == [f"{dead.execution_id}.1".encode()]


async def test_however_long_redis_is_away_what_it_is_to_hear_does_not_grow_with_time(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "RETRY_SECONDS", 0.05)
    await worker(database)
    go, settle = threading.Event(), Bells.settle
    told: list[int] = []

    async def counted(self: Bells, *arguments: object) -> None:
        told.append(len(broker.ledger.settler._untold))
        await settle(self, *arguments)  # type: ignore[arg-type]

    async def step(*_: object) -> Outcome:
        await asyncio.to_thread(go.wait, 20)
        return done()

    async def tried_often() -> bool:
        return len(told) > 8

    monkeypatch.setattr(Bells, "settle", counted)
    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step) as broker:
        await until(counts(database, running=1))
        async with read_only(bells):
            go.set()
            await until(tried_often)
            assert told[-1] == 1
        await until(lambda: nothing_left(bells))


async def test_retries_are_promoted_again_by_a_worker_whose_redis_was_away(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS, "prices", replace(TASKS["prices"], attempts=2, backoff_seconds=2))
    await worker(database)
    rung = [await queued(database, "prices", subject=str(number)) for number in range(20)]

    all_at_once = asyncio.Barrier(20)

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.attempt == 1:
            await all_at_once.wait()
            raise Retry("away")
        return done()

    await bells.ring(rung)
    with running_broker(urls, step, threads=20):
        await until(counts(database, retrying=20))
        async with read_only(bells):
            await bells.redis.client_kill_filter(_type="normal", skipme=True)
            await until(lambda: _all_are_due(bells))
            assert await scalar(database, COUNT, status="retrying") == 20
        await until(counts(database, success=20))
        await until(lambda: nothing_left(bells))
    assert await scalar(database, "SELECT min(attempt) + max(attempt) FROM service_task_execution") == 4


async def test_what_a_worker_cannot_give_back_because_redis_is_away_at_its_end_comes_back_with_its_claims(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    go = threading.Event()

    def declare(broker: QueueBroker) -> None:
        @dramatiq.actor(broker=broker)
        def waiting() -> None:
            go.wait(10)

        for _ in range(4):
            waiting.send()

    async def step(*_: object) -> Outcome:
        return done()

    async def all_are_claimed() -> bool:
        return await bells.redis.scard(claims_key("w1", "default")) == 4

    stack = AsyncExitStack()
    async with stack:
        await stack.enter_async_context(beside(running_broker(urls, step, threads=8, declare=declare)))
        await until(all_are_claimed)
        async with read_only(bells):
            threading.Timer(0.1, go.set).start()
            await stack.aclose()
    assert await bells.redis.scard(claims_key("w1", "default")) == 4
    assert await bells.give_back(["w1"]) == 4
    assert await bells.redis.llen(ready_key("default")) == 4


async def test_a_worker_whose_redis_was_away_takes_again_what_is_rung(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    first, second = [await queued(database, "prices", subject=str(number)) for number in range(2)]

    async def step(*_: object) -> Outcome:
        return done()

    with running_broker(urls, step):
        await bells.ring([first])
        await until(counts(database, success=1))
        async with read_only(bells):
            await bells.redis.client_kill_filter(_type="normal", skipme=True)
        await bells.ring([second])
        await until(counts(database, success=2))
        await until(lambda: nothing_left(bells))
