"""What a stock client sent with a delay waits in sight, and nothing of it is lost or doubled."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from ops.local import Servers
from tests.worker.bells.places import FAR_MS, Places, look, now_ms, scores, stock
from worker.bells.keys import (
    claims_key,
    dead_errors_key,
    delayed_key,
    delayed_messages_key,
    messages_key,
    waiting_key,
    waiting_messages_key,
)
from worker.bells.ringing import Bells


@pytest.fixture
def client(servers: Servers) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(servers.redis_url) as connected:
        yield connected


@pytest.fixture
def sender(client: redis.Redis) -> RedisBroker:
    """A stock client's broker."""
    return stock(client)


def actor_of(broker: RedisBroker, queue: str = "default") -> Any:
    def letter(_: object) -> None:
        raise AssertionError("nobody works here")

    return dramatiq.actor(broker=broker, queue_name=queue)(letter)


async def test_a_stock_delay_becomes_a_waiting_message_that_says_the_same(bells: Bells, sender: RedisBroker) -> None:
    before = await now_ms(bells)
    sent = actor_of(sender).send_with_options(args=("é",), delay=FAR_MS, max_retries=3)
    id_ = sent.options["redis_message_id"]
    assert await bells.drain_delayed() == 1
    assert await look(bells.redis, "default") == Places(due={id_: False})
    waiting: Message[None] = Message.decode(await waiting_bytes(bells, id_))
    assert (waiting.queue_name, waiting.actor_name, waiting.args) == ("default", "letter", ("é",))
    assert waiting.options == {"max_retries": 3, "redis_message_id": id_}
    assert (waiting.message_id, waiting.message_timestamp) == (sent.message_id, sent.message_timestamp)
    [due] = (await scores(bells, waiting_key("default"))).values()
    assert due == sent.options["eta"]
    assert before + FAR_MS - 1000 <= due <= await now_ms(bells) + FAR_MS + 1000


async def test_a_stock_delay_that_is_over_is_promoted_under_its_own_id(bells: Bells, sender: RedisBroker) -> None:
    sent = actor_of(sender).send_with_options(args=(1,), delay=0)
    await bells.drain_delayed()
    await bells.promote()
    [data] = sender.do_fetch("default", 5)
    assert Message.decode(data).options == {"redis_message_id": sent.options["redis_message_id"]}


async def test_any_number_of_stock_delays_of_several_queues_is_drained_once(bells: Bells, sender: RedisBroker) -> None:
    await bells.beat(["w1"], queues=["mail"])
    letter, mail = actor_of(sender), actor_of(stock(sender.client), "mail")
    for number in range(350):
        letter.send_with_options(args=(number,), delay=FAR_MS)
    for number in range(100):
        mail.send_with_options(args=(number,), delay=FAR_MS)
    drained = await asyncio.gather(bells.drain_delayed(), bells.drain_delayed(), bells.drain_delayed())
    assert sum(drained) == 450
    assert await bells.drain_delayed() == 0
    assert len((await look(bells.redis, "default")).due) == 350
    assert len((await look(bells.redis, "mail")).due) == 100


async def test_what_a_stock_worker_has_taken_is_left_to_it(bells: Bells, sender: RedisBroker) -> None:
    actor_of(sender).send_with_options(args=(1,), delay=FAR_MS)
    sender.do_fetch("default.DQ", 5)
    assert await bells.drain_delayed() == 0
    assert await bells.redis.scard(claims_key("stock", "default.DQ")) == 1
    assert await bells.redis.hlen(delayed_messages_key("default")) == 1


@pytest.mark.parametrize(
    ("poison", "reason"),
    [
        (b"{", "JSONDecodeError"),
        (b"\xff\x00", "UnicodeDecodeError"),
        (b'{"args": []}', "TypeError"),
        (b'{"queue_name":"default.DQ","actor_name":"letter","args":[],"kwargs":{},"options":[]}', "TypeError"),
    ],
)
async def test_a_delayed_message_nobody_can_read_is_a_dead_letter_and_its_neighbours_wait(
    bells: Bells, sender: RedisBroker, poison: bytes, reason: str
) -> None:
    letter = actor_of(sender)
    before = letter.send_with_options(args=(1,), delay=FAR_MS).options["redis_message_id"]
    sender.do_enqueue("default.DQ", "bad", poison)
    after = letter.send_with_options(args=(2,), delay=FAR_MS).options["redis_message_id"]
    assert await bells.drain_delayed() == 3
    assert await look(bells.redis, "default") == Places(due={before: False, after: False}, dead={"bad"})
    error = json.loads(await bells.redis.hget(dead_errors_key("default"), "bad") or "")
    assert reason in error["error"]


@pytest.mark.parametrize("eta", [None, "soon", True, -5, 10**20, float("inf"), [1]])
async def test_a_due_time_that_is_no_time_is_due_at_once(bells: Bells, sender: RedisBroker, eta: object) -> None:
    message: Message[None] = Message("default.DQ", "letter", (), {}, {"eta": eta})
    sender.do_enqueue("default.DQ", "odd", message.encode())
    await bells.drain_delayed()
    assert (await bells.promote()).count == 1
    assert await look(bells.redis, "default") == Places(ready=["odd"])


async def test_a_delayed_id_without_bytes_or_twice_on_the_list_blocks_nobody(bells: Bells, sender: RedisBroker) -> None:
    await bells.redis.rpush(delayed_key("default"), *["gone"] * 150)
    sent = actor_of(sender).send_with_options(args=(1,), delay=FAR_MS)
    while await bells.drain_delayed():
        pass
    assert await look(bells.redis, "default") == Places(due={sent.options["redis_message_id"]: False})


async def test_a_delayed_message_that_is_ready_already_is_not_doubled(bells: Bells, sender: RedisBroker) -> None:
    sent = actor_of(sender).send_with_options(args=(1,), delay=FAR_MS)
    id_ = sent.options["redis_message_id"]
    sender.do_enqueue("default", id_, b"the same")
    assert await bells.drain_delayed() == 1
    assert await look(bells.redis, "default") == Places(ready=[id_])
    assert await bells.redis.hget(messages_key("default"), id_) == b"the same"


async def waiting_bytes(bells: Bells, id_: str) -> bytes:
    data: Any = await bells.redis.hget(waiting_messages_key("default"), id_)
    assert isinstance(data, bytes)
    return data
