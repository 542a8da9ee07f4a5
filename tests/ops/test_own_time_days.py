"""Whoever changes a time, and whenever: each day has its slot once, by the real firing."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.own_times import OwnTimeRepository
from db.schedule_edits import ScheduleEditRepository
from db.transaction import Database
from scheduler.due import Due
from scheduler.ringer import Ringer
from tests.ops.cli_runs import Commands
from tests.people import person, replay_from, scalar, set_clock
from worker.bells.ringing import Bells

# From Monday to Wednesday, 2024-01-15 to 17, each a regular session.
FIRST = datetime(2024, 1, 14, 20, tzinfo=UTC)
ASHA = "asha@example.org"
DAYS = (
    "SELECT string_agg(to_char(scheduled_for AT TIME ZONE 'Asia/Kolkata', 'DD HH24:MI'), ', ' ORDER BY scheduled_for) "
    "FROM service_task_execution WHERE task_name = 'buy_orders'"
)


def ist_at(day: int, clock: str) -> datetime:
    """Return a moment of January 2024 by its day and time in IST."""
    hours, minutes = map(int, clock.split(":"))
    return datetime(2024, 1, day, hours, minutes, tzinfo=UTC) - timedelta(hours=5, minutes=30)


@pytest.fixture
async def muhurat(
    urls: ServerUrls, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Commands:
    await replay_from(database, FIRST, days=10)
    commands = Commands(urls, monkeypatch, capsys)
    commands.patch.setenv("MUHURAT_OPERATOR", "ravi")
    return commands


@pytest.fixture
async def due(database: Database, bells: Bells) -> Due:
    return Due(database, Ringer(bells), "s1", 1000)


async def moment(database: Database, query: str) -> datetime:
    """Return a moment that a query finds."""
    found = await scalar(database, query)
    assert isinstance(found, datetime)
    return found


async def play(database: Database, due: Due, until: datetime) -> None:
    """Fire whatever is due up to a moment, each slot when it comes, and let it be that moment."""
    await due.plan_new(True)
    while (at := await moment(database, "SELECT min(next_due_at) FROM schedules WHERE enabled")) <= until:
        await set_clock(database, max(at, await moment(database, "SELECT at FROM market_clock")))
        while await due.fire(True):
            pass
    await set_clock(database, until)


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([("16:10", "at 16:30")], "15 16:05, 16 16:30, 17 16:30"),
        ([("12:00", "at 16:30")], "15 16:30, 16 16:30, 17 16:30"),
        ([("12:00", "at 16:30"), ("16:10", "at 16:05")], "15 16:05, 16 16:05, 17 16:05"),
        ([("16:10", "at 16:30"), ("16:20", "at 17:00"), ("16:40", "")], "15 16:05, 16 16:05, 17 16:05"),
        ([("12:00", "at 17:00"), ("16:10", "at 16:00"), ("16:20", "at 18:00")], "15 16:00, 16 18:00, 17 18:00"),
        ([("16:10", "at 20:00"), ("16:20", "at 16:05")], "15 16:05, 16 16:05, 17 16:05"),
    ],
)
async def test_however_a_user_moves_each_day_has_its_slot_once(
    database: Database, due: Due, muhurat: Commands, moves: list[tuple[str, str]], expected: str
) -> None:
    await person(database)
    for clock, trigger in moves:
        await play(database, due, ist_at(15, clock))
        await muhurat("subscriptions", "override", ASHA, "buy_orders", trigger or "--default")
    await play(database, due, ist_at(17, "23:00"))
    assert await scalar(database, DAYS) == expected


@pytest.mark.parametrize(
    ("moves", "expected"),
    [
        ([("16:10", "at 16:30")], "15 16:05, 16 16:30, 17 16:30"),
        ([("12:00", "at 16:30"), ("16:10", "at 16:05")], "15 16:05, 16 16:05, 17 16:05"),
        ([("16:10", "at 16:30"), ("16:20", "at 17:00")], "15 16:05, 16 17:00, 17 17:00"),
    ],
)
async def test_however_a_schedule_is_edited_each_day_has_its_slot_once(
    database: Database, due: Due, muhurat: Commands, moves: list[tuple[str, str]], expected: str
) -> None:
    await person(database)
    for clock, trigger in moves:
        await play(database, due, ist_at(15, clock))
        await muhurat("schedules", "edit", "buy_orders", "--trigger", trigger)
    await play(database, due, ist_at(17, "23:00"))
    assert await scalar(database, DAYS) == expected


async def test_an_edit_in_the_middle_of_a_wide_firing_leaves_its_slot_and_plans_the_next(
    database: Database, due: Due, muhurat: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(database), await person(database, "bala"), await person(database, "chitra")
    monkeypatch.setattr("scheduler.due.FIRST", 1)
    await play(database, due, ist_at(15, "16:00"))
    await set_clock(database, ist_at(15, "16:05"))
    await due._fire_small(True)
    firing = "SELECT firing_slot FROM schedules WHERE name = 'buy_orders'"
    assert await scalar(database, firing) == ist_at(15, "16:05")
    monkeypatch.setattr("ops.cli.patience.PATIENCE_SECONDS", 0.0)
    done = await muhurat.json("schedules", "edit", "buy_orders", "--trigger", "at 17:00")
    assert datetime.fromisoformat(done["firing_slot"]) == ist_at(15, "16:05")
    await play(database, due, ist_at(16, "23:00"))
    made = "SELECT count(*) FROM service_task_execution WHERE task_name = 'buy_orders' AND scheduled_for = :at"
    assert await scalar(database, made, at=ist_at(15, "16:05")) == 3
    assert await scalar(database, made, at=ist_at(16, "17:00")) == 3


async def test_a_schedule_switched_off_in_the_middle_of_a_wide_firing_fires_no_old_slot_later(
    database: Database, due: Due, muhurat: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(database), await person(database, "bala")
    monkeypatch.setattr("scheduler.due.FIRST", 1)
    await play(database, due, ist_at(15, "16:00"))
    await set_clock(database, ist_at(15, "16:05"))
    await due._fire_small(True)
    await muhurat("schedules", "disable", "buy_orders")
    await play(database, due, ist_at(16, "23:00"))
    await muhurat("schedules", "enable", "buy_orders")
    await play(database, due, ist_at(17, "23:00"))
    assert await scalar(database, DAYS) == "15 16:05, 17 16:05, 17 16:05"


async def test_whom_a_firing_under_way_has_not_reached_yet_waits_with_his_move(
    database: Database, due: Due, muhurat: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    await person(database), await person(database, "bala")
    monkeypatch.setattr("scheduler.due.FIRST", 1)
    monkeypatch.setattr("ops.cli.patience.PATIENCE_SECONDS", 0.0)
    await play(database, due, ist_at(15, "16:00"))
    await set_clock(database, ist_at(15, "16:05"))
    await due._fire_small(True)
    words = ("subscriptions", "override", "bala@example.org", "buy_orders", "at 17:00")
    assert "is being fired at this moment" in await muhurat(*words, code=2)
    while await due.fire(True):
        pass
    assert "has fired already" in await muhurat(*words)
    async with database.reading(None) as session:
        left = await session.execute(text("SELECT count(*) FROM schedules WHERE firing_slot IS NOT NULL"))
    assert left.scalar_one() == 0


async def test_a_preview_knows_that_the_day_has_had_its_slot(database: Database, due: Due, muhurat: Commands) -> None:
    await person(database)
    await play(database, due, ist_at(15, "16:10"))
    await muhurat("schedules", "edit", "buy_orders", "--trigger", "at 16:30")
    words = ("--schedule", "buy_orders", "--user", ASHA, "--to", "2024-01-16")
    slots = (await muhurat.json("schedules", "preview", *words))["slots"]
    assert [one["outcome"] for one in slots] == ["skipped", "fires"]
    assert slots[0]["why"] == "planned from 2024-01-16 16:30 IST on"
    simulated = await muhurat.json("schedules", "simulate", "--schedule", "buy_orders", "--to", "2024-01-16")
    assert simulated["executions"] == 1


async def test_a_run_on_request_is_no_slot_of_the_day(database: Database, due: Due, muhurat: Commands) -> None:
    await person(database)
    await play(database, due, ist_at(15, "20:00"))
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE service_task_execution SET status = 'success', finished_at = now()"))
    await play(database, due, ist_at(16, "08:00"))
    assert (await muhurat.json("schedules", "run-now", "buy_orders"))["made"] == 1
    await play(database, due, ist_at(16, "12:00"))
    done = await muhurat.json("subscriptions", "override", ASHA, "buy_orders", "at 16:30")
    assert done["held_until"] is None
    await play(database, due, ist_at(16, "23:00"))
    slots = DAYS + " AND subject = ''"
    assert await scalar(database, slots) == "15 16:05, 16 16:30"


async def test_whoever_moves_while_his_slot_fires_has_one_execution_that_day(database: Database, due: Due) -> None:
    await replay_from(database, FIRST, days=10)
    people = [await person(database, f"user{number}") for number in range(12)]

    async def move(user_id: int) -> None:
        async with database.transaction(None) as session:
            edits = ScheduleEditRepository(session)
            ground, base = await edits.ground(), await edits.hold("buy_orders")
            assert base is not None
            await OwnTimeRepository(session).choose(ground, base, user_id, "at 16:30", "ravi")

    await play(database, due, ist_at(15, "16:04"))
    await set_clock(database, ist_at(15, "16:05"))
    firing = asyncio.gather(*(due.fire(True) for _ in range(3)))
    await asyncio.gather(*(move(who.user_id) for who in people[:6]))
    await firing
    await asyncio.gather(*(move(who.user_id) for who in people[6:9]))
    await play(database, due, ist_at(15, "23:00"))
    counts = (
        "SELECT count(DISTINCT user_id) || ' ' || count(*) FROM service_task_execution WHERE task_name = 'buy_orders'"
    )
    assert await scalar(database, counts) == "12 12"
    await play(database, due, ist_at(16, "23:00"))
    assert await scalar(database, counts) == "12 24"
