"""Bells are rung once, whoever claims them dies or lives."""

import pytest
from dramatiq import Message

from tests.worker.bells.places import FAR_MS, Places, bell, claim, ids, look, now_ms, scores
from worker.bells.keys import HEARTBEATS, messages_key
from worker.bells.ringing import Bells, RedisUnreachable, Settled
from worker.wire import bell_of

MANY = 1203  # more than two calls' worth


async def test_a_bell_goes_to_the_end_of_its_queue(bells: Bells) -> None:
    await bells.ring([bell(2), bell(1), bell(3, queue="orders")])
    await bells.ring([bell(0), bell(2)])
    assert (await look(bells.redis, "default")).ready == ["2.1", "1.1", "0.1"]
    assert (await look(bells.redis, "orders")).ready == ["3.1"]


async def test_a_bell_that_is_claimed_is_not_rung_again(bells: Bells) -> None:
    await bells.ring([bell(1)])
    await claim(bells, "w1")
    await bells.ring([bell(1)])
    assert (await look(bells.redis, "default")) == Places(claimed={"w1": {"1.1"}, "w2": set()})


async def test_a_bell_that_waits_is_rung_once_and_waits_no_longer(bells: Bells) -> None:
    await bells.wait([(bell(1), FAR_MS)])
    await bells.ring([bell(1)])
    assert await look(bells.redis, "default") == Places(ready=["1.1"])


async def test_any_number_of_bells_is_rung_in_order(bells: Bells) -> None:
    many = [bell(number) for number in range(MANY)]
    await bells.ring(many)
    assert (await look(bells.redis, "default")).ready == ids(many)


async def test_scripts_that_redis_forgot_are_loaded_again(bells: Bells) -> None:
    await bells.ring([bell(1)])
    await bells.redis.script_flush()
    await bells.settle(
        "w1", {"default": Settled(retries=[("9.1", bell(9, 2), FAR_MS)])}, [bell(2), bell(3, queue="ml")]
    )
    assert await look(bells.redis, "default") == Places(ready=["1.1", "2.1"], due={"9.2": False})
    assert (await look(bells.redis, "ml")).ready == ["3.1"]


async def test_a_connection_that_redis_closed_does_not_fail_the_next_call(bells: Bells) -> None:
    await bells.ring([bell(1)])
    await bells.redis.client_kill_filter(skipme=False)
    await bells.ring([bell(2)])
    assert (await look(bells.redis, "default")).ready == ["1.1", "2.1"]


async def test_a_redis_that_is_not_there_is_named() -> None:
    nobody = Bells("redis://127.0.0.1:1")
    with pytest.raises(RedisUnreachable, match="REDIS_URL"):
        await nobody.check()
    await nobody.close()


async def test_what_dead_workers_claimed_of_any_queue_comes_back_first_and_in_order(bells: Bells) -> None:
    await bells.beat(["w1"], queues=["default", "mail"])
    await bells.ring([bell(9), bell(10), bell(8), bell(3, queue="mail"), bell(4)])
    await claim(bells, "w1", count=3)
    await claim(bells, "w2", "mail")
    assert await bells.give_back(["w1", "w2", "unknown"]) == 4
    assert (await look(bells.redis, "default")).ready == ["8.1", "9.1", "10.1", "4.1"]
    assert (await look(bells.redis, "mail")).ready == ["3.1"]
    assert await bells.give_back(["w1", "w2"]) == 0


async def test_any_number_of_claims_is_given_back_and_empty_ones_are_forgotten(bells: Bells) -> None:
    await bells.ring([bell(number) for number in range(MANY)])
    await claim(bells, "w1", count=MANY)
    await bells.redis.hdel(messages_key("default"), "5.1")
    assert await bells.give_back(["w1"]) == MANY - 1
    assert len((await look(bells.redis, "default")).ready) == MANY - 1


async def test_heartbeats_are_on_the_clock_of_redis_and_end_with_their_worker(bells: Bells) -> None:
    before = await now_ms(bells)
    await bells.beat(["w1", "w2"])
    beats = await scores(bells, HEARTBEATS)
    assert set(beats) == {"w1", "w2"}
    after = await now_ms(bells)
    assert all(before <= at <= after for at in beats.values())
    await bells.forget(["w1"])
    assert await bells.redis.zrange(HEARTBEATS, 0, -1) == [b"w2"]
    await bells.beat([])
    await bells.forget([])


async def test_a_queue_of_others_is_known_once_a_worker_has_it(bells: Bells) -> None:
    await bells.beat(["w1"], queues=["mail", "default"])
    assert await bells.queues() == ["orders", "strategy", "ml", "default", "mail"]


async def test_a_bell_on_redis_says_what_was_rung(bells: Bells) -> None:
    await bells.ring([bell(5, 3)])
    data = await bells.redis.hget(messages_key("default"), "5.3")
    assert isinstance(data, bytes)
    assert bell_of(Message.decode(data)) == bell(5, 3)
