"""Schedulers that end at any point, and several at once: each execution is made once, and rung."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from config.servers import ServerUrls
from db.fan_outs import FanOutRepository
from db.firings import FiringRepository
from db.transaction import Database
from scheduler import due as due_module
from scheduler import pieces
from scheduler.due import Due
from scheduler.ringer import Ringer
from scheduler.sweep import Sweep
from tests.people import person, replay_from, scalar, set_clock
from tests.scheduler.ends import Killed, after, die
from tests.scheduler.messages import ready
from tests.scheduler.opened import open_due
from tests.waiting import until
from worker.bells.ringing import Bells

BEFORE_OPEN = datetime(2024, 1, 2, 3, 5, tzinfo=UTC)  # 08:35 IST
USERS = 9
MADE = "SELECT count(*) || ' of ' || count(DISTINCT account_id) FROM service_task_execution"
PLANNED = "SELECT next_due_at FROM schedules WHERE name = 'order_sync before open'"
START_SECONDS = 30.0


async def wide(database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch, count: int) -> list[Due]:
    """Return schedulers with one slot before them that is made in pieces of two."""
    await replay_from(database)
    for number in range(USERS):
        await person(database, f"user{number}")
    monkeypatch.setattr(due_module, "FIRST", 2)
    monkeypatch.setattr(pieces, "PIECE", 2)
    opened = [await open_due(database, bells, f"s{number}") for number in range(count)]
    await opened[0].plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    return opened


async def claims_run_out(database: Database) -> None:
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedule_pieces SET claim_until = now() - interval '1 s'"))


async def fire_all(due: Due) -> None:
    while await due.fire(True):
        pass


# Where a scheduler may end: before each commit, with all of its transaction done or nothing of it, and before each ring.
POINTS: dict[str, tuple[type[Any], str, Callable[..., Awaitable[Any]]]] = {
    "with its rows locked": (FiringRepository, "due", after(FiringRepository.due)),
    "with its executions made": (FanOutRepository, "make", after(FanOutRepository.make)),
    "with its slots planned": (FiringRepository, "settle", after(FiringRepository.settle)),
    "with its slots committed and not rung": (Ringer, "ring_chunks", die),
    "with a piece taken and not committed": (FiringRepository, "take", after(FiringRepository.take)),
    "with a piece committed as its own": (pieces.Pieces, "_make", die),
    "with a piece off the list": (FiringRepository, "drop", after(FiringRepository.drop)),
    "with the end in sight": (FiringRepository, "over", after(FiringRepository.over)),
}


@pytest.mark.parametrize("point", POINTS)
async def test_wherever_a_scheduler_ends_each_execution_is_made_once_and_rung(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    dying, heir = await wide(database, bells, monkeypatch, 2)
    owner, name, deadly = POINTS[point]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, deadly)
        with pytest.raises(Killed):
            await fire_all(dying)
        await all_ended()
    await claims_run_out(database)
    await fire_all(heir)
    assert await scalar(database, MADE) == f"{USERS} of {USERS}"
    assert await scalar(database, PLANNED) == BEFORE_OPEN + timedelta(days=1)
    await rung_again(database, bells)
    assert len(await ready(bells, "orders")) == USERS


async def all_ended() -> None:
    """Return when what the dying one did beside has ended too: a process ends as a whole."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)


async def rung_again(database: Database, bells: Bells) -> None:
    """Let a sweep look at what was rung long ago and was not heard."""
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET rung_at = now() - interval '1 minute'"))
    await Sweep(database, Ringer(bells), lease_seconds=10, every_seconds=0.0, share=8).heal()


@pytest.mark.parametrize("count", [2, 3])
async def test_schedulers_that_race_for_one_wide_slot_make_each_execution_once(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    racing = await wide(database, bells, monkeypatch, count)
    async with asyncio.timeout(START_SECONDS):
        await asyncio.gather(*(fire_all(one) for one in racing))
    for one in racing:
        await fire_all(one)
    assert await scalar(database, MADE) == f"{USERS} of {USERS}"
    assert await scalar(database, PLANNED) == BEFORE_OPEN + timedelta(days=1)
    assert await scalar(database, "SELECT runs FROM schedules WHERE name = 'order_sync before open'") == 1
    assert await scalar(database, "SELECT count(*) FROM schedule_pieces") == 0
    assert len(await ready(bells, "orders")) == USERS


async def test_a_piece_that_was_taken_over_is_not_made_by_who_wakes_with_it(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeper, heir = await wide(database, bells, monkeypatch, 2)
    async with database.transaction(None) as session:
        firings = FiringRepository(session, sleeper.name)
        (row,) = await firings.due(10, 8.0)
        await session.execute(
            text("UPDATE schedules SET firing_slot = next_due_at, cursor = 0 WHERE id = :id"), {"id": row.id}
        )
    async with database.transaction(None) as session:
        piece = await FiringRepository(session, sleeper.name).take(2, 10.0)
    assert piece is not None
    assert piece.id is not None
    await claims_run_out(database)
    await fire_all(heir)
    async with database.transaction(None) as session:
        assert not await FiringRepository(session, sleeper.name).drop(piece.id)
    assert await scalar(database, MADE) == f"{USERS} of {USERS}"


async def test_a_scheduler_killed_in_the_middle_leaves_its_slot_to_another_process(
    database: Database, urls: ServerUrls, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill -9 a process that holds a due row locked; the row is free when its connection is gone."""
    (heir,) = await wide(database, bells, monkeypatch, 1)
    holding = (
        "import asyncio, sys\n"
        "from db.engine import make_engine\n"
        "from db.firings import FiringRepository\n"
        "from db.transaction import Database\n"
        "async def hold():\n"
        "    database = Database(make_engine(sys.argv[1], pool_size=1))\n"
        "    async with database.transaction(None) as session:\n"
        "        await FiringRepository(session, 'dying').due(10, 60.0)\n"
        "        print('holding', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(hold())\n"
    )
    process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [sys.executable, "-c", holding, urls.sqlalchemy], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        assert line == b"holding\n"
        assert await heir.fire(True) == 0, "the row is locked"
        os.kill(process.pid, signal.SIGKILL)
        began = time.monotonic()

        async def fires() -> bool:
            return bool(await heir.fire(True))

        await until(fires, START_SECONDS)
        assert time.monotonic() - began < 5
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    await fire_all(heir)
    assert await scalar(database, MADE) == f"{USERS} of {USERS}"


async def test_what_a_frozen_scheduler_has_locked_is_free_in_seconds(
    database: Database, bells: Bells, monkeypatch: pytest.MonkeyPatch
) -> None:
    (heir,) = await wide(database, bells, monkeypatch, 1)

    async def fires() -> bool:
        return bool(await heir.fire(True))

    async def freeze() -> None:
        async with database.transaction(None) as session:
            await FiringRepository(session, "frozen").due(10, 0.3)
            await until(fires, START_SECONDS)
            await session.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError, match=r"idle-in-transaction|closed"):
        await freeze()
