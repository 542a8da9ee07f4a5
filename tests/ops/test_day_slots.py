"""Whatever is changed of a day, in whatever order, by whomever: each account has the day's slot once (decision 0032)."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, datetime, time
from random import Random

import pytest
from sqlalchemy import text

from config.servers import ServerUrls
from db.calendar import CalendarRepository
from db.transaction import Database
from ops.cli import run
from scheduler.due import Due
from scheduler.ringer import Ringer
from tests.ops.cli_runs import Commands
from tests.people import person, replay_from, scalar, set_clock
from trading.calendar import Calendar, Session, ist
from worker.bells.ringing import Bells

NAME, TASK = "eod_cleanup", "eod_cleanup"
DAY, NEXT = date(2024, 1, 15), date(2024, 1, 16)
ASHA = "asha@example.org"

TIMES = ("at 15:50", "at 16:05", "at 16:30", "at 17:00", "at 21:00", "close+35m", "close+90m")
# It has no slot on that day.
ELSEWHEN = "at 18:00 on last session of month"
CLOSES = (time(15, 30), time(14, 30), time(17, 30))

# More of them: MUHURAT_DAY_SCRIPTS=100.
SCRIPTS = int(os.environ.get("MUHURAT_DAY_SCRIPTS", "6"))

_COUNTS = """
    SELECT array_agg(n ORDER BY account_id) FROM (
        SELECT a.id AS account_id, count(e.id) AS n FROM broker_accounts a
        LEFT JOIN service_task_execution e ON e.account_id = a.id AND e.task_name = :task
            AND (e.scheduled_for AT TIME ZONE 'Asia/Kolkata')::date = :day
        GROUP BY a.id) counted
