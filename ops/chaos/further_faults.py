"""Faults beyond the matrix: a scheduler that dies, servers that crash, a line that goes silent both ways."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ops.chaos.eye import reached
from ops.chaos.faults import AWAY_SECONDS, Fault, lease_over, run_id, stalled
from ops.chaos.house import LEASE_SECONDS
from ops.chaos.scene import Scene

_SOON_SECONDS = 15.0


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


KILL_SCHEDULER = Fault("kill_scheduler", "kill -9 of the scheduler", kill_scheduler)
STOP_PARENT = Fault(
    "stop_parent", "SIGSTOP of the supervisor, longer than a lease", stop_parent, opens=False, releases=False
)
POSTGRES_CRASH = Fault("postgres_crash", "Postgres ended without a shutdown", postgres_crash)
REDIS_CRASH = Fault("redis_crash", "kill -9 of Redis", redis_crash)
REDIS_SILENT = Fault("redis_silent", "the line to Redis silent both ways", redis_silent)
FURTHER_FAULTS = (KILL_SCHEDULER, STOP_PARENT, POSTGRES_CRASH, REDIS_CRASH, REDIS_SILENT)
