"""Worker processes for real: leases, deaths, signals. Children run `worker.child` on the test run's servers."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import person, queued, scalar
from tests.waiting import until
from worker.bells.ringing import Bells

LIVE = "SELECT count(*) FROM worker_processes WHERE ended_at IS NULL AND lease_until > now()"


def environment(urls: ServerUrls, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT")}
    addresses = {"DATABASE_URL": urls.database, "REDIS_URL": urls.redis, "MUHURAT_PRICES": "simulated:7:5"}
    return {**kept, **addresses, "MUHURAT_WORKER_LEASE_SECONDS": "2", **more}


@asynccontextmanager
async def supervisor(urls: ServerUrls, *arguments: str, **more: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run `python -m worker.main` and end it, however the test ends."""
    process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [sys.executable, "-m", "worker.main", "--threads", "2", *arguments],
        env=environment(urls, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        await asyncio.to_thread(process.communicate)


async def pids(database: Database) -> list[int]:
    async with database.reading(None) as session:
        rows = await session.execute(
            text("SELECT pid FROM worker_processes WHERE ended_at IS NULL AND lease_until > now()")
        )
        return sorted(rows.scalars())


async def live(database: Database, count: int) -> bool:
    return await scalar(database, LIVE) == count


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def gone(pid: int) -> bool:
    return not exists(pid)


async def test_a_killed_child_is_replaced_and_its_lease_ends_at_once(database: Database, urls: ServerUrls) -> None:
    async with supervisor(urls, "--processes", "2") as process:
        await until(lambda: live(database, 2), 20)
        first = await pids(database)
        os.kill(first[0], signal.SIGKILL)

        async def replaced() -> bool:
            now = await pids(database)
            return len(now) == 2 and first[0] not in now and first[1] in now

        await until(replaced, 20)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 20) == 0
    assert await live(database, 0)


async def test_a_stopped_child_loses_its_lease(database: Database, urls: ServerUrls) -> None:
    async with supervisor(urls):
        await until(lambda: live(database, 1), 20)
        [pid] = await pids(database)
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: live(database, 0), 10)
        os.kill(pid, signal.SIGCONT)


async def test_the_supervisors_death_ends_its_children(database: Database, urls: ServerUrls) -> None:
    async with supervisor(urls) as process:
        await until(lambda: live(database, 1), 20)
        [pid] = await pids(database)
        process.kill()
        await until(lambda: gone(pid), 30)


async def test_term_twice_ends_in_time_with_nothing_left_claimed(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    asha = await person(database)
    async with supervisor(urls, "--queues", "orders,default") as process:
        await until(lambda: live(database, 1), 20)
        rung = [await queued(database, "order_sync", asha, subject=str(number)) for number in range(30)]
        await bells.ring(rung)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 25) == 0
    assert await scalar(database, "SELECT count(*) FROM service_task_execution WHERE status = 'running'") == 0


async def test_a_door_names_what_it_cannot_use_and_ends(database: Database, urls: ServerUrls) -> None:
    cases = {
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "MUHURAT_PRICES": "folder:/no/such/folder",
    }
    for name, value in cases.items():
        async with supervisor(urls, **{name: value}) as process:
            said = (await asyncio.to_thread(process.communicate, None, 30))[0].decode()
        assert process.returncode == 2, (name, said)
        assert "error: " in said, (name, said)
        assert "Traceback" not in said, (name, said)