"""


@dataclass
class World:
    """A day with three accounts, one schedule, and a scheduler that may be behind."""

    database: Database
    due: Due
    muhurat: Commands
    calendar: Calendar
    patch: pytest.MonkeyPatch

    async def come_to(self, at: datetime, how: str) -> None:
        """Let it be a moment. how: every slot has fired, no scheduler ran, or a wide firing of the due has begun."""
        if how == "fired":
            await self.play(at)
            return
        await set_clock(self.database, at)
        if how == "half":
            with self.patch.context() as patch:
                patch.setattr("scheduler.due.FIRST", 1)
                await self.due._fire_small(True)

    async def play(self, until: datetime) -> None:
        await self.fire()
        planned = "SELECT min(next_due_at) FROM schedules WHERE enabled AND isfinite(next_due_at)"
        while isinstance(at := await scalar(self.database, planned), datetime) and at <= until:
            await set_clock(self.database, max(at, await self.now()))
            await self.fire()
        await set_clock(self.database, until)

    async def now(self) -> datetime:
        found = await scalar(self.database, "SELECT at FROM market_clock")
        assert isinstance(found, datetime)
        return found

    async def fire(self) -> None:
        while await self.due.fire(True):
            pass

    async def change(self, words: tuple[str, ...]) -> None:
        """Do one of the changes; one that is refused while a firing is under way changes nothing."""
        if words[0] == "calendar":
            await self.close_at(time.fromisoformat(words[1]))
            return
        may_be_refused = words[0] == "subscriptions" and await self.is_firing()
        assert await asyncio.to_thread(run, words) in ((0, 2) if may_be_refused else (0,))

    async def is_firing(self) -> bool:
        return bool(await scalar(self.database, "SELECT bool_or(firing_slot IS NOT NULL) FROM schedules"))

    async def close_at(self, closes: time) -> None:
        """Import a calendar that closes that day at another time."""
        usual = self.calendar.sessions_between(self.calendar.first, self.calendar.last)
        sessions = [Session(one.day, one.opens, ist(DAY, closes)) if one.day == DAY else one for one in usual]
        changed = Calendar("NSE", sessions, self.calendar.first, self.calendar.last, self.calendar.timetable.hours)
        async with self.database.transaction(None) as session:
            await CalendarRepository(session).replace(changed, "a test")

    async def counts(self, day: date) -> list[int]:
        async with self.database.reading(None) as session:
            found = await session.execute(text(_COUNTS), {"task": TASK, "day": day})
            return list(found.scalar_one())


@pytest.fixture
async def world(
    urls: ServerUrls,
    database: Database,
    bells: Bells,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> World:
    await replay_from(database, ist(DAY, time(8)), days=3)
    for name in ("asha", "bala", "chitra"):
        await person(database, name)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET enabled = name = :name"), {"name": NAME})
        await session.execute(text("UPDATE schedules SET trigger = 'at 16:05' WHERE name = :name"), {"name": NAME})
        calendar = await CalendarRepository(session).load()
    commands = Commands(urls, monkeypatch, capsys)
    monkeypatch.setenv("MUHURAT_OPERATOR", "ravi")
    monkeypatch.setattr("ops.cli.patience.PATIENCE_SECONDS", 0.0)
    due = Due(database, Ringer(bells), "s1", 1000)
    await due.plan_new(True)
    return World(database, due, commands, calendar, monkeypatch)


@pytest.fixture(autouse=True)
async def put_back(database: Database) -> AsyncIterator[None]:
    """Put the calendar back, which is not emptied between tests."""
    async with database.reading(None) as session:
        calendars = CalendarRepository(session)
        usual = await calendars.load()
        days = await calendars.days(usual.first, usual.last)
    yield
    async with database.transaction(None) as session:
        await CalendarRepository(session).replace(usual, "a test", list(days.values()))


def _change(random: Random) -> tuple[str, ...]:
    kind = random.choice(("edit", "edit", "override", "override", "calendar", "ends", "elsewhen", "off and on"))
    return {
        "edit": ("schedules", "edit", NAME, "--trigger", random.choice(TIMES)),
        "override": ("subscriptions", "override", ASHA, NAME, random.choice((*TIMES, "--default"))),
        "calendar": ("calendar", random.choice(CLOSES).isoformat()),
        "ends": ("schedules", "edit", NAME, "--ends", f"2024-06-{random.randint(10, 28)}"),
        "elsewhen": ("schedules", "edit", NAME, "--trigger", ELSEWHEN),
        "off and on": ("off and on", random.choice(TIMES)),
    }[kind]


def _script(seed: int) -> list[tuple[time, str, tuple[str, ...]]]:
    """Return changes of a day: when, what the scheduler did until then, and what is changed."""
    random = Random(seed)
    minutes = sorted(random.sample(range(15 * 60 + 32, 19 * 60), random.randint(2, 5)))
    hows = random.choices(("fired", "down", "half"), (6, 1, 2), k=len(minutes))
    return [(time(one // 60, one % 60), how, _change(random)) for one, how in zip(minutes, hows, strict=True)]


async def _play(world: World, script: list[tuple[time, str, tuple[str, ...]]]) -> None:
    for clock, how, words in script:
        await world.come_to(ist(DAY, clock), how)
        if words[0] == "off and on":
            for change in (("disable", NAME), ("edit", NAME, "--trigger", words[1]), ("enable", NAME)):
                await world.muhurat("schedules", *change)
        else:
            await world.change(words)
    await world.play(ist(DAY, time(23, 30)))


@pytest.mark.parametrize("seed", range(SCRIPTS))
async def test_however_a_day_is_changed_each_account_has_its_slot_once(world: World, seed: int) -> None:
    script = _script(seed)
    await _play(world, script)
    counts = await world.counts(DAY)
    assert max(counts) <= 1, script
    # Who takes the slot off a day, or the schedule out of it, may have taken it before it came.
    if not any(ELSEWHEN in words or words[0] == "off and on" for *_, words in script):
        assert counts == [1, 1, 1], script


EDIT = ("schedules", "edit", NAME, "--trigger")
OVERRIDE = ("subscriptions", "override", ASHA, NAME)


@pytest.mark.parametrize(
    "script",
    [
        [("16:10", "fired", (*EDIT, "at 16:30")), ("16:15", "fired", ("calendar", "14:30"))],
        [("16:10", "fired", (*EDIT, "close+35m")), ("16:15", "fired", ("calendar", "17:30"))],
        [("15:40", "fired", (*EDIT, "close+35m")), ("15:50", "fired", ("calendar", "14:30"))],
        [("16:10", "fired", (*EDIT, ELSEWHEN)), ("16:20", "fired", (*EDIT, "at 17:00"))],
        [("16:10", "fired", ("off and on", "at 17:00"))],
        [("16:10", "fired", (*EDIT, "at 16:30")), ("16:15", "fired", ("schedules", "edit", NAME, "--ends", "2024-06-10"))],
        [("16:07", "half", (*EDIT, "at 17:00"))],
        [("16:07", "down", (*EDIT, "at 17:00"))],
        [("16:07", "half", ("calendar", "17:30"))],
        # Whoever joins a time that has had its slot today, and has not had one, has it all the same.
        [
            ("15:40", "fired", (*OVERRIDE, "at 17:00")),
            ("16:10", "fired", (*EDIT, "at 18:00")),
            ("16:20", "fired", (*OVERRIDE, "--default")),
        ],
    ],
)  # fmt: skip
async def test_the_days_slot_is_neither_lost_nor_doubled_by(
    world: World, script: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    await _play(world, [(time.fromisoformat(clock), how, words) for clock, how, words in script])
    assert await world.counts(DAY) == [1, 1, 1]
    await world.play(ist(NEXT, time(23, 30)))
    assert await world.counts(NEXT) == [1, 1, 1]


async def test_a_one_off_names_its_day_and_is_a_slot_of_its_own(world: World) -> None:
    await world.come_to(ist(DAY, time(16, 10)), "fired")
    done = await world.muhurat.json(*EDIT, "once 2024-01-15T18:00+05:30")
    assert datetime.fromisoformat(done["next_due_at"]) == ist(DAY, time(18))
    await world.play(ist(DAY, time(23, 30)))
    assert await world.counts(DAY) == [2, 2, 2]


async def test_an_edit_tells_that_todays_slot_goes_by_the_old_time(world: World) -> None:
    await world.come_to(ist(DAY, time(16, 7)), "down")
    said = await world.muhurat(*EDIT, "at 17:00")
    assert "today's slot has fired already, or is about to: the new time begins on 2024-01-16" in said
