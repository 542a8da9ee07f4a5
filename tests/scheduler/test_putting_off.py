"""A schedule that nobody can fire keeps no scheduler's turn from its end, delays no other, and is told of once."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from db.schedule_edits import ScheduleEditRepository
from db.sweeps import Outlook, SweepRepository
from db.transaction import Database
from scheduler import due as due_module
from scheduler import pieces
from scheduler.due import Due
from scheduler.replay import Replay
from scheduler.ringer import Ringer
from tests.people import MORNING, person, replay_from, scalar, set_clock
from tests.scheduler.opened import open_due
from worker.bells.ringing import Bells

BEFORE_OPEN = datetime(2024, 1, 2, 3, 5, tzinfo=UTC)  # 08:35 IST
BAD, GOOD = "bad look", "good look"
MADE = "SELECT count(*) FROM service_task_execution e JOIN schedules d ON d.id = e.schedule_id WHERE d.name = '{}'"
FAULT = f"SELECT fault FROM schedules WHERE name = '{BAD}'"
PLANNED = "SELECT next_due_at > market_now() FROM schedules WHERE name = '{}'"

# What a hand in the database, a release that takes a task away, or an exchange given up may leave.
SPOILT = {
    "trigger": ("trigger = 'nonsense'", "trigger 'nonsense', character 1: "),
    "task": ("task_name = 'gone_task'", "task_name 'gone_task': no worker knows such a task"),
    "exchange": ("exchange = 'NOWHERE'", "no calendar of NOWHERE is loaded"),
    "empty": ("trigger = ''", "trigger "),
    "moment": ("starts_at = 'infinity'", "starts_at"),
}
everyhow = pytest.mark.parametrize("how", list(SPOILT))


@pytest.fixture
async def due(database: Database, bells: Bells) -> Due:
    """Two schedules alone, for three accounts each, the one that is spoilt first in every order."""
    await replay_from(database, days=3)
    for number in range(3):
        await person(database, f"user{number}")
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET enabled = false"))
        for name, task in ((BAD, "eod_cleanup"), (GOOD, "order_sync")):
            await session.execute(
                text(
                    "INSERT INTO schedules (name, task_name, scope, trigger, useful_seconds) "
                    "VALUES (:name, :task, 'account', 'at 08:35', 86400)"
                ),
                {"name": name, "task": task},
            )
        await session.execute(
            text(
                "INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id) SELECT d.id, a.user_id, a.id "
                "FROM schedules d, broker_accounts a WHERE d.enabled"
            )
        )
    return await open_due(database, bells)


async def _spoil(database: Database, how: str) -> None:
    async with database.transaction(None) as session:
        await session.execute(text(f"UPDATE schedules SET {SPOILT[how][0]} WHERE name = '{BAD}'"))


async def _mend(database: Database) -> None:
    """Put the row right by hand, and let the time of being put off pass."""
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "UPDATE schedules SET trigger = 'at 08:35', task_name = 'eod_cleanup', exchange = 'NSE', "
                f"starts_at = NULL, claim_until = now() - interval '1 s' WHERE name = '{BAD}'"
            )
        )


async def _again(database: Database) -> None:
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET claim_until = now() - interval '1 s' WHERE fault IS NOT NULL"))


async def _look(database: Database) -> Outlook:
    async with database.reading(None) as session:
        return await SweepRepository(session).outlook()


async def _fire_all(due: Due) -> None:
    while await due.fire(True):
        pass


def _said(lines: list[Any]) -> list[str]:
    return [line["error"] for line in lines if line["event"] == "schedule_failed"]


async def _hold(database: Database, how: str, lines: list[Any]) -> None:
    """See that it was told of once, in words, and that nobody is woken for it."""
    (told,) = _said(lines)
    assert told.startswith(SPOILT[how][1])
    assert await scalar(database, FAULT) == told
    look = await _look(database)
    assert (look.due, look.wide, look.unplanned) == (False, False, False)


@everyhow
async def test_one_that_is_due_is_put_off_and_the_others_fire(database: Database, due: Due, how: str) -> None:
    await due.plan_new(True)
    await _spoil(database, how)
    await set_clock(database, BEFORE_OPEN)
    with capture_logs() as lines:
        await _fire_all(due)
        assert await scalar(database, MADE.format(GOOD)) == 3
        await _again(database)
        await _fire_all(due)
    await _hold(database, how, lines)
    await _mend(database)
    await _fire_all(due)
    assert await scalar(database, MADE.format(BAD)) == 3
    assert await scalar(database, FAULT) is None


@everyhow
async def test_one_that_was_never_planned_is_put_off_and_the_others_are_planned(
    database: Database, due: Due, how: str
) -> None:
    await _spoil(database, how)
    with capture_logs() as lines:
        await due.plan_new(True)
        assert await scalar(database, PLANNED.format(GOOD)) is True
        await _again(database)
        await due.plan_new(True)
    await _hold(database, how, lines)
    await _mend(database)
    await due.plan_new(True)
    assert await scalar(database, PLANNED.format(BAD)) is True
    assert await scalar(database, FAULT) is None


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two subscribers be many."""
    monkeypatch.setattr(due_module, "FIRST", 1)
    monkeypatch.setattr(pieces, "PIECE", 1)


