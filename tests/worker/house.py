"""Worker processes that run `tests.worker.killing_child`, and a scheduler's sweep beside them.

Run as a module it is the door `worker.main` with such processes.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import pytest

from config.servers import ServerUrls
from db.transaction import Database
from scheduler.ringer import Ringer
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
            async with sweeping(Sweep(database, Ringer(bells), lease_seconds, 0.1, share=8)):
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
        with suppress(asyncio.CancelledError):
            await turning


@contextmanager
def door(urls: ServerUrls, *arguments: str, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the door with such processes, in a process group of its own, and end whatever is left of it.

    arguments: after `--queues default`. more: of its environment.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.worker.house", "--queues", "default", *arguments],
        env=kept | addresses(urls) | more,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def addresses(urls: ServerUrls) -> dict[str, str]:
    """Return what a process has to be told of the test run's servers."""
    return {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis, "MUHURAT_PRICES": "simulated:7:5"}


if __name__ == "__main__":
    raise SystemExit(main(CHILD))
