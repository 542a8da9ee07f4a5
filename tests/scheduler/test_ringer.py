"""Redis away is no error for a scheduler: it is given up at once, left alone for a while, and then heard again."""

import tempfile
import time
from pathlib import Path

from config.servers import ServerUrls
from db.executions import Bell
from scheduler.ringer import AWAY_SECONDS, CALL_SECONDS, Ringer
from tests.people import MORNING
from tests.worker.relay import relayed
from worker.bells.keys import ready_key
from worker.bells.ringing import Bells

BELL = Bell("prices", "default", MORNING, 1, 1)


class Clock:
    """A machine's clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_what_was_new_is_counted(bells: Bells) -> None:
    await bells.redis.flushall()
    ringer = Ringer(bells)
    assert [await ringer.ring([BELL]), await ringer.ring([BELL]), await ringer.ring([])] == [1, 0, 0]


async def test_a_redis_that_is_not_there_is_asked_once_and_then_left_alone_for_a_while() -> None:
    clock, asked = Clock(), 0
    bells = Bells("unix:///nowhere/redis.sock")
    ringer = Ringer(bells, clock)

    async def ask() -> int:
        nonlocal asked
        asked += 1
        return await bells.ring([BELL])

    for seconds in (0.0, AWAY_SECONDS * 0.9, AWAY_SECONDS * 0.2):
        clock.now += seconds
        assert await ringer.ask("ring", ask) is None
    assert asked == 2
    assert await ringer.ring([BELL]) == 0
    await bells.close()


async def test_a_stalled_redis_holds_nobody_up_for_longer_than_a_call_and_is_heard_when_it_is_back(
    urls: ServerUrls,
) -> None:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        async with relayed(urls, Path(folder)) as (through, _, redis):
            bells = Bells(through.redis)
            ringer = Ringer(bells, clock)
            await bells.redis.flushall()
            assert await ringer.ring([BELL]) == 1
            redis.stall()
            began = time.monotonic()
            assert await ringer.ring([BELL]) == 0
            assert await ringer.ring([BELL]) == 0
            assert time.monotonic() - began < 2 * CALL_SECONDS
            redis.resume()
            clock.now += AWAY_SECONDS
            await bells.redis.delete(ready_key("default"), f"{ready_key('default')}.msgs")
            assert await ringer.ring([BELL]) == 1
            await bells.close()
