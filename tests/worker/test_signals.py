"""However and whenever the processes are told to end: in time, with nothing stranded, and nobody left behind."""

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from config.servers import ServerUrls
from db.transaction import Database
from tests.people import queued, scalar
from tests.waiting import until
from tests.worker.house import door, house
from tests.worker.relay import relayed
from worker import ending, supervisor
from worker.bells.keys import NAMESPACE
from worker.bells.ringing import Bells

RUNNING = "SELECT count(*) FROM service_task_execution WHERE status = 'running'"
ENDED = "SELECT count(*) FROM service_task_execution WHERE status = 'success'"
UNENDED_LEASES = "SELECT count(*) FROM worker_processes WHERE gone_at IS NULL"
OUTCOMES = "SELECT coalesce(string_agg(DISTINCT outcome, ' '), '') FROM execution_attempts"
EXECUTIONS = 40
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP

Stage = Callable[[Database, subprocess.Popen[bytes]], Awaitable[bool]]


async def just_begun(_: Database, process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


async def has_a_child(_: Database, process: subprocess.Popen[bytes]) -> bool:
    return bool(psutil.Process(process.pid).children())


async def has_a_lease(database: Database, _: subprocess.Popen[bytes]) -> bool:
    return await scalar(database, UNENDED_LEASES) != 0


async def is_at_work(database: Database, _: subprocess.Popen[bytes]) -> bool:
    return await scalar(database, RUNNING) != 0


@pytest.mark.parametrize(
    ("signals", "to_all"),
    [((TERM,), True), ((TERM, TERM, TERM), True), ((TERM, TERM), False), ((HUP,), True)],
    ids=["TERM to all", "TERM thrice to all", "TERM twice to the supervisor", "HUP to all"],
)
async def test_whatever_tells_a_worker_at_work_to_end_strands_nothing_and_leaves_nobody(
    database: Database, urls: ServerUrls, bells: Bells, signals: tuple[signal.Signals, ...], to_all: bool
) -> None:
    await _fill(database, bells)
    with door(urls, "--processes", "2", "--threads", "4", MUHURAT_WORKER_SHUTDOWN_SECONDS="2") as process:
        await until(lambda: is_at_work(database, process), 90)
        family = _family(process)
        for number in signals:
            _send(process, number, to_all=to_all)
        assert await _ended_in_time(process) == 0
    await _nobody_is_left(database, family)
    assert await scalar(database, OUTCOMES) in ("", "interrupted")
    await _all_end_later(database, urls, bells)
    assert await _claims(bells) == []


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        (just_begun, TERM),
        (just_begun, INT),
        (has_a_child, TERM),
        (has_a_child, HUP),
        (has_a_lease, TERM),
        (has_a_lease, INT),
    ],
)
async def test_who_is_told_to_end_while_it_begins_starts_nobody_again_and_leaves_nothing(
    database: Database, urls: ServerUrls, bells: Bells, stage: Stage, number: signal.Signals
) -> None:
    await _fill(database, bells)
    with door(urls, "--processes", "2") as process:
        await until(lambda: stage(database, process), 90)
        family = _family(process)
        _send(process, number, to_all=True)
        # Before its own code runs, Python itself ends: by the signal, or with 1 when an INT meets it in its start.
        assert await _ended_in_time(process) in ({0, 1, -number} if stage is just_begun else {0})
    await _nobody_is_left(database, family)
    assert await _claims(bells) == []
    assert await scalar(database, "SELECT count(*) FROM worker_processes") in (0, 1, 2)


async def test_a_process_that_does_not_end_in_time_is_killed_and_its_work_comes_back(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 1.0)
    async with house(urls, database, bells) as holding:
        await bells.ring([await queued(database, "prices", subject="holds the interpreter")])

        async def is_held() -> bool:
            return await scalar(database, RUNNING) == 1

        await until(is_held, 90)
        began = time.monotonic()
        holding.stopping.set()

        async def is_back() -> bool:
            return await scalar(database, RUNNING) == 0

        await until(is_back, 20)
        assert time.monotonic() - began < 10
    assert await scalar(database, UNENDED_LEASES) == 0
    assert await scalar(database, OUTCOMES) == "lost"


async def test_it_ends_in_time_though_postgres_and_redis_stand_still_meanwhile(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    await _fill(database, bells)
    with tempfile.TemporaryDirectory(prefix="line-") as folder:
        async with relayed(urls, Path(folder)) as (addresses, postgres, redis):
            with door(addresses, "--threads", "4") as process:
                await until(lambda: is_at_work(database, process), 90)
                postgres.stall()
                redis.stall()
                began = time.monotonic()
                _send(process, TERM, to_all=True)
                assert await _ended_in_time(process) == 0
                assert time.monotonic() - began < ending.PLATFORM_SECONDS


async def test_a_process_that_is_stopped_hears_all_the_same_that_it_shall_end(
    database: Database, urls: ServerUrls
) -> None:
    with door(urls) as process:
        await until(lambda: has_a_lease(database, process), 90)
        for child in psutil.Process(process.pid).children():
            child.suspend()
        process.terminate()
        assert await _ended_in_time(process) == 0
    assert await scalar(database, UNENDED_LEASES) == 0


async def _fill(database: Database, bells: Bells) -> None:
    """Queue more than two processes have room for, some of it without end, and ring."""
    subjects = ["never ends", *(f"waits for an answer {number}" for number in range(1, EXECUTIONS))]
    await bells.ring([await queued(database, "prices", subject=subject) for subject in subjects])


def _family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return list(psutil.Process(process.pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def _send(process: subprocess.Popen[bytes], number: signal.Signals, *, to_all: bool) -> None:
    if to_all:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


async def _ended_in_time(process: subprocess.Popen[bytes]) -> int:
    return await asyncio.to_thread(process.wait, ending.PLATFORM_SECONDS)


async def _nobody_is_left(database: Database, family: list[psutil.Process]) -> None:
    assert [one for one in family if one.is_running()] == []  # a zombie runs
    assert await scalar(database, RUNNING) == 0
    assert await scalar(database, UNENDED_LEASES) == 0


async def _claims(bells: Bells) -> list[object]:
    return [key async for key in bells.redis.scan_iter(f"{NAMESPACE}:__acks__*")]


async def _all_end_later(database: Database, urls: ServerUrls, bells: Bells) -> None:
    async def over() -> bool:
        return await scalar(database, ENDED) == EXECUTIONS

    async with house(urls, database, bells):
        await until(over, 90)
