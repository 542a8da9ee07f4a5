"""The message that rings for one execution: its id, how Dramatiq encodes it, and what it says.

The payload (id, scheduled_for, generation) is a wire format: add, drain, remove.
"""

import json
from datetime import UTC, datetime
from functools import lru_cache

from dramatiq import Message
from dramatiq.common import current_millis
from dramatiq.errors import DecodeError

from db.executions import Bell

_LAST_ID, _LAST_GENERATION = 2**63 - 1, 2**31 - 1  # int8, int4
# A slot outside is a mistake of who wrote it: no market has traded then, and Postgres has no partition.
_FIRST_SLOT, _LAST_SLOT = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
_LONGEST_REASON = 500


def message_id(bell: Bell) -> str:
    """Return the message's id, in Redis too: ringing the same bell twice is one message."""
    return f"{bell.execution_id}.{bell.generation}"


def encode(bell: Bell) -> bytes:
    """Return the message of a bell, byte for byte as Dramatiq encodes it."""
    parts = template(bell.task_name, bell.queue, bell.scheduled_for, bell.generation)
    return f"{bell.execution_id:d}".join(parts).encode()


def template(task_name: str, queue: str, scheduled_for: datetime, generation: int) -> tuple[str, str, str, str]:
    """Return what stands before, between and behind the three places of an execution's id in its message."""
    slot = scheduled_for.astimezone(UTC).isoformat()
    return (
        f'{_head(queue, task_name)}"args":[',
        f',"{slot}",{generation:d}],"kwargs":{{}},"options":{{"redis_message_id":"',
        f'.{generation:d}"}},"message_id":"',
        f'.{generation:d}","message_timestamp":{current_millis()}}}',
    )


@lru_cache(maxsize=256)
def _head(queue: str, task: str) -> str:
    return f'{{"queue_name":{json.dumps(queue)},"actor_name":{json.dumps(task)},'


def bell_of(message: Message[None]) -> Bell:
    """Return what a message rings for. Raises ValueError when its payload is not of the table's form."""
    try:
        execution_id, slot, generation = message.args
        _check(execution_id, _LAST_ID)
        _check(generation, _LAST_GENERATION)
        scheduled_for = datetime.fromisoformat(slot)
        if not _FIRST_SLOT <= scheduled_for < _LAST_SLOT:
            raise ValueError(f"no such slot: {slot}")
    except (TypeError, ValueError) as error:
        raise ValueError(f"message {message.message_id} of {message.actor_name}: not (id, slot, generation)") from error
    return Bell(message.actor_name, message.queue_name, scheduled_for, execution_id, generation)


def why_unreadable(error: DecodeError) -> str:
    """Return what is wrong with a message that Dramatiq cannot decode, short: its bytes are kept elsewhere."""
    cause: object = error
    while isinstance(cause, DecodeError) and cause.error is not None:
        cause = cause.error
    return f"{type(cause).__name__}: {cause}"[:_LONGEST_REASON]


def _check(number: object, last: int) -> None:
    if type(number) is not int or not 0 <= number <= last:
        raise ValueError(f"no such number: {number!r}")
