"""The faults, each a context: it strikes on the way in and is over on the way out; between the two the gates open.

Each notes what shows that it struck. None touches what it does not name.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass

import psutil
from dramatiq.brokers.redis import RedisBroker

from ops.chaos.eye import reached
from ops.chaos.ground import wait_stopped
from ops.chaos.house import LEASE_SECONDS, PLATFORM_SECONDS
from ops.chaos.plans import TASKS_USED
from ops.chaos.scene import Scene

# Longer than any client of ours waits for an answer of Redis; and longer than a lease.
REDIS_STALL_SECONDS = 5.5
POSTGRES_STALL_SECONDS = LEASE_SECONDS + 1.5
AWAY_SECONDS = 1.0
AHEAD_SECONDS = 61.0
_SOON_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of fault.

    strike: notes `struck` and what else there is to tell. ahead_seconds: how far the workers' clock is ahead.
    opens, releases: while it lasts the steps at their gate go on, and what waits in Postgres; else when it is over.
    """

    name: str
    sentence: str
    strike: Callable[[Scene], AbstractAsyncContextManager[None]]
    ahead_seconds: float = 0.0
    opens: bool = True
    releases: bool = True


@asynccontextmanager
async def kill_worker(scene: Scene) -> AsyncIterator[None]:
    """Kill the worker process that holds most."""
    name, pid = await scene.victim()
    os.kill(pid, signal.SIGKILL)
    await reached("the killed worker is gone", lambda: _gone(pid), _SOON_SECONDS)
    scene.notes |= {"struck": True, "victim": name}
    yield


@asynccontextmanager
async def kill_parent(scene: Scene) -> AsyncIterator[None]:
    """Kill the supervisor; its children must end by themselves."""
    children = scene.house.children()
    scene.house.worker.signal(signal.SIGKILL)
    began = time.monotonic()
    await reached("the supervisor is gone", lambda: _ended(scene), _SOON_SECONDS)
    for pid in children:
        await reached("its children are gone", lambda pid=pid: _gone(pid), _SOON_SECONDS)  # type: ignore[misc]
    orphaned = round(time.monotonic() - began, 2)
    scene.notes |= {"struck": bool(children), "children": len(children), "orphaned_s": orphaned}
    yield


@asynccontextmanager
async def term_group(scene: Scene) -> AsyncIterator[None]:
    """Tell the supervisor and its children to end, all at once, as a platform does."""
    async with _told_to_end(scene, [True]):
        yield


@asynccontextmanager
async def double_term(scene: Scene) -> AsyncIterator[None]:
    """Tell the supervisor to end, and then the whole group once more."""
    async with _told_to_end(scene, [False, True]):
        yield


@asynccontextmanager
async def _told_to_end(scene: Scene, group: list[bool]) -> AsyncIterator[None]:
    children = scene.house.children()
    began = time.monotonic()
    told = 0
    for all_of_it in group:
        told += scene.house.worker.ended() is None
        scene.house.worker.signal(signal.SIGTERM, group=all_of_it)
        await asyncio.sleep(0.2)
    yield
    await reached("what was told to end has ended", lambda: _ended(scene), PLATFORM_SECONDS)
    left = [pid for pid in children if not await _gone(pid)]
    code = scene.house.worker.ended()
    scene.notes |= {"struck": told == len(group), "ended_s": round(time.monotonic() - began, 2), "code": code}
    if left:
        scene.violations.append(f"children outlive their supervisor: {left}")


@asynccontextmanager
async def stop_worker(scene: Scene) -> AsyncIterator[None]:
    """Stop a worker process for longer than its lease, and let it go on."""
    name, pid = await scene.victim()
    process = psutil.Process(pid)
    process.suspend()
    try:
        yield
        over = LEASE_SECONDS + _SOON_SECONDS
        await reached("the stopped worker's lease is over", lambda: lease_over(scene, name), over)
        await asyncio.sleep(AWAY_SECONDS)  # so that its work is taken back, and its wake meets the fence
        scene.notes |= {"struck": process.status() == psutil.STATUS_STOPPED, "victim": name}
    finally:
        process.resume()


@asynccontextmanager
async def redis_restart(scene: Scene) -> AsyncIterator[None]:
    """Restart Redis; what it held comes back from its file."""
    before = await run_id(scene)
    successor = scene.ground.stop_valkey()
    yield
    await asyncio.sleep(AWAY_SECONDS)
    scene.ground.start(successor)
    await scene.redis.connection_pool.disconnect()
    scene.notes |= {"struck": await run_id(scene) != before}


@asynccontextmanager
async def redis_flushall(scene: Scene) -> AsyncIterator[None]:
    """Wipe Redis."""
    keys = int(await scene.redis.dbsize())
    await scene.redis.flushall()
    scene.notes |= {"struck": keys > 0, "keys_lost": keys}
    yield


