"""Faults beyond the matrix: a scheduler that dies, servers that crash, a line that goes silent both ways."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from ops.chaos.acting import ACTING_STATE
from ops.chaos.eye import reached
from ops.chaos.faults import AWAY_SECONDS, Fault, lease_over, run_id, stalled
from ops.chaos.house import LEASE_SECONDS
from ops.chaos.scene import Scene
from ops.chaos.states import FETCHED, QUEUED, RUNNING, SETTLING_STATE, STATES, WAITING_FOR_RETRY, State

REFUSING_SECONDS = 2.0
_SOON_SECONDS = 15.0

_CUT = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE usename = current_user AND pid <> pg_backend_pid() AND application_name NOT LIKE 'chaos%'
"""


@asynccontextmanager
async def kill_scheduler(scene: Scene) -> AsyncIterator[None]:
    """Kill the scheduler; for a while there is none."""
    scene.house.scheduler.signal(signal.SIGKILL)

    async def ended() -> bool:
        return scene.house.scheduler.ended() is not None

    await reached("the scheduler is gone", ended, _SOON_SECONDS)
    yield
    await asyncio.sleep(AWAY_SECONDS)
    scene.notes |= {"struck": scene.house.scheduler.ended() == -signal.SIGKILL}


@asynccontextmanager
async def stop_parent(scene: Scene) -> AsyncIterator[None]:
    """Stop the supervisor for longer than a lease: its workers live, work on, and hold none."""
    name, _ = await scene.victim()
    scene.house.worker.signal(signal.SIGSTOP)
    try:
        yield
        over = LEASE_SECONDS + _SOON_SECONDS
        await reached("its workers' leases are over", lambda: lease_over(scene, name), over)
        await asyncio.sleep(AWAY_SECONDS)  # so that what they hold is taken back
        scene.open_steps()
        scene.release()
        await asyncio.sleep(AWAY_SECONDS)  # so that they settle what is not theirs any more
        scene.notes |= {"struck": scene.house.worker.ended() is None}
    finally:
        scene.house.worker.signal(signal.SIGCONT)


@asynccontextmanager
async def postgres_crash(scene: Scene) -> AsyncIterator[None]:
    """End Postgres without a shutdown; it recovers at its start."""
    before = await scene.eye.one("SELECT pg_postmaster_start_time()")
    successor = scene.ground.stop_postgres(crash=True)
    yield
    scene.ground.start(successor)
    scene.notes |= {"struck": await scene.eye.one("SELECT pg_postmaster_start_time()") > before}


@asynccontextmanager
async def redis_crash(scene: Scene) -> AsyncIterator[None]:
    """Kill Redis; it reads its file at its start."""
    before = await run_id(scene)
    successor = scene.ground.stop_valkey(crash=True)
    yield
    scene.ground.start(successor)
    await scene.redis.connection_pool.disconnect()
    scene.notes |= {"struck": await run_id(scene) != before}


@asynccontextmanager
async def redis_silent(scene: Scene) -> AsyncIterator[None]:
    """Hold back what is asked of Redis, and what it answers."""
    async with stalled(scene, requests=True):
        yield


@asynccontextmanager
async def redis_readonly(scene: Scene) -> AsyncIterator[None]:
    """Let Redis refuse what writes, as one that became a replica."""
    redis = scene.redis
    async with _refusing(scene, "READONLY", lambda: redis.slaveof("127.0.0.1", 1), redis.slaveof):
        yield


@asynccontextmanager
async def redis_full(scene: Scene) -> AsyncIterator[None]:
    """Let Redis have no memory for anything more."""
    redis = scene.redis
    async with _refusing(
        scene, "OOM", lambda: redis.config_set("maxmemory", 1), lambda: redis.config_set("maxmemory", 0)
    ):
        yield


@asynccontextmanager
async def _refusing(
    scene: Scene, word: str, refuse: Callable[[], Awaitable[object]], again: Callable[[], Awaitable[object]]
) -> AsyncIterator[None]:
    """Let Redis refuse with a word for a while. It struck if somebody heard it."""
    before = await _refused(scene, word)
    await refuse()
    try:
        yield
        await asyncio.sleep(REFUSING_SECONDS)
        refused = await _refused(scene, word) - before
        scene.notes |= {"struck": refused > 0, "refused": refused}
    finally:
        await again()


async def _refused(scene: Scene, word: str) -> int:
    told: dict[str, dict[str, int]] = await scene.redis.info("errorstats")
    return int(told.get(f"errorstat_{word}", {}).get("count", 0))


@asynccontextmanager
async def postgres_cut(scene: Scene) -> AsyncIterator[None]:
    """End every connection to Postgres but ours."""
    ended = int(await scene.eye.one(_CUT))
    scene.notes |= {"struck": ended > 0, "connections": ended}
    yield


KILL_SCHEDULER = Fault("kill_scheduler", "kill -9 of the scheduler", kill_scheduler)
STOP_PARENT = Fault(
    "stop_parent", "SIGSTOP of the supervisor, longer than a lease", stop_parent, opens=False, releases=False
)
POSTGRES_CRASH = Fault("postgres_crash", "Postgres ended without a shutdown", postgres_crash)
POSTGRES_CUT = Fault("postgres_cut", "every connection to Postgres ended", postgres_cut)
REDIS_READONLY = Fault("redis_readonly", "Redis read-only, as after a failover", redis_readonly)
REDIS_FULL = Fault("redis_full", "Redis without memory for anything more", redis_full)
REDIS_CRASH = Fault("redis_crash", "kill -9 of Redis", redis_crash)
REDIS_SILENT = Fault("redis_silent", "the line to Redis silent both ways", redis_silent)

FURTHER_FAULTS: tuple[tuple[Fault, tuple[State, ...]], ...] = (
    (KILL_SCHEDULER, (*STATES, ACTING_STATE)),
    (STOP_PARENT, (FETCHED, RUNNING, SETTLING_STATE)),
    (POSTGRES_CRASH, (FETCHED, RUNNING, SETTLING_STATE)),
    (POSTGRES_CUT, (FETCHED, RUNNING, SETTLING_STATE, ACTING_STATE)),
    (REDIS_CRASH, (QUEUED, RUNNING, WAITING_FOR_RETRY)),
    (REDIS_SILENT, (FETCHED, SETTLING_STATE)),
    (REDIS_READONLY, (QUEUED, RUNNING, SETTLING_STATE, ACTING_STATE)),
    (REDIS_FULL, (QUEUED, RUNNING, SETTLING_STATE)),
)
"""Each with the states that it meets."""
