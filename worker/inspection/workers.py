"""Who takes work: our processes by their leases, and whoever else Redis has heard of."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from redis.asyncio import Redis

from db.inspections import InspectionRepository, Row
from worker.bells.calls import text
from worker.bells.keys import HEARTBEATS, claims_key
from worker.inspection.reach import Reach
from worker.inspection.walking import queue_names

# Processes that ended this long ago are still shown.
LATELY_SECONDS = 3600.0
_CLIENTS = 1000


class WorkerState(StrEnum):
    """How a process stands. STOPPED: its lease ran out, and nobody saw it end. GONE: its work is being taken back."""

    LIVE = "live"
    STOPPED = "stopped"
    GONE = "gone"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker process of ours. held: messages it claims on Redis. lease_seconds: left of its lease; below 0, over.

    seen_seconds: since its heartbeat on Redis, None without one. ended_seconds: since nothing of its work was left.
    """

    name: str
    host: str
    pid: int
    queues: str
    state: WorkerState
    running: int
    held: int
    lease_seconds: float
    seen_seconds: float | None
    started_at: object
    ended_seconds: float | None


@dataclass(frozen=True, slots=True)
class Client:
    """Whoever else has a heartbeat on Redis: stock workers, and everybody who only sends."""

    name: str
    seen_seconds: float
    held: int


@dataclass(frozen=True, slots=True)
class Workers:
    """Our processes, oldest first, and the clients, the last seen first; at most a thousand of these are looked at."""

    workers: Sequence[WorkerView]
    clients: Sequence[Client]


async def workers(reach: Reach) -> Workers:
    """Return who takes work, and who did lately. Raises RedisError or OSError."""
    beats = await _beats(reach.redis)
    async with reach.database.reading(None) as session:
        inspection = InspectionRepository(session)
        rows = await inspection.workers(LATELY_SECONDS)
        ours = await inspection.known_workers(list(beats))
    foreign = [name for name in beats if name not in ours]
    held = await _held(reach.redis, [*(row["name"] for row in rows), *foreign])
    return Workers(
        [_view(row, beats.get(row["name"]), held[row["name"]]) for row in rows],
        [Client(name, beats[name], held[name]) for name in foreign],
    )


async def running(reach: Reach, worker: str, limit: int, user_id: int | None = None) -> list[Row]:
    """Return what a worker runs now, the longest first."""
    async with reach.database.reading(None) as session:
        return await InspectionRepository(session).running(worker, limit, user_id)


async def held_messages(reach: Reach, worker: str, limit: int) -> dict[str, list[str]]:
    """Return the ids of messages that a worker claims, per queue, some of each. Raises RedisError or OSError."""
    found = {}
    for queue in await queue_names(reach.redis):
        ids = []
        async for id_ in reach.redis.sscan_iter(claims_key(worker, queue), count=limit):
            ids.append(text(id_))
            if len(ids) >= limit:
                break
        if ids:
            found[queue] = sorted(ids)
    return found


def is_live(row: Row) -> bool:
    """Tell whether a process may take work."""
    return row["ended_seconds"] is None and row["gone_seconds"] is None and row["lease_seconds"] > 0


def state_of(row: Row) -> WorkerState:
    """Return how a process stands."""
    if row["ended_seconds"] is not None:
        return WorkerState.ENDED
    if row["gone_seconds"] is not None:
        return WorkerState.GONE
    return WorkerState.LIVE if row["lease_seconds"] > 0 else WorkerState.STOPPED


def _view(row: Row, seen_seconds: float | None, held: int) -> WorkerView:
    return WorkerView(
        row["name"],
        row["host"],
        row["pid"],
        row["queues"],
        state_of(row),
        row["running"],
        held,
        row["lease_seconds"],
        seen_seconds,
        row["started_at"],
        row["ended_seconds"],
    )


async def _beats(redis: Redis) -> dict[str, float]:
    """Return who was heard of, the last one first, with the seconds since, on Redis's clock."""
    async with redis.pipeline(transaction=True) as pipeline:
        pipeline.time()
        pipeline.zrange(HEARTBEATS, 0, _CLIENTS - 1, desc=True, withscores=True)
        (seconds, microseconds), beats = await pipeline.execute()
    now = int(seconds) + int(microseconds) / 1e6
    return {text(name): max(now - ms / 1000, 0.0) for name, ms in beats}


async def _held(redis: Redis, names: Sequence[str]) -> dict[str, int]:
    queues = await queue_names(redis)
    async with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            for queue in queues:
                pipeline.scard(claims_key(name, queue))
        counts = await pipeline.execute() if names else []
    width = len(queues)
    return {name: sum(counts[number * width : (number + 1) * width]) for number, name in enumerate(names)}
