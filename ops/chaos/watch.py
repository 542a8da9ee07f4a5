"""Looks again and again, while a case is played, at what may stand for a moment and not for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ops.chaos.eye import Eye

_LOOK_SECONDS = 0.3

# A worker without a row stands since it began: whose row is gone cannot be waited for.
_STANDING = """
SELECT coalesce(max(extract(epoch FROM now() - coalesce(p.lease_until, e.executed_at))), 0)::float8
FROM service_task_execution e LEFT JOIN worker_processes p ON p.name = e.worker
WHERE e.status = 'running' AND (p.name IS NULL OR p.lease_until < now())
"""


@dataclass
class Watched:
    """What was seen. longest_seconds: that an execution stood running in the name of a worker without a live lease."""

    looks: int = 0
    longest_seconds: float = 0.0


@asynccontextmanager
async def watching(url: str) -> AsyncIterator[Watched]:
    """Look on a connection of its own while the context lasts."""
    watched, eye = Watched(), Eye(url)

    async def look() -> None:
        while True:
            watched.longest_seconds = max(watched.longest_seconds, float(await eye.one(_STANDING)))
            watched.looks += 1
            await asyncio.sleep(_LOOK_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield watched
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        eye.close()