@asynccontextmanager
async def client_kill(scene: Scene) -> AsyncIterator[None]:
    """Close every connection to Redis but ours."""
    killed = int(await scene.redis.client_kill_filter(_type="normal", skipme=True))
    scene.notes |= {"struck": killed > 0, "connections": killed}
    yield


@asynccontextmanager
async def redis_stall(scene: Scene) -> AsyncIterator[None]:
    """Hold back what Redis answers for longer than anybody waits: what was asked for still happens."""
    async with stalled(scene, requests=False):
        yield


@asynccontextmanager
async def stalled(scene: Scene, *, requests: bool) -> AsyncIterator[None]:
    """Hold back what Redis answers, and if asked what is asked of it."""
    scene.ground.line.stall(requests=requests)
    try:
        yield
        await asyncio.sleep(REDIS_STALL_SECONDS)
        line = scene.ground.line
        scene.notes |= {"struck": line.held_bytes + line.held_connections > 0, "held_bytes": line.held_bytes}
    finally:
        scene.ground.line.resume()


@asynccontextmanager
async def postgres_restart(scene: Scene) -> AsyncIterator[None]:
    """Restart Postgres."""
    before = await scene.eye.one("SELECT pg_postmaster_start_time()")
    successor = scene.ground.stop_postgres()
    yield
    await asyncio.sleep(AWAY_SECONDS)
    scene.ground.start(successor)
    scene.notes |= {"struck": await scene.eye.one("SELECT pg_postmaster_start_time()") > before}


@asynccontextmanager
async def postgres_stall(scene: Scene) -> AsyncIterator[None]:
    """Stop every process of Postgres for longer than a lease."""
    with _standing_still(scene.ground.postgres_processes()) as stands:
        yield
        await asyncio.sleep(POSTGRES_STALL_SECONDS)
        scene.notes |= {"struck": stands, "stall_s": POSTGRES_STALL_SECONDS}


@contextmanager
def _standing_still(processes: list[psutil.Process]) -> Iterator[bool]:
    """Stop processes; yields whether all of them are."""
    for one in processes:
        one.suspend()
    try:
        yield wait_stopped(processes)
    finally:
        for one in processes:
            one.resume()


@asynccontextmanager
async def clock_ahead(scene: Scene) -> AsyncIterator[None]:
    """Let a stock Dramatiq client whose clock is ahead look after every queue: to it, all who beat are long dead."""
    before = set(await scene.claimed())
    commands = await asyncio.to_thread(_maintain, scene.ground.servers.redis_url)
    moved = before - set(await scene.claimed())
    scene.notes |= {"struck": commands > 0, "commands": commands, "claims_taken_away": len(moved)}
    yield


def _maintain(url: str) -> int:
    """Send one command a queue, with maintenance forced. Returns how many were sent."""
    broker = RedisBroker(url=url, middleware=[])  # type: ignore[no-untyped-call]
    dispatch, sent = broker.scripts["dispatch"], 0
    for queue in TASKS_USED.values():
        for name in (queue, f"{queue}.DQ"):
            now = int((time.time() + AHEAD_SECONDS) * 1000)  # noqa: TID251 - a machine's clock, and a wrong one
            options = [broker.heartbeat_timeout, broker.dead_message_ttl, "1", 1000]
            dispatch(keys=[broker.namespace], args=["qsize", now, name, broker.broker_id, *options])
            sent += 1
    broker.client.close()
    return sent


async def _gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def _ended(scene: Scene) -> bool:
    return scene.house.worker.ended() is not None


async def lease_over(scene: Scene, name: str) -> bool:
    """Tell whether a worker has no lease any more."""
    query = "SELECT coalesce(gone_at, lease_until) < now() FROM worker_processes WHERE name = $1"
    return bool(await scene.eye.one(query, name))


async def run_id(scene: Scene) -> str:
    """Return what tells one start of Redis from the next."""
    return str((await scene.redis.info("server"))["run_id"])


FAULTS = (
    Fault("kill_worker", "kill -9 of a worker process", kill_worker),
    Fault("kill_parent", "kill -9 of the supervisor", kill_parent),
    Fault("term_group", "TERM to the whole group", term_group),
    Fault(
        "double_term",
        "TERM to the supervisor and again to the group, with steps that do not end",
        double_term,
        opens=False,
    ),
    Fault("stop_worker", "SIGSTOP of a worker process, longer than its lease", stop_worker, opens=False),
    Fault("redis_restart", "Redis restarted", redis_restart),
    Fault("redis_flushall", "Redis wiped", redis_flushall),
    Fault("client_kill", "every connection to Redis closed", client_kill),
    Fault("redis_stall", "answers of Redis held back, longer than anybody waits", redis_stall),
    Fault("postgres_restart", "Postgres restarted", postgres_restart),
    Fault("postgres_stall", "Postgres stopped, longer than a lease", postgres_stall),
    Fault("clock_ahead", "clocks of a stock client and of the workers 61 s ahead", clock_ahead, AHEAD_SECONDS),
)
