"""A Postgres that stands still: nobody is declared dead for it, and those who are dead are found all the same."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from db.claims import LedgerRepository
from db.transaction import Database
from db.workers import WorkerRepository
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import queued, scalar, worker
from tests.waiting import until
from worker.bells.ringing import Bells
from worker.leases import RENEWALS_A_LEASE

LEASE = 1.0
RUNNING = "SELECT count(*) FROM service_task_execution WHERE status = 'running'"


@contextmanager
def _standing_still() -> Iterator[None]:
    """Stop every Postgres process of this test run, and let them go on."""
    found = [child for child in psutil.Process().children(recursive=True) if child.name() == "postgres"]
    assert found
    for process in found:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in found:
            os.kill(process.pid, signal.SIGCONT)


async def test_a_stall_of_postgres_longer_than_a_lease_declares_nobody_dead(database: Database, bells: Bells) -> None:
    name = await worker(database, seconds=LEASE)
    bell = await queued(database, "prices")
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim([bell], name)
    sweeps = [Sweep(database, Ringer(bells), LEASE, 0.05, share=8) for _ in range(2)]
    turns = [0, 0]

    async def sweep(number: int) -> None:
        while True:
            await sweeps[number].heal()
            turns[number] += 1
            await asyncio.sleep(0.02)

    async def renew() -> None:
        while True:
            async with database.transaction(None) as session:
                await WorkerRepository(session).renew([name], LEASE)
            await asyncio.sleep(LEASE / RENEWALS_A_LEASE)

    async def turned(count: int) -> bool:
        return min(turns) > count

    working = [asyncio.create_task(work) for work in (sweep(0), sweep(1), renew())]
    try:
        await until(lambda: turned(80), 20)  # both have seen Postgres for longer than they wait at first
        with _standing_still():
            stalled = time.monotonic()
            await asyncio.to_thread(_wait, stalled + 2 * LEASE)
        before = min(turns)
        await until(lambda: turned(before + 80), 20)
    finally:
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    assert await scalar(database, "SELECT count(*) FROM execution_attempts") == 0
    assert await scalar(database, RUNNING) == 1


def _wait(moment: float) -> None:
    while time.monotonic() < moment:
        time.sleep(0.05)


async def test_without_anybody_to_say_so_a_dead_workers_executions_come_back(database: Database, bells: Bells) -> None:
    name = await worker(database, seconds=LEASE)
    bell = await queued(database, "prices")
    async with database.transaction(None) as session:
        await LedgerRepository(session).claim([bell], name)
    sweep = Sweep(database, Ringer(bells), LEASE, 0.05, share=8)

    async def back() -> bool:
        await sweep.heal()
        return await scalar(database, RUNNING) == 0

    began = time.monotonic()
    await until(back, 20)
    assert time.monotonic() - began >= LEASE * 0.9
    assert await scalar(database, "SELECT outcome FROM execution_attempts") == "lost"
