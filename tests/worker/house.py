"""Worker processes that run `tests.worker.killing_child`, and a scheduler's sweep beside them.

Run as a module it is the door `worker.main` with such processes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from scheduler.sweep import Sweep
from worker.bells.ringing import Bells
from worker.main import main
from worker.supervisor import Supervisor

CHILD = "tests.worker.killing_child"
_PAUSE_SECONDS = 0.05


@asynccontextmanager
async def house(
    urls: ServerUrls, database: Database, bells: Bells, lease_seconds: float = 5.0
) -> AsyncIterator[Supervisor]:
    """Run two worker processes of four threads under a supervisor, and sweep."""
    supervisor = Supervisor(database, bells, ("default",), 4, lease_seconds, CHILD)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in addresses(urls).items():
            patch.setenv(name, value)
        running = asyncio.create_task(supervisor.run(2))
        try:
            async with sweeping(Sweep(database, bells, lease_seconds, 0.1)):
                yield supervisor
        finally:
            supervisor.stopping.set()
            await running


@asynccontextmanager
async def sweeping(sweep: Sweep) -> AsyncIterator[None]:
    """Sweep again and again, as a scheduler does."""

    async def turn() -> None:
        while True:
            await sweep.heal()
            await sweep.ring_ready()
            await asyncio.sleep(_PAUSE_SECONDS)

    turning = asyncio.create_task(turn())
    try:
        yield
    finally:
        turning.cancel()
        await asyncio.wait([turning])


def addresses(urls: ServerUrls) -> dict[str, str]:
    """Return what a process has to be told of the test run's servers."""
    return {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis, "MUHURAT_PRICES": "simulated:7:5"}


if __name__ == "__main__":
    raise SystemExit(main(CHILD))
