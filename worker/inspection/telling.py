"""What Redis is told of executions that were changed by hand: their old messages go, their next ones come."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from db.executions import Bell
from worker.bells.actions import Move, Place, move
from worker.bells.calls import run
from worker.bells.peals import ring_calls
from worker.inspection.reach import Reach
from worker.wire import encode, message_id


@dataclass(frozen=True, slots=True)
class Next:
    """An execution's old message and what comes in its stead. queue: the old one's. is_dead: it is a dead letter."""

    queue: str
    message_id: str
    bell: Bell
    place: Place
    delay_ms: int = 0
    is_dead: bool = False


@dataclass(frozen=True, slots=True)
class Heard:
    """What Redis answered. found: by old message id, where it was. away: why Redis did not answer, None if it did."""

    found: Mapping[str, Place]
    away: str | None = None


async def tell(reach: Reach, nexts: Sequence[Next], rung: Sequence[Bell]) -> Heard:
    """Replace messages, and ring what the changes made room for. Raises nothing: what is missed the sweep rings."""
    found: dict[str, Place] = {}
    try:
        for (queue, into), some in _by_queues(nexts).items():
            places = await move(reach.redis, queue, [_move(one) for one in some], into=into)
            found |= {one.message_id: place for one, place in zip(some, places, strict=True)}
        await run(reach.redis, ring_calls(rung))
    except (RedisError, OSError) as error:
        return Heard(found, str(error) or type(error).__name__)
    return Heard(found)


def _by_queues(nexts: Sequence[Next]) -> dict[tuple[str, str], list[Next]]:
    found: dict[tuple[str, str], list[Next]] = defaultdict(list)
    for one in nexts:
        found[one.queue, one.bell.queue].append(one)
    return found


def _move(one: Next) -> Move:
    message = encode(one.bell) if one.place is not Place.NOWHERE else b""
    return Move(one.message_id, one.place, message_id(one.bell), message, one.delay_ms, dead=one.is_dead)
