"""What is asked of everybody who is measured: take messages that are let go all at once, and come to an end.

Messages that go over Redis are laid down in a database of it where nobody looks, and moved in one transaction to where
the workers, booted and warm, wait for them.
"""

import time
from contextlib import AbstractAsyncContextManager
from itertools import chain
from itertools import count as counting
from typing import Protocol
from uuid import uuid4

from dramatiq import Message
from redis.asyncio import Redis

from ops.bench.queue_world import LOOK_SECONDS, STUCK_SECONDS, World
from ops.bench.report import BenchError

# The database of Redis where messages wait.
ASIDE = 1
_PIPELINE = 1000


class Contender(Protocol):
    """One that is measured. usual: how many messages last it some seconds."""

    name: str
    usual: int

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run its workers, booted and warm, until the context ends."""

    async def lay(self, count: int) -> None:
        """Enqueue messages that no worker sees yet."""

    async def let_go(self) -> None:
        """Let the workers see them."""

    async def drained(self) -> None:
        """Return when the last is done, with all that belongs to it. Raises BenchError when it never is."""


async def rate(contender: Contender, count: int) -> float:
    """Return how many messages a second are done, from when workers see them to when the last is done."""
    async with contender.running():
        await contender.lay(count)
        await contender.let_go()
        begun = time.perf_counter()
        await contender.drained()
        return count / (time.perf_counter() - begun)


def aside(world: World) -> str:
    """Return the address of the database of Redis where messages wait."""
    return f"{world.servers.redis_url}?db={ASIDE}"


async def move(world: World, *keys: str) -> None:
    """Move keys from aside to where workers look, in one transaction. Raises BenchError."""
    redis = Redis.from_url(aside(world))
    try:
        pipeline = redis.pipeline(transaction=True)
        for key in keys:
            pipeline.move(key, 0)
        if await pipeline.execute() != [1] * len(keys):
            raise BenchError(f"something lay already at {' or '.join(keys)}")
    finally:
        await redis.aclose()


async def empty(world: World, messages: str, name: str, pause: float = LOOK_SECONDS) -> None:
    """Return when a hash of messages is empty: Dramatiq takes one out when it is acknowledged."""

    async def gone() -> bool:
        return bool(await world.redis.hlen(messages) == 0)

    await world.until(gone, STUCK_SECONDS, f"{name} did not come to its end", pause)


async def lay_stock(world: World, ready: str, messages: str, queue: str, actor: str, count: int) -> None:
    """Write aside what stock Dramatiq's `send()` leaves on Redis."""
    redis, numbers = Redis.from_url(aside(world)), counting()
    try:
        for start in range(0, count, _PIPELINE):
            found = [_message(queue, actor, next(numbers)) for _ in range(min(_PIPELINE, count - start))]
            pipeline = redis.pipeline(transaction=False)
            pipeline.hset(messages, items=list(chain.from_iterable(found)))
            pipeline.rpush(ready, *(id_ for id_, _ in found))
            await pipeline.execute()
    finally:
        await redis.aclose()


def _message(queue: str, actor: str, number: int) -> tuple[str, bytes]:
    id_ = str(uuid4())
    message: Message[None] = Message(queue, actor, (number,), {}, {"redis_message_id": id_})
    return id_, message.encode()
