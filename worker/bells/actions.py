"""What operators do to messages: each act is one script that takes a message out of its place and says whether it won.

A message that a worker claims is in nobody's hands but that worker's: it is never touched, and is dropped at the claim
when its execution has gone on without it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from redis.asyncio import Redis

from worker.bells.calls import CHUNK, Call, chunks, run, text
from worker.bells.keys import (
    NAMESPACE,
    dead_errors_key,
    dead_key,
    dead_messages_key,
    messages_key,
    ready_key,
    waiting_key,
    waiting_messages_key,
)
from worker.bells.scripts import Script

# Places of a list that one script may walk past, all ids together: some tens of ms in which Redis serves nobody else.
_STEPS = 5_000_000
# How long an act is remembered: a connection that broke may send it again, and gets the answer of the first time.
_REMEMBERED_MS = 60_000


class Place(StrEnum):
    """Where a message is. NOWHERE: claimed by a worker, or gone."""

    READY = "ready"
    WAITING = "waiting"
    DEAD = "dead"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Move:
    """One message to take away, and what comes in its stead.

    dead: it is looked for among the dead letters, else among those that wait or are ready. to: NOWHERE puts nothing in
    its stead. delay_ms: of one that shall wait, on Redis's clock. error: JSON text for a dead letter without execution.
    """

    message_id: str
    to: Place = Place.NOWHERE
    new_id: str = ""
    message: bytes = b""
    delay_ms: int = 0
    error: str = ""
    dead: bool = False


# KEYS ready, its hash, waiting, its hash, dead, their hash, their errors: of the queue that is left, then of the one
# that is arrived at; then where this act is remembered. ARGV whether what is not found stays away, then per message:
# id, 'dead' or 'live', to, new id, bytes, delay in ms, error as JSON. Returns where each was found.
_MOVE = Script(
    f"""
local told = redis.call('GET', KEYS[15])
if told then
    return cjson.decode(told)
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function leave(id, kind)
    if kind == 'dead' then
        if redis.call('ZREM', KEYS[5], id) == 1 then
            redis.call('HDEL', KEYS[6], id)
            redis.call('HDEL', KEYS[7], id)
            return 'dead'
        end
    elseif redis.call('ZREM', KEYS[3], id) == 1 then
        redis.call('HDEL', KEYS[4], id)
        return 'waiting'
    elseif redis.call('LREM', KEYS[1], 1, id) == 1 then
        redis.call('HDEL', KEYS[2], id)
        return 'ready'
    end
    return 'nowhere'
end

local function arrive(to, id, bytes, delay, error)
    if to == 'dead' then
        redis.call('ZADD', KEYS[12], string.format('%.0f', now), id)
        redis.call('HSET', KEYS[13], id, bytes)
        if error ~= '' then
            redis.call('HSET', KEYS[14], id, '{{"error":' .. error .. ',"at":' .. string.format('%.0f', now) .. '}}')
        end
    elseif to == 'waiting' then
        if redis.call('HEXISTS', KEYS[9], id) == 0 then
            redis.call('HSET', KEYS[11], id, bytes)
            redis.call('ZADD', KEYS[10], string.format('%.0f', now + delay), id)
        end
    elseif to == 'ready' then
        if redis.call('ZREM', KEYS[10], id) == 1 then
            redis.call('HDEL', KEYS[11], id)
        end
        if redis.call('HSETNX', KEYS[9], id, bytes) == 1 then
            redis.call('RPUSH', KEYS[8], id)
        end
    end
end

local found = {{}}
for i = 2, #ARGV, 7 do
    local from = leave(ARGV[i], ARGV[i + 1])
    found[#found + 1] = from
    if from ~= 'nowhere' or ARGV[1] == '0' then
        arrive(ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], tonumber(ARGV[i + 5]), ARGV[i + 6])
    end
end
redis.call('SET', KEYS[15], cjson.encode(found), 'PX', {_REMEMBERED_MS})
return found
"""
)


async def move(
    redis: Redis, queue: str, moves: Sequence[Move], *, into: str | None = None, only_found: bool = False
) -> list[Place]:
    """Take messages of a queue away and put others in their stead, each at once. Returns where each was found.

    into: the queue of what comes, None for the same. only_found: what was not found brings nothing in its stead: who
    finds it wins. Raises RedisError or OSError; then some may have been moved.
    """
    searched = await redis.llen(ready_key(queue)) if moves else 0
    at_once = max(1, min(CHUNK, _STEPS // max(searched, 1)))
    calls = [_call(queue, into or queue, some, only_found) for some in chunks(moves, at_once)]
    return [Place(text(place)) for places in await run(redis, calls) for place in places]


def _call(queue: str, into: str, moves: Sequence[Move], only_found: bool) -> Call:
    arguments: list[str | bytes | int] = [int(only_found)]
    for one in moves:
        kind = "dead" if one.dead else "live"
        arguments += (one.message_id, kind, one.to, one.new_id, one.message, one.delay_ms, one.error)
    remembered = f"{NAMESPACE}:__acts__.{secrets.token_hex(8)}"
    return Call(_MOVE, (*_places(queue), *_places(into), remembered), arguments)


def _places(queue: str) -> tuple[str, ...]:
    return (
        ready_key(queue),
        messages_key(queue),
        waiting_key(queue),
        waiting_messages_key(queue),
        dead_key(queue),
        dead_messages_key(queue),
        dead_errors_key(queue),
    )
