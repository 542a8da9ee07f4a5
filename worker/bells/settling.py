"""What Redis has to be told of executions whose ends are committed: one call a queue and batch."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from db.executions import Bell
from worker.bells.calls import CHUNK, Call, chunks
from worker.bells.keys import (
    claims_key,
    dead_key,
    dead_messages_key,
    messages_key,
    ready_key,
    waiting_key,
    waiting_messages_key,
)
from worker.bells.peals import by_queue_of, ring_queue, told
from worker.bells.scripts import SETTLE
from worker.wire import encode, message_id


@dataclass(frozen=True, slots=True)
class Settled:
    """The settled messages of one queue, by the ids under which their worker claimed them.

    acknowledged: those that need nothing more. retries: id, bell of the next generation, delay in ms on Redis's clock
    (0 or less: ready at once). dead: ended failed for good; people look for them among the dead letters.
    """

    acknowledged: list[str] = field(default_factory=list)
    retries: list[tuple[str, Bell, int]] = field(default_factory=list)
    dead: list[str] = field(default_factory=list)


def settle_calls(worker: str, by_queue: Mapping[str, Settled], nexts: Iterable[Bell]) -> Iterator[Call]:
    """Return the calls that end a batch. nexts: bells to ring, which go with their queue's call."""
    rung = by_queue_of(nexts)
    for queue, settled in by_queue.items():
        yield from _of_queue(worker, queue, settled, rung.pop(queue, []))
    for queue, bells in rung.items():
        yield from ring_queue(queue, bells)


def _of_queue(worker: str, queue: str, settled: Settled, nexts: list[Bell]) -> Iterator[Call]:
    if len(settled.acknowledged) + len(settled.retries) + len(settled.dead) + len(nexts) <= CHUNK:
        yield _call(worker, queue, settled, nexts)
        return
    for acknowledged in chunks(settled.acknowledged):
        yield _call(worker, queue, Settled(acknowledged=list(acknowledged)))
    for dead in chunks(settled.dead):
        yield _call(worker, queue, Settled(dead=list(dead)))
    for retries in chunks(settled.retries):
        yield _call(worker, queue, Settled(retries=list(retries)))
    yield from ring_queue(queue, nexts)


def _call(worker: str, queue: str, settled: Settled, nexts: Iterable[Bell] = ()) -> Call:
    keys = (
        claims_key(worker, queue),
        messages_key(queue),
        ready_key(queue),
        waiting_key(queue),
        waiting_messages_key(queue),
        dead_key(queue),
        dead_messages_key(queue),
    )
    counts = (len(settled.acknowledged), len(settled.dead), len(settled.retries))
    arguments: list[str | bytes | int] = [*counts, *settled.acknowledged, *settled.dead]
    for id_, bell, delay_ms in settled.retries:
        arguments += (id_, message_id(bell), encode(bell), delay_ms)
    return Call(SETTLE, keys, [*arguments, *told(nexts)])
