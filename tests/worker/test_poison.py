"""Messages that nobody can run: they end among the dead letters with their error, and their neighbours run."""

import json
import threading
from collections.abc import Iterable

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from config.servers import ServerUrls
from db.executions import Bell
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.inside import holds_nothing, running_broker
from worker.bells.keys import claims_key, dead_errors_key, dead_key, dead_messages_key, messages_key, ready_key
from worker.bells.ringing import Bells
from worker.bells.threads import ThreadBells
from worker.outcome import Outcome, done
from worker.queue.broker import QueueBroker
from worker.wire import encode, message_id

SLOT = "2024-01-02T02:30:00+00:00"
FIELDS = {
    "queue_name": "default",
    "actor_name": "prices",
    "args": [1, SLOT, 1],
    "kwargs": {},
    "options": {},
    "message_id": "m",
    "message_timestamp": 1,
}
ENDED = "SELECT count(*) FROM service_task_execution WHERE status = 'success'"


def message(**changed: object) -> bytes:
    return json.dumps(FIELDS | changed).encode()


def without(name: str) -> bytes:
    return json.dumps({field: value for field, value in FIELDS.items() if field != name}).encode()


# Bytes -> what the error says.
POISON = {
    b"": "JSONDecodeError: Expecting value",
    b"{not json": "JSONDecodeError: Expecting property name",
    b"\xff\xfe\x00": "UnicodeDecodeError",
    b"null": "TypeError",
    b"[]": "TypeError",
    b"7": "TypeError",
    b"[" * 100_000: "RecursionError",
    message(args=[10**17]).replace(b"0" * 17, b"0" * 5000): "ValueError: Exceeds the limit",
    message(more=1): "TypeError",
    without("args"): "KeyError: 'args'",
    without("options"): "TypeError",
    message(args=7): "TypeError",
    message(options=None): "TypeError",
    message(options=[]): "TypeError",
    message(options="x"): "TypeError",
    message(actor_name=["prices"]): "TypeError",
    message(actor_name=None): "LookupError: no worker here knows an actor None",
    message(actor_name="nobody"): "LookupError: no worker here knows an actor 'nobody'",
    message(queue_name="orders"): "ValueError: it is for queue 'orders' and stood in 'default'",
    message(queue_name="default.DQ"): "ValueError",
    message(queue_name=None): "ValueError",
    message(args=[]): "not (id, slot, generation)",
    message(args=[1, SLOT]): "not (id, slot, generation)",
    message(args=["1", SLOT, 1]): "not (id, slot, generation)",
    message(args=[True, SLOT, 1]): "not (id, slot, generation)",
    message(args=[1.0, SLOT, 1]): "not (id, slot, generation)",
    message(args=[-1, SLOT, 1]): "not (id, slot, generation)",
    message(args=[2**63, SLOT, 1]): "not (id, slot, generation)",
    message(args=[1, SLOT, 2**31]): "not (id, slot, generation)",
    message(args=[1, SLOT, None]): "not (id, slot, generation)",
    message(args=[1, None, 1]): "not (id, slot, generation)",
    message(args=[1, 20240102, 1]): "not (id, slot, generation)",
    message(args=[1, "yesterday", 1]): "not (id, slot, generation)",
    message(args=[1, "2024-01-02T02:30:00", 1]): "not (id, slot, generation)",
    message(args=[1, "9999-12-31T23:59:59+00:00", 1]): "not (id, slot, generation)",
    message(args=[1, "0001-01-01T00:00:00+14:00", 1]): "not (id, slot, generation)",
}


async def push(bells: Bells, messages: Iterable[tuple[str | bytes, bytes]]) -> None:
    """Put messages on the queue as anybody may who reaches Redis."""
    for id_, data in messages:
        await bells.redis.hset(messages_key("default"), id_, data)
        await bells.redis.rpush(ready_key("default"), id_)


async def good(database: Database, count: int) -> list[tuple[str, bytes]]:
    """Queue executions, and return their messages."""
    bells: list[Bell] = [await queued(database, "prices", subject=str(number)) for number in range(count)]
    return [(message_id(bell), encode(bell)) for bell in bells]


async def step(*_: object) -> Outcome:
    return done()


