"""What nobody can run is kept with its error, for a while."""

import json

from tests.worker.bells.places import Places, bell, claim, look, now_ms
from worker.bells.keys import (
    dead_errors_key,
    dead_key,
)
from worker.bells.ringing import Bells


async def test_a_message_nobody_can_run_is_buried_with_its_error(bells: Bells) -> None:
    await bells.ring([bell(1), bell(2), bell(3)])
    await claim(bells, "w1")
    before = await now_ms(bells)
    assert await bells.bury("default", "1.1", 'no actor "é"\n', "w1")
    assert await bells.bury("default", "2.1", "unwanted")
    assert not await bells.bury("default", "2.1", "again")
    assert await look(bells.redis, "default") == Places(ready=["3.1"], dead={"1.1", "2.1"})
    error = json.loads(str(await bells.redis.hget(dead_errors_key("default"), "1.1"), "utf-8"))  # type: ignore[arg-type]
    assert error["error"] == 'no actor "é"\n'
    assert before <= error["at"] <= await now_ms(bells)


async def test_what_another_claims_or_what_waits_is_not_buried(bells: Bells) -> None:
    await bells.ring([bell(1)])
    await claim(bells, "w2")
    await bells.wait([(bell(2), 0)])
    assert not await bells.bury("default", "1.1", "no", "w1")
    assert not await bells.bury("default", "2.1", "no", "w1")
    assert await look(bells.redis, "default") == Places(claimed={"w1": set(), "w2": {"1.1"}}, due={"2.1": True})


async def test_dead_letters_are_forgotten_with_their_errors_once_they_are_old(bells: Bells) -> None:
    await bells.ring([bell(number) for number in range(3)])
    for number in range(3):
        await bells.bury("default", f"{number}.1", "no")
    await bells.redis.zadd(dead_key("default"), {"0.1": 1, "1.1": 2})
    assert await bells.purge("default", 60, limit=1) == 1
    assert await bells.purge("default", 60) == 1
    assert await bells.purge("default", 60) == 0
    assert await look(bells.redis, "default") == Places(dead={"2.1"})
    assert await bells.redis.hkeys(dead_errors_key("default")) == [b"2.1"]
