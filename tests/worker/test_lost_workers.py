"""Workers that freeze, vanish with their host or are told to end: no execution is left behind, none written twice."""

import os
import signal

import psutil
import pytest

from config.servers import ServerUrls
from config.settings import SchedulerSettings, WorkerSettings
from db.transaction import Database
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import queued, scalar
from tests.waiting import until
from tests.worker.house import door, house, sweeping
from worker.bells.ringing import Bells

HOLDER = "SELECT p.pid FROM service_task_execution e JOIN worker_processes p ON p.name = e.worker WHERE e.id = :id"
RUNNING = "SELECT count(*) FROM service_task_execution WHERE status = 'running'"
WRITING = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%audit_logs%'"
# When it was taken back. Never later than: in any case, and where a supervisor saw the end.
LOST_AT = "SELECT max(created_at) FROM execution_attempts WHERE outcome = 'lost'"
LONGEST_SECONDS, SEEN_SECONDS = 15.0, 5.0
LEASE_SECONDS, EVERY_SECONDS = WorkerSettings().lease_seconds, SchedulerSettings().sweep_seconds


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


@pytest.mark.parametrize("killed", ["worker", "supervisor", "both"])
async def test_what_was_killed_without_a_word_is_back_in_time_on_the_databases_clock(
    database: Database, urls: ServerUrls, bells: Bells, killed: str
) -> None:
    bell = await queued(database, "prices", subject="never ends")
    await bells.ring([bell])

    async def is_held() -> bool:
        return await scalar(database, RUNNING) == 1

    async def is_back() -> bool:
        return await scalar(database, LOST_AT) is not None

    with door(urls) as supervisor:
        await until(is_held, 90)
        pid = await scalar(database, HOLDER, id=bell.execution_id)
        assert isinstance(pid, int)
        at = await scalar(database, "SELECT clock_timestamp()")
        if killed != "worker":
            supervisor.kill()
        if killed != "supervisor":
            os.kill(pid, signal.SIGKILL)
        # A scheduler that has just begun: it is patient for one lease before it declares anybody dead.
        async with sweeping(Sweep(database, Ringer(bells), LEASE_SECONDS, EVERY_SECONDS, share=8)):
            await until(is_back, 2 * LONGEST_SECONDS)
        seconds = await scalar(database, f"SELECT extract(epoch FROM ({LOST_AT}) - :at)::float8", at=at)
        assert isinstance(seconds, float)
        assert 0 < seconds <= (LONGEST_SECONDS if killed != "worker" else SEEN_SECONDS)
        await until(lambda: _is_gone(pid), 20)
    assert await scalar(database, "SELECT gone_at IS NULL FROM worker_processes WHERE pid = :pid", pid=pid) is (
        killed != "worker"
    )
    assert await scalar(database, "SELECT string_agg(outcome, ', ') FROM execution_attempts") == "lost"


def test_by_default_nothing_stands_longer_than_fifteen_seconds_in_the_name_of_a_worker_that_is_gone() -> None:
    lease, scheduler = WorkerSettings().lease_seconds, SchedulerSettings()
    # The worst: a scheduler begins the moment the lease ends, waits one lease, and has just swept by then.
    assert 2 * lease + scheduler.sweep_seconds + scheduler.poll_seconds <= LONGEST_SECONDS


async def _is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)
