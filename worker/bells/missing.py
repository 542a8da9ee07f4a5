"""Which of many messages are not on Redis: asked by their ids alone, because most of them are."""

from collections import defaultdict
from collections.abc import Iterable

from redis.asyncio import Redis

from db.executions import Bell
from worker.bells.calls import Call, chunks, run
from worker.bells.keys import messages_key, waiting_key
from worker.bells.scripts import Script
from worker.wire import message_id

# KEYS hash, waiting; ARGV 1 if those that wait are there too, then ids. Returns the numbers of those that are not.
_MISSING = Script(
    """
local missing = {}
for i = 2, #ARGV do
    if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0
        and not (ARGV[1] == '1' and redis.call('ZSCORE', KEYS[2], ARGV[i])) then
        missing[#missing + 1] = i - 2
    end
end
return missing
"""
)


async def find_missing(redis: Redis, bells: Iterable[Bell], *, or_waiting: bool) -> list[Bell]:
    """Return which bells have no message that is ready or claimed. or_waiting: nor one that waits for its time."""
    by_queue: dict[str, list[Bell]] = defaultdict(list)
    for bell in bells:
        by_queue[bell.queue].append(bell)
    parts = [(queue, part) for queue, some in by_queue.items() for part in chunks(some)]
    calls = [
        Call(_MISSING, (messages_key(queue), waiting_key(queue)), [int(or_waiting), *map(message_id, part)])
        for queue, part in parts
    ]
    found = zip(parts, await run(redis, calls), strict=True)
    return [part[number] for (_, part), numbers in found for number in numbers]
