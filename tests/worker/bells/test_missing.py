"""Which messages are not on Redis is asked by their ids alone, and nothing is changed by asking."""

from tests.worker.bells.places import FAR_MS, bell
from worker.bells.keys import claims_key, messages_key, ready_key
from worker.bells.ringing import Bells


async def test_what_is_ready_or_claimed_is_there_and_the_rest_is_missing(bells: Bells) -> None:
    ready, claimed, gone, elsewhere = bell(1), bell(2), bell(3), bell(4, queue="orders")
    await bells.ring([ready, claimed, elsewhere])
    await bells.redis.lrem(ready_key("default"), 1, "2.1")
    await bells.redis.sadd(claims_key("w1", "default"), "2.1")
    assert await bells.missing([ready, claimed, gone, elsewhere, bell(4)]) == [gone, bell(4)]
    assert await bells.missing([]) == []


async def test_another_generation_is_another_message(bells: Bells) -> None:
    await bells.ring([bell(1, generation=1)])
    assert await bells.missing([bell(1, generation=2)]) == [bell(1, generation=2)]


async def test_what_waits_is_there_only_for_whom_that_is_enough(bells: Bells) -> None:
    waiting, gone = bell(1), bell(2)
    await bells.wait([(waiting, FAR_MS)])
    assert await bells.missing([waiting, gone]) == [waiting, gone]
    assert await bells.missing([waiting, gone], or_waiting=True) == [gone]


async def test_many_are_asked_about_in_order_and_none_is_touched(bells: Bells) -> None:
    many = [bell(number) for number in range(1, 3001)]
    await bells.ring(many[::2])
    before = await bells.redis.hgetall(messages_key("default"))
    assert await bells.missing(many) == many[1::2]
    assert await bells.redis.hgetall(messages_key("default")) == before
    assert await bells.redis.llen(ready_key("default")) == 1500