@everyhow
@pytest.mark.usefixtures("wide")
async def test_one_that_is_spoilt_in_the_middle_of_its_fan_out_holds_up_no_other_fan_out(
    database: Database, due: Due, how: str
) -> None:
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    await due._fire_small(True)
    await _spoil(database, how)
    with capture_logs() as lines:
        for _ in range(4):
            await due.fire(True)
        assert await scalar(database, MADE.format(GOOD)) == 3
        assert await scalar(database, PLANNED.format(GOOD)) is True
        await _again(database)
        await due.fire(True)
    await _hold(database, how, lines)
    await _mend(database)
    await _fire_all(due)
    assert await scalar(database, MADE.format(BAD)) == 3
    assert await scalar(database, PLANNED.format(BAD)) is True


@pytest.mark.parametrize("how", ["trigger", "task", "exchange"])
async def test_a_piece_of_a_dead_scheduler_that_nobody_can_plan_is_left_until_somebody_can(
    database: Database, due: Due, bells: Bells, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(due_module, "FIRST", 1)
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    await due._fire_small(True)
    first, second = await due.pieces._take(), await due.pieces._take()
    assert first is not None
    assert second is not None
    await _spoil(database, how)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedule_pieces SET claim_until = now() - interval '1 s'"))
    heir = await open_due(database, bells, "s2")
    await heir.plan_new(True)
    for _ in range(4):
        await heir.fire(True)
    assert await scalar(database, MADE.format(GOOD)) == 3
    await _mend(database)
    await _fire_all(heir)
    assert await scalar(database, MADE.format(BAD)) == 3


async def test_a_replays_clock_goes_on_past_one_that_cannot_be_fired(
    database: Database, due: Due, bells: Bells
) -> None:
    await due.plan_new(True)
    await _spoil(database, "trigger")
    await set_clock(database, BEFORE_OPEN)
    await _fire_all(due)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = 'success', finished_at = now()"))
    assert await Replay(database, Ringer(bells), share=8).advance() is True
    assert await scalar(database, "SELECT market_now()") == BEFORE_OPEN + timedelta(days=1)


async def test_an_edit_that_mends_one_lets_it_fire_at_once(database: Database, due: Due) -> None:
    await due.plan_new(True)
    await _spoil(database, "trigger")
    await set_clock(database, BEFORE_OPEN)
    await _fire_all(due)
    async with database.transaction(None) as session:
        edits = ScheduleEditRepository(session)
        ground, row = await edits.ground(), await edits.hold(BAD)
        assert row is not None
        await edits.change(ground, row, {"trigger": "at 08:35"}, "ravi")
    assert await scalar(database, FAULT) is None
    assert (await _look(database)).due is True
    await _fire_all(due)
    assert await scalar(database, MADE.format(BAD)) == 3


async def test_of_many_that_are_due_those_behind_the_spoilt_fire_in_the_same_turn(
    database: Database, due: Due, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_module, "AT_ONCE", 2)
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "INSERT INTO schedules (name, task_name, scope, trigger, next_due_at) SELECT 'spoilt ' || n, "
                "'order_sync', 'account', 'nonsense', :at FROM generate_series(1, 5) n"
            ),
            {"at": MORNING},
        )
    await due.plan_new(True)
    await set_clock(database, BEFORE_OPEN)
    assert [await due.fire(True), await due.fire(True)] == [1, 1]
    assert await scalar(database, MADE.format(GOOD)) == 3


async def test_one_whose_rows_the_database_refuses_is_put_off_and_the_others_fire(database: Database, due: Due) -> None:
    await due.plan_new(True)
    async with database.transaction(None) as session:
        await session.execute(
            text(
                "UPDATE schedules SET next_due_at = '2016-01-05 03:05+00', catch_up = 'all', useful_seconds = 2147483647 "
                f"WHERE name = '{BAD}'"
            )
        )
    await set_clock(database, BEFORE_OPEN)
    with capture_logs() as lines:
        for _ in range(3):
            await due.fire(True)
    assert await scalar(database, MADE.format(GOOD)) == 3
    assert len(_said(lines)) == 1
    assert (await _look(database)).due is False
