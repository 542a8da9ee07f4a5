"""One script takes a message away and puts another in its stead, from any place to any place, and says whether it won."""

from itertools import product
from typing import Any

import pytest

from worker.bells import actions
from worker.bells.actions import Move, Place, move
from worker.bells.calls import run
from worker.bells.calls import text as text_of
from worker.bells.keys import (
    claims_key,
    dead_errors_key,
    dead_key,
    dead_messages_key,
    messages_key,
    ready_key,
    waiting_key,
    waiting_messages_key,
)
from worker.bells.ringing import Bells

FROM = ("ready", "waiting", "dead", "claimed", "nowhere")


async def _put(bells: Bells, place: str, id_: str = "old", queue: str = "q") -> None:
    if place in ("ready", "claimed"):
        await bells.redis.hset(messages_key(queue), id_, b"old bytes")
    if place == "ready":
        await bells.redis.rpush(ready_key(queue), id_)
    if place == "claimed":
        await bells.redis.sadd(claims_key("w1", queue), id_)
    if place == "waiting":
        await bells.redis.zadd(waiting_key(queue), {id_: 5})
        await bells.redis.hset(waiting_messages_key(queue), id_, b"old bytes")
    if place == "dead":
        await bells.redis.zadd(dead_key(queue), {id_: 5})
        await bells.redis.hset(dead_messages_key(queue), id_, b"old bytes")
        await bells.redis.hset(dead_errors_key(queue), id_, "{}")


async def _places(bells: Bells, queue: str) -> dict[str, dict[str, Any]]:
    """Return what is in each place, with its bytes; a message without bytes or bytes without a message fail."""
    redis = bells.redis
    ready = [text_of(id_) for id_ in await redis.lrange(ready_key(queue), 0, -1)]
    claimed = [text_of(id_) for id_ in await redis.smembers(claims_key("w1", queue))]
    waiting = [text_of(id_) for id_ in await redis.zrange(waiting_key(queue), 0, -1)]
    dead = [text_of(id_) for id_ in await redis.zrange(dead_key(queue), 0, -1)]
    found: dict[str, dict[str, Any]] = {}
    for name, ids, key in (
        ("live", ready + claimed, messages_key(queue)),
        ("waiting", waiting, waiting_messages_key(queue)),
        ("dead", dead, dead_messages_key(queue)),
    ):
        messages = {text_of(id_): bytes_ for id_, bytes_ in (await redis.hgetall(key)).items()}
        assert sorted(messages) == sorted(ids), name
        found[name] = messages
    return {
        "ready": {id_: found["live"][id_] for id_ in ready},
        "claimed": {id_: found["live"][id_] for id_ in claimed},
        "waiting": found["waiting"],
        "dead": found["dead"],
    }


@pytest.mark.parametrize("into", ["q", "p"])
async def test_every_message_goes_from_where_it_is_to_where_it_shall(bells: Bells, into: str) -> None:
    for place, to, looked_for_dead, only_found in product(FROM, Place, (True, False), (True, False)):
        await bells.redis.flushall()
        await _put(bells, place)
        one = Move("old", to, "new", b"new bytes", 60_000, '"why"', looked_for_dead)
        [was] = await move(bells.redis, "q", [one], into=into, only_found=only_found)
        found = place if place == "dead" and looked_for_dead else "nowhere"
        found = place if place in ("ready", "waiting") and not looked_for_dead else found
        assert was == found, (place, to)
        left = {} if found == place else {place: {"old": b"old bytes"}} if place != "nowhere" else {}
        comes = to is not Place.NOWHERE and (found != "nowhere" or not only_found)
        expected: dict[str, dict[str, dict[str, Any]]] = {"q": dict(left), "p": {}}
        if comes:
            expected[into][to] = expected[into].get(to, {}) | {"new": b"new bytes"}
        for queue in ("q", "p"):
            there = {name: some for name, some in (await _places(bells, queue)).items() if some}
            assert there == expected[queue], (place, to, looked_for_dead, only_found, queue)
        errors = await bells.redis.hkeys(dead_errors_key(into)) if comes and to is Place.DEAD else []
        assert b"new" in errors or to is not Place.DEAD or not comes


async def test_what_waits_again_waits_on_the_clock_of_redis(bells: Bells) -> None:
    await _put(bells, "ready")
    await move(bells.redis, "q", [Move("old", Place.WAITING, "new", b"x", 60_000)])
    due, (seconds, _) = await bells.redis.zscore(waiting_key("q"), "new"), await bells.redis.time()
    assert due is not None
    assert 59 <= due / 1000 - int(seconds) <= 61


async def test_a_message_that_is_there_already_is_not_put_a_second_time(bells: Bells) -> None:
    await _put(bells, "waiting")
    await _put(bells, "claimed", "new")
    await move(bells.redis, "q", [Move("old", Place.READY, "new", b"x"), Move("none", Place.WAITING, "new", b"x", 9)])
    assert await _places(bells, "q") == {"ready": {}, "claimed": {"new": b"old bytes"}, "waiting": {}, "dead": {}}


async def test_one_that_waits_under_the_new_id_is_ready_once(bells: Bells) -> None:
    await _put(bells, "waiting", "new")
    await move(bells.redis, "q", [Move("old", Place.READY, "new", b"x")])
    assert await _places(bells, "q") == {"ready": {"new": b"x"}, "claimed": {}, "waiting": {}, "dead": {}}


async def test_an_act_that_a_broken_connection_sends_again_is_done_once_and_answered_alike(bells: Bells) -> None:
    await _put(bells, "waiting")
    call = actions._call("q", "q", [Move("old")], only_found=True)
    assert await run(bells.redis, [call]) == await run(bells.redis, [call]) == [[b"waiting"]]


async def test_many_are_moved_in_their_order(bells: Bells) -> None:
    ids = [f"m{n:04}" for n in range(1200)]
    await bells.redis.zadd(waiting_key("q"), dict.fromkeys(ids, 5))
    await bells.redis.hset(waiting_messages_key("q"), mapping=dict.fromkeys(ids, b"x"))
    was = await move(bells.redis, "q", [Move(id_, Place.READY, f"{id_}.2", b"y") for id_ in ids])
    assert set(was) == {Place.WAITING}
    assert await bells.redis.lrange(ready_key("q"), 0, -1) == [f"{id_}.2".encode() for id_ in ids]
    assert await bells.redis.zcard(waiting_key("q")) == 0
