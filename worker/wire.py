"""The message that rings for one execution: its id, how Dramatiq encodes it, and what it says.

The payload (id, scheduled_for, generation) is a wire format: add, drain, remove.
"""

from datetime import UTC, datetime

from dramatiq import Message

from db.executions import Bell


def message_id(bell: Bell) -> str:
    """Return the message's id, in Redis too: ringing the same bell twice is one message."""
    return f"{bell.execution_id}.{bell.generation}"


def encode(bell: Bell) -> bytes:
    """Return the message of a bell as Dramatiq encodes it."""
    id_ = message_id(bell)
    message: Message[None] = Message(
        queue_name=bell.queue,
        actor_name=bell.task_name,
        args=(bell.execution_id, bell.scheduled_for.astimezone(UTC).isoformat(), bell.generation),
        kwargs={},
        options={"redis_message_id": id_},
        message_id=id_,
    )
    return message.encode()


def bell_of(message: Message[None]) -> Bell:
    """Return what a message rings for. Raises ValueError when its payload is not of the table's form."""
    try:
        execution_id, scheduled_for, generation = message.args
        return Bell(
            message.actor_name,
            message.queue_name,
            datetime.fromisoformat(scheduled_for),
            int(execution_id),
            int(generation),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f"message {message.message_id} of {message.actor_name}: not (id, slot, generation)") from error
