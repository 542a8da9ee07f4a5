"""What stock clients sent with a delay becomes a waiting message of ours, in sight and on Redis's clock."""

import json
from collections.abc import Sequence

from dramatiq import Message
from dramatiq.errors import DecodeError
from redis.asyncio import Redis

from worker.bells.calls import Call, run, text
from worker.bells.keys import (
    dead_errors_key,
    dead_key,
    dead_messages_key,
    delayed_key,
    delayed_messages_key,
    messages_key,
    waiting_key,
    waiting_messages_key,
)
from worker.bells.scripts import DRAIN
from worker.wire import why_unreadable

# Messages of a queue that are read and moved at a time.
_BATCH = 100
# Later than any sender means; a due time that is no time is due at once, as it is for Dramatiq.
_LAST_MS = 10**14


async def drain(redis: Redis, queues: Sequence[str]) -> int:
    """Move what stock clients delayed to the waiting messages of these queues. Returns how many were moved.

    What nobody can read goes to the dead letters with its error.
    """
    moved = 0
    while queues:
        found = await _read(redis, queues)
        taken = await run(redis, [_call(queue, messages) for queue, messages in found.items()])
        moved += sum(taken)
        # A batch that was full may have more behind it; one of which nothing was taken is somebody else's.
        full = (len(messages) >= _BATCH for messages in found.values())
        queues = [queue for queue, count, more in zip(found, taken, full, strict=True) if count and more]
    return moved


async def _read(redis: Redis, queues: Sequence[str]) -> dict[str, dict[bytes, bytes | None]]:
    """Return the next delayed messages by their ids, of each queue that has any."""
    async with redis.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.lrange(delayed_key(queue), 0, _BATCH - 1)
        ids = {queue: some for queue, some in zip(queues, await pipeline.execute(), strict=True) if some}
        for queue, some in ids.items():
            pipeline.hmget(delayed_messages_key(queue), some)
        return {
            queue: dict(zip(some, bytes_, strict=True))
            for (queue, some), bytes_ in zip(ids.items(), await pipeline.execute(), strict=True)
        }


def _call(queue: str, messages: dict[bytes, bytes | None]) -> Call:
    readable: list[str | bytes | int] = []
    poison: list[str | bytes | int] = []
    for id_, bytes_ in messages.items():
        try:
            readable += (id_, *_waiting(queue, text(id_), bytes_ or b""))
        except DecodeError as error:
            poison += (id_, json.dumps(why_unreadable(error)))
    keys = (
        delayed_key(queue),
        delayed_messages_key(queue),
        messages_key(queue),
        waiting_key(queue),
        waiting_messages_key(queue),
        dead_key(queue),
        dead_messages_key(queue),
        dead_errors_key(queue),
    )
    return Call(DRAIN, keys, [len(readable) // 3, *readable, *poison])


def _waiting(queue: str, id_: str, delayed: bytes) -> tuple[bytes, int]:
    """Return a stock client's message as it shall be when it is due, and when, in ms on its sender's clock."""
    message: Message[None] = Message.decode(delayed)
    try:
        eta = message.options.pop("eta", 0)
        return message.copy(queue_name=queue, options={"redis_message_id": id_}).encode(), _due_ms(eta)
    except (AttributeError, TypeError, ValueError, RecursionError) as error:
        raise DecodeError("not a message", delayed, error) from error  # type: ignore[no-untyped-call]


def _due_ms(eta: object) -> int:
    if isinstance(eta, bool) or not isinstance(eta, int | float) or not 0 <= eta <= _LAST_MS:
        return 0
    return int(eta)
