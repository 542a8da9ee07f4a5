"""Where messages are on Redis, as the scheduler's tests look at them."""

from worker.bells.calls import text
from worker.bells.keys import claims_key, ready_key, waiting_key
from worker.bells.ringing import Bells


async def ready(bells: Bells, queue: str = "default") -> list[str]:
    """Return the ids that are ready, the next one first."""
    return [text(id_) for id_ in await bells.redis.lrange(ready_key(queue), 0, -1)]


async def claimed(bells: Bells, name: str, queue: str = "default") -> set[str]:
    """Return the ids that a worker claims."""
    return {text(id_) for id_ in await bells.redis.smembers(claims_key(name, queue))}


async def waiting(bells: Bells, queue: str = "default") -> dict[str, float]:
    """Return what waits, with the seconds until each is due."""
    at = float((await bells.redis.time())[0])
    found = [text(id_) for id_ in await bells.redis.zrange(waiting_key(queue), 0, -1)]
    scores = await bells.redis.zmscore(waiting_key(queue), found) if found else []
    return {id_: float(score or 0) / 1000 - at for id_, score in zip(found, scores, strict=True)}
