"""Reads queues a page at a time, each page in one script, so that what it says fits together. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis

from worker.bells.calls import Call, run, text
from worker.bells.keys import (
    claims_key,
    dead_errors_key,
    dead_key,
    dead_messages_key,
    delayed_messages_key,
    messages_key,
    ready_key,
    waiting_key,
    waiting_messages_key,
)
from worker.bells.scripts import Script

# A message that is longer is told of by its length alone: a page of them must fit into anybody's memory.
LONGEST_MESSAGE = 65_536

Kind = Literal["waiting", "dead"]


@dataclass(frozen=True, slots=True)
class RawMessage:
    """A message as Redis keeps it. at_ms: when it is due, or died. length: 0 when its bytes are gone.

    message: empty when it is longer than LONGEST_MESSAGE. error: JSON text that was stored beside a dead letter.
    """

    message_id: str
    at_ms: int
    message: bytes
    length: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class RawPage:
    """Some messages in order. now_ms: Redis's clock. last: nothing follows."""

    messages: Sequence[RawMessage]
    now_ms: int
    last: bool


@dataclass(frozen=True, slots=True)
class Start:
    """Where a page begins. how: from the first; behind a message; from a score on; behind a score."""

    how: Literal["first", "member", "from", "after"] = "first"
    at_ms: int = 0
    message_id: str = ""


@dataclass(frozen=True, slots=True)
class QueueLook:
    """One queue at one moment. first_*: of the message that is taken next. *_ms: on Redis's clock, None without any.

    delayed: what stock clients sent with a delay and nobody drained yet.
    """

    now_ms: int
    ready: int
    messages: int
    first_message: bytes
    waiting: int
    next_due_ms: int | None
    overdue: int
    dead: int
    newest_dead_ms: int | None
    delayed: int
    claimed: Sequence[int]


_NOW = """
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
"""

# What is read of some ids: their messages, and the place and length of those that are too long. Uses `hash`, `most`.
_READ = """
local function read(ids)
    local messages, long = {}, {}
    if #ids > 0 then
        messages = redis.call('HMGET', hash, unpack(ids))
    end
    for i = 1, #ids do
        local message = messages[i] or ''
        if #message > most then
            long[#long + 1] = i
            long[#long + 1] = #message
            message = ''
        end
        messages[i] = message
    end
    return messages, long
end
"""

# A page of a sorted set: KEYS set, hash, errors; ARGV '1' for the highest first, how it starts, score, member, how
# many, the longest message. A member that is gone is resumed at its score, whose members may be told of twice.
_SORTED = Script(
    _NOW
    + """
local set, hash, errors = unpack(KEYS)
local highest, how, score, member = ARGV[1] == '1', ARGV[2], ARGV[3], ARGV[4]
local count, most = tonumber(ARGV[5]), tonumber(ARGV[6])
"""
    + _READ
    + """
local rank = 0
if how == 'member' then
    rank = redis.call(highest and 'ZREVRANK' or 'ZRANK', set, member)
    local at = redis.call('ZSCORE', set, member)
    if rank and tonumber(at) == tonumber(score) then
        rank = rank + 1
    else
        how = 'from'
    end
end
if how == 'from' or how == 'after' then
    local bound = how == 'from' and '(' .. score or score
    rank = highest and redis.call('ZCOUNT', set, bound, '+inf') or redis.call('ZCOUNT', set, '-inf', bound)
end
local flat = redis.call(highest and 'ZREVRANGE' or 'ZRANGE', set, rank, rank + count - 1, 'WITHSCORES')
local ids, scores = {}, {}
for i = 1, #flat, 2 do
    ids[#ids + 1] = flat[i]
    scores[#scores + 1] = flat[i + 1]
end
local messages, long = read(ids)
local said = {}
if #ids > 0 and redis.call('EXISTS', errors) == 1 then
    for i, error in ipairs(redis.call('HMGET', errors, unpack(ids))) do
        said[i] = error or ''
    end
end
return {now, redis.call('ZCARD', set) <= rank + #ids and 1 or 0, ids, messages, long, scores, said}
"""
)

# Some members of a sorted set: KEYS set, hash, errors; ARGV the longest message, the ids. Those that are not in it are
# left out.
_THESE = Script(
    _NOW
    + """
local set, hash, errors = unpack(KEYS)
local most = tonumber(ARGV[1])
"""
    + _READ
    + """
local ids, scores = {}, {}
for i = 2, #ARGV do
    local at = redis.call('ZSCORE', set, ARGV[i])
    if at then
        ids[#ids + 1] = ARGV[i]
        scores[#scores + 1] = at
    end
end
local messages, long = read(ids)
return {now, 1, ids, messages, long, scores, {}}
"""
)

