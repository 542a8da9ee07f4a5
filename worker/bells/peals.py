"""What Redis has to be told to ring: bells one by one, and peals, whose messages Redis writes from a template."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from db.executions import Bell, Peal
from worker.bells.calls import CHUNK, Call, chunks
from worker.bells.keys import messages_key, ready_key, waiting_key, waiting_messages_key
from worker.bells.scripts import PEAL, RING
from worker.wire import encode, message_id, template


def ring_calls(bells: Iterable[Bell]) -> Iterator[Call]:
    """Return the calls that ring bells, of any queues."""
    for queue, rung in by_queue_of(bells).items():
        yield from ring_queue(queue, rung)


def peal_calls(peals: Iterable[Peal]) -> Iterator[Call]:
    """Return the calls that ring peals: so many ids are one argument, for a client pays by the argument."""
    for peal in peals:
        parts = template(peal.task_name, peal.queue, peal.scheduled_for, peal.generation)
        for some in chunks(peal.execution_ids, CHUNK):
            yield Call(PEAL, _keys(peal.queue), (*parts, f".{peal.generation:d}", " ".join(map(str, some))))


def ring_queue(queue: str, bells: Sequence[Bell]) -> Iterator[Call]:
    """Return the calls that ring bells of one queue."""
    for some in chunks(bells):
        yield Call(RING, _keys(queue), told(some))


def by_queue_of(bells: Iterable[Bell]) -> dict[str, list[Bell]]:
    """Return bells by their queues."""
    by_queue: dict[str, list[Bell]] = defaultdict(list)
    for bell in bells:
        by_queue[bell.queue].append(bell)
    return by_queue


def told(bells: Iterable[Bell]) -> list[str | bytes | int]:
    """Return bells as arguments of a script: id, message, id, message."""
    arguments: list[str | bytes | int] = []
    for bell in bells:
        arguments += (message_id(bell), encode(bell))
    return arguments


def _keys(queue: str) -> tuple[str, str, str, str]:
    return ready_key(queue), messages_key(queue), waiting_key(queue), waiting_messages_key(queue)
