"""Workers that freeze, vanish with their host or are told to end: no execution is left behind, none written twice."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from config.servers import ServerUrls
from config.settings import SchedulerSettings, WorkerSettings
from db.transaction import Database
from scheduler.sweep import Sweep
from tests.people import queued, scalar
from tests.waiting import until
from tests.worker.house import addresses, house, sweeping
from worker.bells.ringing import Bells

HOLDER = "SELECT p.pid FROM service_task_execution e JOIN worker_processes p ON p.name = e.worker WHERE e.id = :id"
RUNNING = "SELECT count(*) FROM service_task_execution WHERE status = 'running'"
WRITING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%audit_logs%'"
# The longest that an execution may stand in the name of a worker that is gone.
LONGEST_SECONDS = 15.0


@pytest.mark.parametrize(
    ("subject", "begun"), [("writes after it was lost", RUNNING), ("is stopped while it writes", WRITING)]
)
async def test_a_worker_that_wakes_after_its_lease_changes_nothing(
    database: Database, urls: ServerUrls, bells: Bells, subject: str, begun: str
) -> None:
    bell = await queued(database, "prices", subject=subject)
    await bells.ring([bell])

    async def is_held() -> bool:
        return await scalar(database, begun) == 1

    async def is_done() -> bool:
        return await scalar(database, "SELECT status FROM service_task_execution") == "success"

    async with house(urls, database, bells, lease_seconds=4.0):
        await until(is_held, 60)
        pid = await scalar(database, HOLDER, id=bell.execution_id)
        assert isinstance(pid, int)
        os.kill(pid, signal.SIGSTOP)
        try:
            await until(is_done, 60)
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(lambda: _is_gone(pid), 60)
    assert await scalar(database, "SELECT string_agg(actor, ', ') FROM audit_logs") == "generation 2"
    assert await scalar(database, "SELECT string_agg(outcome, ', ') FROM execution_attempts") == "lost"
    assert await scalar(database, "SELECT attempt || '/' || generation FROM service_task_execution") == "1/2"


async def test_what_a_vanished_host_ran_is_back_in_time_even_when_the_scheduler_has_just_begun(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    bell = await queued(database, "prices", subject="never ends")
    await bells.ring([bell])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MUHURAT")}
    supervisor = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [sys.executable, "-m", "tests.worker.house", "--queues", "default", "--threads", "1"], env=environment | addresses(urls)
    )

    async def stands() -> bool:
        return await scalar(database, RUNNING) == 1

    async def is_back() -> bool:
        return not await stands()

    try:
        await until(stands, 60)
        pid = await scalar(database, HOLDER, id=bell.execution_id)
        assert isinstance(pid, int)
    finally:
        supervisor.kill()
        await asyncio.to_thread(supervisor.wait)
    began = time.monotonic()
    async with sweeping(Sweep(database, bells, WorkerSettings().lease_seconds, SchedulerSettings().sweep_seconds)):
        await until(is_back, 2 * LONGEST_SECONDS)
    assert time.monotonic() - began <= LONGEST_SECONDS
    assert await scalar(database, "SELECT gone_at IS NULL FROM worker_processes") is True
    assert await scalar(database, "SELECT outcome FROM execution_attempts") == "lost"


def test_by_default_nothing_stands_longer_than_fifteen_seconds_in_the_name_of_a_worker_that_is_gone() -> None:
    lease, scheduler = WorkerSettings().lease_seconds, SchedulerSettings()
    # The worst: a scheduler begins the moment the lease ends, waits one lease, and has just swept by then.
    assert 2 * lease + scheduler.sweep_seconds + scheduler.poll_seconds <= LONGEST_SECONDS


async def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)
