"""Where the messages of one queue are, and bells to put there."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import redis
from dramatiq.brokers.redis import RedisBroker
from redis.asyncio import Redis

from db.executions import Bell
from worker.bells.keys import (
    claims_key,
    dead_errors_key,
    dead_key,
    dead_messages_key,
    delayed_key,
    delayed_messages_key,
    messages_key,
    ready_key,
    waiting_key,
    waiting_messages_key,
)
from worker.bells.ringing import Bells

WORKERS = ("w1", "w2")
FAR_MS = 3_600_000


def bell(number: int, generation: int = 1, queue: str = "default") -> Bell:
    return Bell("prices", queue, datetime(2024, 1, 2, 10, 30, tzinfo=UTC), number, generation)


def ids(bells: Iterable[Bell]) -> list[str]:
    return [f"{one.execution_id}.{one.generation}" for one in bells]


@dataclass
class Places:
    """The ids of a queue by place. due: whether each waiting one is due."""

    ready: list[str] = field(default_factory=list)
    claimed: dict[str, set[str]] = field(default_factory=lambda: {worker: set() for worker in WORKERS})
    due: dict[str, bool] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    delayed: list[str] = field(default_factory=list)

    def live(self) -> list[str]:
        """Return the ids that are ready or claimed, each as often as it is there."""
        return [*self.ready, *(id_ for claimed in self.claimed.values() for id_ in sorted(claimed))]


async def look(client: Redis, queue: str) -> Places:
    """Read a queue. Every message must be in one place alone, with its bytes in that place's hash."""
    async with client.pipeline(transaction=True) as read:
        read.time()
        read.lrange(ready_key(queue), 0, -1)
        read.zrange(waiting_key(queue), 0, -1, withscores=True)
        read.zrange(dead_key(queue), 0, -1)
        read.lrange(delayed_key(queue), 0, -1)
        for key in (messages_key, waiting_messages_key, dead_messages_key, delayed_messages_key, dead_errors_key):
            read.hkeys(key(queue))
        for worker in WORKERS:
            read.smembers(claims_key(worker, queue))
        now, ready, waiting, dead, delayed, *hashes = await read.execute()
    now_ms = now[0] * 1000 + now[1] // 1000
    places = Places(
        texts(ready),
        {worker: set(texts(claimed)) for worker, claimed in zip(WORKERS, hashes[5:], strict=True)},
        {id_.decode(): due <= now_ms for id_, due in waiting},
        set(texts(dead)),
        texts(delayed),
    )
    messages, waiting_messages, dead_messages, delayed_messages, errors = ([*texts(keys)] for keys in hashes[:5])
    everywhere = [*places.live(), *places.due, *places.delayed]
    assert sorted(everywhere) == sorted(set(everywhere)), "a message is in two places"
    assert sorted(messages) == sorted(places.live())
    assert sorted(waiting_messages) == sorted(places.due)
    assert sorted(dead_messages) == sorted(places.dead)
    assert sorted(delayed_messages) == sorted(places.delayed)
    assert set(errors) <= places.dead
    return places


def texts(values: Iterable[bytes]) -> list[str]:
    return [value.decode() for value in values]


def stock(client: redis.Redis, worker: str = "stock") -> RedisBroker:
    """Return Dramatiq's own broker, as a stock client or worker has it."""
    broker = RedisBroker(client=client, middleware=[], maintenance_chance=0)  # type: ignore[no-untyped-call]
    broker.broker_id = worker
    return broker


async def claim(bells: Bells, worker: str, queue: str = "default", count: int = 1) -> list[str]:
    """Claim as a fetch does."""
    taken = await bells.redis.lpop(ready_key(queue), count)
    assert isinstance(taken, list)
    await bells.redis.sadd(claims_key(worker, queue), *taken)
    return [id_.decode() for id_ in taken if isinstance(id_, bytes)]


async def scores(bells: Bells, key: str) -> dict[str, float]:
    """Return the members of a sorted set."""
    found: Any = await bells.redis.zrange(key, 0, -1, withscores=True)
    return {member.decode(): score for member, score in found}


async def now_ms(bells: Bells) -> int:
    """Return the time on the clock of Redis."""
    seconds, micros = await bells.redis.time()
    return int(seconds * 1000 + micros // 1000)
