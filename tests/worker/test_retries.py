"""A failed attempt that is tried again waits on Redis, in sight, and in nobody's memory; when it is due it runs."""

import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from dramatiq import Message
from dramatiq.worker import ConsumerThread

from config.servers import ServerUrls
from db.executions import Bell, Execution
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.bells.places import Places, look, now_ms
from tests.worker.inside import running_broker
from worker.bells.keys import dead_key, messages_key, waiting_key, waiting_messages_key
from worker.bells.ringing import Bells
from worker.messages import JITTER, TASKS
from worker.outcome import Outcome, Retry, done
from worker.queue.broker import QueueBroker

ROW = "SELECT concat_ws(' ', status, attempt, generation) FROM service_task_execution WHERE id = :id"
BACKOFF_SECONDS = 100.0


def policy(monkeypatch: pytest.MonkeyPatch, attempts: int, seconds: float) -> None:
    monkeypatch.setitem(TASKS, "prices", replace(TASKS["prices"], attempts=attempts, backoff_seconds=seconds))


def row_is(database: Database, bell: Bell, row: str) -> Callable[[], Awaitable[bool]]:
    """Return a condition: an execution stands so, as status, attempt and generation."""

    async def there() -> bool:
        return await scalar(database, ROW, id=bell.execution_id) == row

    return there


async def away(*_: object) -> Outcome:
    raise Retry("away")


async def test_a_retry_waits_in_the_sorted_set_under_its_next_generation_and_nowhere_else(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(monkeypatch, 3, BACKOFF_SECONDS)
    await worker(database)
    bell = await queued(database, "prices")
    id_ = f"{bell.execution_id}.2"

    async def waits() -> bool:
        return bool(await bells.redis.zcard(waiting_key("default")))

    await bells.ring([bell])
    with running_broker(urls, away) as broker:
        await until(waits)
        await until(row_is(database, bell, "retrying 1 2"))
        now, due = await now_ms(bells), await bells.redis.zscore(waiting_key("default"), id_)
        await until(lambda: _nothing_here(broker))
    assert await look(bells.redis, "default") == Places(due={id_: False})
    assert isinstance(due, float)
    assert BACKOFF_SECONDS * (1 - JITTER) - 10 < (due - now) / 1000 < BACKOFF_SECONDS * (1 + JITTER)
    stored: Message[None] = Message.decode(await bells.redis.hget(waiting_messages_key("default"), id_))  # type: ignore[arg-type]
    assert (stored.queue_name, stored.actor_name, stored.message_id) == ("default", "prices", id_)
    assert stored.args == (bell.execution_id, bell.scheduled_for.isoformat(), 2)
    assert stored.options == {"redis_message_id": id_}


async def test_a_worker_promotes_what_is_due_and_after_its_last_attempt_it_is_a_dead_letter(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(monkeypatch, 3, 0.05)
    await worker(database)
    bell = await queued(database, "prices")
    await bells.ring([bell])
    with running_broker(urls, away):
        await until(row_is(database, bell, "failed 3 3"))

        async def is_dead() -> bool:
            return await bells.redis.zrange(dead_key("default"), 0, -1) == [f"{bell.execution_id}.3".encode()]

        await until(is_dead)
    assert await bells.redis.exists(waiting_key("default"), messages_key("default")) == 0
    attempts = "SELECT string_agg(concat(attempt, '.', generation, ' ', outcome), ', ' ORDER BY attempt) FROM execution_attempts"
    assert await scalar(database, attempts) == "1.1 failed, 2.2 failed, 3.3 failed"
    assert await scalar(database, "SELECT count(*) FROM error_logs") == 3


async def test_a_retry_of_a_worker_that_ended_is_promoted_and_run_by_another(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(monkeypatch, 3, 0.5)
    await worker(database)
    await worker(database, "w2")
    bell = await queued(database, "prices")

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.attempt == 1:
            raise Retry("away")
        return done()

    await bells.ring([bell])
    with running_broker(urls, step):
        await until(row_is(database, bell, "retrying 1 2"))
    with running_broker(urls, step, "w2"):
        await until(row_is(database, bell, "success 2 2"))


async def test_an_old_message_of_what_was_tried_again_runs_nothing(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(monkeypatch, 3, BACKOFF_SECONDS)
    await worker(database)
    bell, other = await queued(database, "prices"), await queued(database, "prices", subject="other")
    runs: list[int] = []

    async def step(_: object, execution: Execution) -> Outcome:
        runs.append(execution.id)
        if execution.id == bell.execution_id:
            raise Retry("away")
        return done()

    await bells.ring([bell])
    with running_broker(urls, step):
        await until(row_is(database, bell, "retrying 1 2"))
        await bells.ring([bell, other])
        await until(row_is(database, other, "success 1 1"))
    assert runs == [bell.execution_id, other.execution_id]
    assert await scalar(database, ROW, id=bell.execution_id) == "retrying 1 2"


async def test_a_retry_rung_before_it_is_due_runs_at_once_and_only_once(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy(monkeypatch, 3, BACKOFF_SECONDS)
    await worker(database)
    bell = await queued(database, "prices")

    async def step(_: object, execution: Execution) -> Outcome:
        if execution.attempt == 1:
            raise Retry("away")
        return done()

    await bells.ring([bell])
    with running_broker(urls, step):
        await until(row_is(database, bell, "retrying 1 2"))
        await bells.ring([replace(bell, generation=2)])
        await until(row_is(database, bell, "success 2 2"))
    assert await bells.redis.exists(waiting_key("default")) == 0


async def _nothing_here(broker: QueueBroker) -> bool:
    consumers = [thread for thread in threading.enumerate() if isinstance(thread, ConsumerThread)]
    delayed = sum(consumer.delay_queue.qsize() for consumer in consumers)
    assert len(consumers) == 1
    return not (broker.ledger.held or broker.runner.line or broker.runner.running or broker.room.held or delayed)