# A page of a list: KEYS list, hash; ARGV the place of the first, the id it shall stand behind or '', how many, the
# longest message. When that id is gone the list was taken down to it: what is first now follows.
_LISTED = Script(
    _NOW
    + """
local list, hash = unpack(KEYS)
local start, member, count, most = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
"""
    + _READ
    + """
if member ~= '' then
    local at = redis.call('LPOS', list, member)
    start = at and at + 1 or 0
end
local ids = redis.call('LRANGE', list, start, start + count - 1)
local messages, long = read(ids)
return {now, redis.call('LLEN', list) <= start + #ids and 1 or 0, ids, messages, long, {}, {}}
"""
)

# One queue: KEYS list, hash, waiting, dead, delayed hash, and the claims of each worker; ARGV the longest message.
_LOOK = Script(
    _NOW
    + """
local first = redis.call('LRANGE', KEYS[1], 0, 0)[1]
local message = first and redis.call('HGET', KEYS[2], first) or ''
if #message > tonumber(ARGV[1]) then
    message = ''
end
local due = redis.call('ZRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2] or ''
local died = redis.call('ZREVRANGE', KEYS[4], 0, 0, 'WITHSCORES')[2] or ''
local claimed = {}
for k = 6, #KEYS do
    claimed[#claimed + 1] = redis.call('SCARD', KEYS[k])
end
return {now, redis.call('LLEN', KEYS[1]), redis.call('HLEN', KEYS[2]), message, redis.call('ZCARD', KEYS[3]), due,
        redis.call('ZCOUNT', KEYS[3], '-inf', now), redis.call('ZCARD', KEYS[4]), died, redis.call('HLEN', KEYS[5]),
        claimed}
"""
)


async def sorted_page(
    redis: Redis, queue: str, kind: Kind, start: Start, count: int, *, highest_first: bool = False
) -> RawPage:
    """Return a page of what waits or is dead, by due time or time of death. Raises RedisError or OSError."""
    arguments = (int(highest_first), start.how, start.at_ms, start.message_id, count, LONGEST_MESSAGE)
    [answer] = await run(redis, [Call(_SORTED, _sorted_keys(queue, kind), arguments)])
    return _page(answer)


async def ready_page(redis: Redis, queue: str, count: int, *, start: int = 0, behind: str = "") -> RawPage:
    """Return a page of a queue's ready messages, the next one first. behind: the id it shall follow; else by place."""
    arguments = (start, behind, count, LONGEST_MESSAGE)
    [answer] = await run(redis, [Call(_LISTED, (ready_key(queue), messages_key(queue)), arguments)])
    return _page(answer)


async def look(redis: Redis, queues: Sequence[str], workers: Sequence[str]) -> dict[str, QueueLook]:
    """Return how queues stand, each by one script. workers: whose claims are counted, in that order."""
    calls = [
        Call(
            _LOOK,
            (
                ready_key(queue),
                messages_key(queue),
                waiting_key(queue),
                dead_key(queue),
                delayed_messages_key(queue),
                *(claims_key(worker, queue) for worker in workers),
            ),
            (LONGEST_MESSAGE,),
        )
        for queue in queues
    ]
    return {queue: _look(answer) for queue, answer in zip(queues, await run(redis, calls), strict=True)}


async def these(redis: Redis, queue: str, kind: Kind, ids: Sequence[str]) -> list[RawMessage]:
    """Return those of some messages that wait or are dead, some hundreds at a time. Raises RedisError or OSError."""
    [answer] = await run(redis, [Call(_THESE, _sorted_keys(queue, kind), (LONGEST_MESSAGE, *ids))])
    return list(_page(answer).messages)


def _sorted_keys(queue: str, kind: Kind) -> tuple[str, str, str]:
    if kind == "waiting":
        return waiting_key(queue), waiting_messages_key(queue), dead_errors_key(queue)
    return dead_key(queue), dead_messages_key(queue), dead_errors_key(queue)


def _page(answer: list[Any]) -> RawPage:
    now, last, ids, messages, long, scores, said = answer
    lengths = dict(zip(long[::2], long[1::2], strict=True))
    found = [
        RawMessage(
            text(id_),
            int(float(scores[n])) if scores else int(now),
            messages[n],
            lengths.get(n + 1, len(messages[n])),
            text(said[n]) if said else "",
        )
        for n, id_ in enumerate(ids)
    ]
    return RawPage(found, int(now), bool(last))


def _look(answer: list[Any]) -> QueueLook:
    now, ready, messages, first, waiting, due, overdue, dead, died, delayed, claimed = answer
    return QueueLook(
        int(now),
        ready,
        messages,
        first,
        waiting,
        _ms(due),
        overdue,
        dead,
        _ms(died),
        delayed,
        [int(n) for n in claimed],
    )


def _ms(score: bytes) -> int | None:
    return int(float(score)) if score else None
