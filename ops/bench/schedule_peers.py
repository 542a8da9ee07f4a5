"""The others that a firing is measured beside: what each sends a second, alone on the same servers."""

import asyncio
import sys

from ops.bench.queue_world import World
from ops.bench.report import BenchError
from ops.doors import ROOT

# As many as last each of them some seconds.
USUAL = {"stock": 50_000, "celery": 5_000, "procrastinate": 50_000}
_SECONDS = 300.0
# What each leaves behind on Redis, and in Postgres.
_KEYS = ("stock:default", "stock:default.msgs", "celery")
_JOBS = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there"
_FORGET = "TRUNCATE procrastinate_jobs CASCADE"


async def sent_per_s(world: World, name: str, most: int) -> float:
    """Return how many messages one of USUAL sends a second. most: no more are sent. Raises BenchError."""
    count = min(USUAL[name], most)
    command = [sys.executable, "-m", "ops.bench.peers.sending", name, str(count)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=world.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, error = await asyncio.wait_for(process.communicate(), _SECONDS)
    except TimeoutError:
        process.kill()
        raise BenchError(f"{name} did not send {count} messages in {_SECONDS:.0f} s") from None
    if process.returncode:
        raise BenchError(f"{name} ended with code {process.returncode}: {error.decode(errors='replace')[-500:]}")
    await _forget(world)
    return count / float(said)


async def _forget(world: World) -> None:
    await world.redis.unlink(*_KEYS)
    [jobs] = await world.rows(_JOBS)
    if jobs.there:
        await world.rows(_FORGET)
