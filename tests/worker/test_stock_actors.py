"""Actors that are not of our table, as Dramatiq knows them, on our queue and with Dramatiq's own clients."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator

import dramatiq
import pytest
import redis
from dramatiq import Message, group, pipeline
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO, GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend as BarrierBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import queued, scalar, worker
from tests.waiting import until
from tests.worker.bells.places import Places, look
from tests.worker.inside import holds_nothing, read_only, running_broker
from worker.bells.keys import dead_errors_key, delayed_key, delayed_messages_key, waiting_key
from worker.bells.ringing import Bells
from worker.outcome import Outcome, done
from worker.queue.broker import QueueBroker

COUNT = "SELECT count(*) FROM service_task_execution WHERE status = 'success'"


@pytest.fixture
def client(urls: ServerUrls) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(urls.redis) as connected:
        yield connected


@pytest.fixture
def stock(client: redis.Redis) -> RedisBroker:
    """Dramatiq's own broker, as a client has it that knows nothing of ours."""
    return RedisBroker(client=client, namespace="dramatiq")  # type: ignore[no-untyped-call]


async def step(*_: object) -> Outcome:
    return done()


async def empty(bells: Bells) -> bool:
    """Tell whether nothing is left on the queue."""
    return await look(bells.redis, "default") == Places()


def all_claimed(bells: Bells, count: int) -> Callable[[], Awaitable[bool]]:
    """Return a condition: the worker has claimed so many messages."""

    async def there() -> bool:
        return len((await look(bells.redis, "default")).claimed["w1"]) == count

    return there


@pytest.mark.parametrize("extra", [[], [AsyncIO]], ids=["our loop", "AsyncIO"])
async def test_a_sync_and_an_async_actor_run_beside_the_tables_and_leave_their_results(
    database: Database, urls: ServerUrls, bells: Bells, client: redis.Redis, extra: list[type[AsyncIO]]
) -> None:
    await worker(database)
    backend = RedisBackend(client=client)
    sent: list[Message[int]] = []

    def declare(broker: QueueBroker) -> None:
        results = Results(backend=backend, store_results=True)  # type: ignore[no-untyped-call]
        for middleware in (*(kind() for kind in extra), results):
            broker.add_middleware(middleware)

        @dramatiq.actor(broker=broker)
        def doubled(number: int) -> int:
            return 2 * number

        @dramatiq.actor(broker=broker)
        async def tripled(number: int) -> int:
            await asyncio.sleep(0)
            return 3 * number

        sent.extend([doubled.send(7), tripled.send(7)])

    async def over() -> bool:
        return await scalar(database, "SELECT status FROM service_task_execution") == "success" and await empty(bells)

    await bells.ring([await queued(database, "prices")])
    with running_broker(urls, step, declare=declare) as broker:
        await until(over)
        await until(lambda: holds_nothing(broker.room))
    assert [backend.get_result(message) for message in sent] == [14, 21]
    assert len(list(client.scan_iter("*"))) == 2 + 1, "but for the heartbeats: how an execution ended is in its row"