async def test_poison_of_every_shape_is_buried_with_its_error_and_its_neighbours_run(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    neighbours = await good(database, len(POISON))
    poison = [(f"bad{number}", data) for number, data in enumerate(POISON)]
    await push(bells, [one for pair in zip(poison, neighbours, strict=True) for one in pair])
    threads: set[threading.Thread] = set()

    def note(_: QueueBroker) -> None:
        threads.update(threading.enumerate())

    async def over() -> bool:
        return (
            await scalar(database, ENDED) == len(neighbours)
            and await bells.redis.zcard(dead_key("default")) == len(poison)
            and await bells.redis.hlen(messages_key("default")) == 0
        )

    with running_broker(urls, step, declare=note) as broker:
        before = set(threading.enumerate()) - threads
        await until(over, 20)
        assert set(threading.enumerate()) - threads == before, "a thread has ended"
        await until(lambda: holds_nothing(broker.room))
    assert await bells.redis.hgetall(dead_messages_key("default")) == {id_.encode(): data for id_, data in poison}
    errors = await bells.redis.hgetall(dead_errors_key("default"))
    told = {str(id_, "utf-8"): json.loads(error)["error"] for id_, error in errors.items()}  # type: ignore[arg-type]
    wrong = [
        (data[:80], words, told[id_])
        for (id_, data), words in zip(poison, POISON.values(), strict=True)
        if words not in told[id_]
    ]
    assert wrong == []
    assert await bells.redis.scard(claims_key("w1", "default")) == 0


async def test_an_id_that_is_no_text_is_one_too(database: Database, urls: ServerUrls, bells: Bells) -> None:
    await worker(database)
    [first, second] = await good(database, 2)
    await push(bells, [first, (b"\xff\x00bad", b"{not json"), second])

    async def over() -> bool:
        return await scalar(database, ENDED) == 2 and await bells.redis.zcard(dead_key("default")) == 1

    with running_broker(urls, step):
        await until(over)
    assert await bells.redis.hgetall(dead_messages_key("default")) == {b"\xff\x00bad": b"{not json"}
    assert await bells.redis.scard(claims_key("w1", "default")) == 0


async def test_a_good_message_under_an_id_that_is_no_text_runs_and_is_acknowledged(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    [first, (_, data), third] = await good(database, 3)
    await push(bells, [first, (b"\xff\x00", data), third])

    async def over() -> bool:
        return await scalar(database, ENDED) == 3 and await bells.redis.hlen(messages_key("default")) == 0

    with running_broker(urls, step):
        await until(over)
    assert await bells.redis.scard(claims_key("w1", "default")) == 0


async def test_an_id_without_a_message_is_forgotten(database: Database, urls: ServerUrls, bells: Bells) -> None:
    await worker(database)
    [first, second] = await good(database, 2)
    await push(bells, [first])
    await bells.redis.rpush(ready_key("default"), "gone")
    await push(bells, [second])

    async def over() -> bool:
        return await scalar(database, ENDED) == 2

    with running_broker(urls, step):
        await until(over)
    assert await bells.redis.llen(ready_key("default")) == 0
    assert await bells.redis.scard(claims_key("w1", "default")) == 0


async def test_one_that_cannot_be_buried_at_once_is_buried_later_and_its_neighbours_run(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    await worker(database)
    [first, second] = await good(database, 2)
    await push(bells, [first, ("bad", b"{not json"), second])
    failed = threading.Event()
    bury = ThreadBells.bury

    def fail_once(self: ThreadBells, *arguments: str) -> bool:
        if not failed.is_set():
            failed.set()
            raise RedisConnectionError("cut")
        return bury(self, *arguments)

    monkeypatch.setattr(ThreadBells, "bury", fail_once)

    async def over() -> bool:
        return await scalar(database, ENDED) == 2 and await bells.redis.zcard(dead_key("default")) == 1

    with running_broker(urls, step) as broker:
        await until(over)
        await until(lambda: holds_nothing(broker.room))
    assert failed.is_set()
    assert await bells.redis.scard(claims_key("w1", "default")) == 0


async def test_two_copies_in_one_fetch_run_once(database: Database, urls: ServerUrls, bells: Bells) -> None:
    await worker(database)
    [(id_, data), other] = await good(database, 2)
    runs: list[str] = []

    async def counted(_: object, execution: object) -> Outcome:
        runs.append(execution.subject)  # type: ignore[attr-defined]
        return done()

    await push(bells, [(id_, data), ("copy", data), other, ("another", data)])

    async def over() -> bool:
        return await scalar(database, ENDED) == 2 and await bells.redis.hlen(messages_key("default")) == 0

    with running_broker(urls, counted) as broker:
        await until(over)
        await until(lambda: holds_nothing(broker.room))
    assert sorted(runs) == ["0", "1"]


async def test_a_message_that_names_another_task_than_its_row_does_the_rows_work_or_none(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    bell = await queued(database, "analysis")
    runs: list[str] = []

    async def prices(_: object, execution: object) -> Outcome:
        runs.append(execution.task_name)  # type: ignore[attr-defined]
        return done()

    await push(bells, [("x", encode(bell).replace(b"analysis", b"prices")), *await good(database, 1)])

    async def over() -> bool:
        return await scalar(database, ENDED) == 1 and await bells.redis.hlen(messages_key("default")) == 0

    with running_broker(urls, prices) as broker:
        await until(over)
        await until(lambda: holds_nothing(broker.room))
        assert not broker.ledger.held
    assert runs == ["prices"]
    ended = await scalar(
        database, "SELECT status || ' ' || reason FROM service_task_execution WHERE task_name = 'analysis'"
    )
    assert ended == "failed LookupError: no worker here knows an actor 'analysis'"