async def test_a_failing_actor_is_tried_again_by_dramatiqs_rules_and_ends_among_the_dead_with_its_error(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    tries: list[object] = []

    def declare(broker: QueueBroker) -> None:
        @dramatiq.actor(broker=broker, max_retries=2, min_backoff=20, max_backoff=20)
        def failing(*, what: str) -> None:
            tries.append(what)
            raise ZeroDivisionError(f"{what} {len(tries)}")

        failing.send(what="it")

    async def is_dead() -> bool:
        return len((await look(bells.redis, "default")).dead) == 1

    with running_broker(urls, step, declare=declare) as broker:
        await until(is_dead)
        await until(lambda: holds_nothing(broker.room))
    assert tries == ["it"] * 3
    [error] = await bells.redis.hvals(dead_errors_key("default"))
    assert "ZeroDivisionError: it 3" in json.loads(error)["error"], "the error of its last try"


async def test_a_retry_of_a_stock_actor_waits_in_the_sorted_set_and_in_nobodys_memory(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    messages: list[Message[None]] = []

    def declare(broker: QueueBroker) -> None:
        @dramatiq.actor(broker=broker, min_backoff=3_600_000)
        def failing() -> None:
            raise ZeroDivisionError

        messages.append(failing.send())

    async def waits_alone() -> bool:
        return await look(bells.redis, "default") == Places(due={f"{messages[0].message_id}:1": False})

    with running_broker(urls, step, declare=declare):
        await until(waits_alone)
    assert await bells.redis.exists(delayed_key("default"), delayed_messages_key("default")) == 0


async def test_callbacks_pipelines_and_groups_are_carried_out(
    database: Database, urls: ServerUrls, bells: Bells, client: redis.Redis
) -> None:
    backend = RedisBackend(client=client)
    told: list[tuple[str, object]] = []
    waiting: list[pipeline] = []

    def declare(broker: QueueBroker) -> None:
        broker.add_middleware(Results(backend=backend, store_results=True))  # type: ignore[no-untyped-call]
        broker.add_middleware(GroupCallbacks(BarrierBackend(client=client)))

        @dramatiq.actor(broker=broker)
        def succeeded(_: object, result: object) -> None:
            told.append(("succeeded", result))

        @dramatiq.actor(broker=broker)
        def failed(_: object, error: dict[str, str]) -> None:
            told.append(("failed", error["type"]))

        @dramatiq.actor(broker=broker)
        def together() -> None:
            told.append(("together", None))

        @dramatiq.actor(broker=broker)
        def added(first: int, second: int) -> int:
            return first + second

        @dramatiq.actor(broker=broker, max_retries=0)
        def broken() -> None:
            raise ZeroDivisionError

        added.send_with_options(args=(1, 2), on_success=succeeded)
        broken.send_with_options(on_failure=failed)
        later = [added.message_with_options(args=(number,)) for number in (10, 100)]
        waiting.append(pipeline([added.message(1, 2), *later], broker=broker).run())  # type: ignore[no-untyped-call]
        sums = [added.message(number, number) for number in range(3)]
        all_of = group(sums, broker=broker)  # type: ignore[no-untyped-call]
        all_of.add_completion_callback(together.message())  # type: ignore[no-untyped-call]
        all_of.run()  # type: ignore[no-untyped-call]

    async def over() -> bool:
        places = await look(bells.redis, "default")
        return len(told) == 3 and not places.live() and not places.due

    with running_broker(urls, step, declare=declare):
        await until(over)
    assert sorted(told, key=str) == [("failed", "ZeroDivisionError"), ("succeeded", 3), ("together", None)]
    assert backend.get_result(waiting[0].messages[-1]) == 113


async def test_what_a_stock_client_sends_with_a_delay_is_drained_and_runs_when_it_is_due(
    database: Database, urls: ServerUrls, bells: Bells, stock: RedisBroker
) -> None:
    ran: list[str] = []

    def declare(broker: QueueBroker) -> None:
        dramatiq.actor(broker=broker, actor_name="noted")(ran.append)

    far = dramatiq.actor(broker=stock, actor_name="noted")(ran.append)
    far.send_with_options(args=("soon",), delay=50)
    far.send_with_options(args=("late",), delay=3_600_000)

    async def one_runs_and_one_waits() -> bool:
        places = await look(bells.redis, "default")
        return ran == ["soon"] and list(places.due.values()) == [False] and not places.live() and not places.delayed

    with running_broker(urls, step, declare=declare):
        await until(one_runs_and_one_waits)


async def test_our_own_client_lets_a_delayed_message_wait_in_the_sorted_set(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    ran: list[str] = []

    def declare(broker: QueueBroker) -> None:
        noted = dramatiq.actor(broker=broker, actor_name="noted")(ran.append)
        noted.send_with_options(args=("soon",), delay=50)
        noted.send_with_options(args=("late",), delay=3_600_000)

    async def one_runs_and_one_waits() -> bool:
        return ran == ["soon"] and await bells.redis.zcard(waiting_key("default")) == 1

    with running_broker(urls, step, declare=declare):
        assert await bells.redis.exists(delayed_key("default")) == 0
        await until(one_runs_and_one_waits)


async def test_an_actor_that_sends_its_own_message_again_with_a_delay_runs_again(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    runs: list[int] = []

    def declare(broker: QueueBroker) -> None:
        @dramatiq.actor(broker=broker)
        def again(number: int) -> None:
            runs.append(number)
            if len(runs) < 4:
                broker.enqueue(sent[0], delay=10)

        sent = [again.send_with_options(args=(1,), delay=10)]

    async def over() -> bool:
        return len(runs) == 4 and await empty(bells)

    with running_broker(urls, step, declare=declare):
        await until(over)


async def test_a_stock_send_of_a_task_of_the_table_runs_its_execution(
    database: Database, urls: ServerUrls, bells: Bells, stock: RedisBroker
) -> None:
    await worker(database)
    bell = await queued(database, "prices")
    send = dramatiq.actor(broker=stock, actor_name="prices")(print).send
    slot = bell.scheduled_for.isoformat()

    async def over() -> bool:
        return await scalar(database, "SELECT status FROM service_task_execution") == "success" and await empty(bells)

    with running_broker(urls, step):
        send(bell.execution_id, slot, 1)
        send(bell.execution_id, slot, 1)
        await until(over)
    assert await scalar(database, "SELECT attempt FROM service_task_execution") == 1


async def test_long_stock_messages_take_no_place_of_the_tables_executions(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await worker(database)
    go, ran = threading.Event(), list[int]()

    def declare(broker: QueueBroker) -> None:
        @dramatiq.actor(broker=broker)
        def waiting(number: int) -> None:
            go.wait(20)
            ran.append(number)

        for number in range(30):
            waiting.send(number)

    async def all_threads_are_taken() -> bool:
        return broker.room.passing("default") == 4

    async def executions_are_over() -> bool:
        return await scalar(database, COUNT) == 20

    async def over() -> bool:
        return len(ran) == 30 and await empty(bells) and broker.room.held == 0

    with running_broker(urls, step, declare=declare) as broker:
        await until(all_threads_are_taken)
        await bells.ring([await queued(database, "prices", subject=str(number)) for number in range(20)])
        await until(executions_are_over)
        places = await look(bells.redis, "default")
        assert (len(places.claimed["w1"]), len(places.ready)) == (4, 26), "more is held than Dramatiq would prefetch"
        go.set()
        await until(over)
    assert sorted(ran) == list(range(30))


async def test_what_dramatiqs_threads_never_began_is_on_the_queue_again_after_a_shutdown(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    go, ran = threading.Event(), list[int]()

    def declare(broker: QueueBroker) -> None:
        @dramatiq.actor(broker=broker)
        def waiting(number: int) -> None:
            go.wait(10)
            ran.append(number)

        for number in range(4):
            waiting.send(number)

    with running_broker(urls, step, threads=8, declare=declare):
        await until(all_claimed(bells, 4))
        threading.Timer(0.1, go.set).start()
    places = await look(bells.redis, "default")
    assert len(ran) == 2, "there are two such threads"
    assert (len(places.ready), places.claimed["w1"]) == (2, set())


async def test_what_a_messages_end_could_not_send_is_not_lost_with_it(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    go, heard = threading.Event(), list[str]()
    ends = ("retried", "piped", "called back", "exhausted")

    def declare(broker: QueueBroker) -> None:
        @dramatiq.actor(broker=broker)
        def following(*_: object) -> None:
            heard.append("followed")

        @dramatiq.actor(broker=broker, min_backoff=20, max_backoff=20)
        def ending(end: str) -> str:
            go.wait(10)
            heard.append(end)
            if end == "exhausted" or (end == "retried" and heard.count(end) < 3):
                raise ZeroDivisionError
            return end

        ending.send("retried")
        pipeline([ending.message("piped"), following.message()], broker=broker).run()  # type: ignore[no-untyped-call]
        ending.send_with_options(args=("called back",), on_success=following)
        ending.send_with_options(args=("exhausted",), max_retries=0, on_retry_exhausted="following")

    async def all_have_ended() -> bool:
        return len(heard) == 4 and broker.room.held == 0

    async def over() -> bool:
        places = await look(bells.redis, "default")
        return heard.count("followed") == 3 and not places.live() and not places.due

    with running_broker(urls, step, declare=declare) as broker:
        await until(all_claimed(bells, 4))
        async with read_only(bells):
            go.set()
            await until(all_have_ended)
        await until(over)
        await until(lambda: holds_nothing(broker.room))
    assert [heard.count(end) for end in ends] == [3, 2, 2, 2]


async def test_how_a_stock_message_ended_is_told_when_redis_is_back(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    go, ran = threading.Event(), list[str]()

    def declare(broker: QueueBroker) -> None:
        @dramatiq.actor(broker=broker, max_retries=0)
        def waiting(end: str) -> None:
            go.wait(10)
            ran.append(end)
            if end == "bad":
                raise ZeroDivisionError

        waiting.send("good")
        waiting.send("bad")

    async def both_have_ended() -> bool:
        return len(ran) == 2 and broker.room.held == 0

    async def over() -> bool:
        places = await look(bells.redis, "default")
        return len(places.dead) == 1 and not places.live() and await holds_nothing(broker.room)

    with running_broker(urls, step, declare=declare) as broker:
        await until(all_claimed(bells, 2))
        async with read_only(bells):
            go.set()
            await until(both_have_ended)
        await until(over)
    assert ran.count("good") == 1
