"""A fortnight of the scheduler: exactly the executions that a plain list of sessions asks for, and none where it is silent."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from config.servers import ServerUrls
from db.calendar import CalendarRepository
from db.claims import SETTLED_CHANNEL
from db.clock import ClockRepository
from db.partitions import PartitionRepository
from db.transaction import Database
from db.users import UserRepository
from ops.doctor import examine
from tests.flow.simulation import Days, days_from, scheduling
from tests.people import Person, person, scalar
from tests.services import switched
from tests.waiting import until
from trading.calendar_file import read_calendar
from trading.config import DEFAULTS
from worker.bells.ringing import Bells
from worker.services import start_service, stop_service

# India has one zone without summer time: this file reckons by itself.
IST = timezone(timedelta(hours=5, minutes=30))
FIRST, LAST = date(2024, 1, 15), date(2024, 1, 28)
# A Saturday with a session, an evening instead of a holiday's day, a holiday; Sundays and the other Saturday are closed.
SESSIONS: dict[int, tuple[str, str]] = {
    **dict.fromkeys((15, 16, 17, 18, 19, 20, 23, 24, 25), ("09:15", "15:30")),
    22: ("18:15", "19:15"),
}
CALENDAR = """
# exchange: NSE
# coverage: 2023-12-01..2024-03-31
# hours: pre-open all 09:00-09:15 from 2023-12-01 source a test
# hours: continuous all 09:15-15:30 from 2023-12-01 source a test
# hours: post-close all 15:40-16:00 from 2023-12-01 source a test
# hours: amo all 15:45-08:57 from 2023-12-01 source a test
day,kind,opens,closes,name,source
2024-01-20,special,09:15,15:30,A Saturday,a test
2024-01-22,special,18:15,19:15,An evening,a test
2024-01-26,holiday,,,Republic Day,a test
"""
# Minutes from open or close at which each task fires whatever stands in the books, by what it fires for.
OF_ACCOUNTS = (
    ("order_sync", "open", -40), ("order_sync", "open", 0), ("order_sync", "close", 15), ("order_sync", "close", 150),
    ("buy_orders", "close", 35), ("eod_cleanup", "close", 150),
)  # fmt: skip
OF_PARAMETERS = (("analysis", "close", 30),)
OF_ALL = (("prices", "open", -75), ("prices", "close", 15))
MONDAYS = (15, 22)
NIGHTLY = ("retention", "housekeeping")

Slot = tuple[str, datetime, int | None]
"""A task, its slot, and the account it is for."""


def at(day: int, clock: str) -> datetime:
    hours, minutes = map(int, clock.split(":"))
    return datetime(2024, 1, day, hours, minutes, tzinfo=IST)


def moments(tasks: tuple[tuple[str, str, int], ...]) -> Iterator[tuple[str, datetime]]:
    for day, (opens, closes) in SESSIONS.items():
        for task, anchor, minutes in tasks:
            yield task, at(day, opens if anchor == "open" else closes) + timedelta(minutes=minutes)


@pytest.fixture
async def fortnight(database: Database) -> AsyncIterator[None]:
    """The calendar of the fortnight, and afterwards that of every other test."""
    async with database.reading(None) as session:
        whole = (await CalendarRepository(session).stored()).calendar
    async with database.transaction(None) as session:
        await CalendarRepository(session).replace(read_calendar(CALENDAR), "a test")
    yield
    async with database.transaction(None) as session:
        await CalendarRepository(session).replace(whole, "a test")


async def stopped(database: Database, name: str, rsi_period: int = 10) -> Person:
    who = await person(database, name, replace(DEFAULTS, rsi_period=rsi_period))
    await switched(database, who, running=False)
    return who


# Who runs when: day and clock of each start and stop.
STARTS = {
    "asha": [(15, "00:00")],
    "bala": [(15, "00:00"), (23, "20:00")],
    "chitra": [(20, "07:00")],
    "farid": [(18, "12:00")],
}
STOPS = {"bala": [(17, "12:00")], "farid": [(22, "18:30")]}


def runs(name: str, slot: datetime) -> bool:
    """Tell whether a service runs at a slot: its newest switch before it was a start."""
    before = [(at(*one), True) for one in STARTS.get(name, ()) if at(*one) <= slot]
    before += [(at(*one), False) for one in STOPS.get(name, ()) if at(*one) <= slot]
    return max(before, default=(slot, False))[1]


def wanted(accounts: dict[str, list[int]]) -> Counter[Slot]:
    """Return every execution of the fortnight. The second parameter set is farid's alone."""
    found: Counter[Slot] = Counter()
    for name, ids in accounts.items():
        found.update((task, slot, id_) for task, slot in moments(OF_ACCOUNTS) if runs(name, slot) for id_ in ids)
    for names in (("asha", "bala", "chitra", "esha"), ("farid",)):
        found.update(
            (task, slot, None) for task, slot in moments(OF_PARAMETERS) if any(runs(one, slot) for one in names)
        )
    found.update((task, slot, None) for task, slot in moments(OF_ALL))
    # Between daily bars the nightly tasks tidy up on Mondays.
    found.update((task, at(day, "02:00"), None) for task in NIGHTLY for day in MONDAYS)
    return found


async def made(days: Days) -> Counter[Slot]:
    rows = await days.rows("SELECT task_name, scheduled_for, account_id FROM service_task_execution")
    return Counter((row.task_name, row.scheduled_for, row.account_id) for row in rows)


async def test_a_fortnight_makes_exactly_the_executions_its_sessions_ask_for(
    database: Database, urls: ServerUrls, bells: Bells, fortnight: None
) -> None:
    people = {name: await stopped(database, name) for name in ("asha", "bala", "chitra", "esha")}
    people["farid"] = await stopped(database, "farid", 14)
    async with database.transaction(None) as session:
        second = await UserRepository(session).add_paper_account(
            people["farid"].user_id, "second", DEFAULTS, datetime(2024, 1, 1, tzinfo=UTC)
        )
    accounts = {name: [one.account_id] for name, one in people.items()}
    accounts["farid"].append(second)
    switches = sorted(
        [(at(*one), name, True) for name, times in STARTS.items() for one in times]
        + [(at(*one), name, False) for name, times in STOPS.items() for one in times]
    )
    async with days_from(database, urls, bells, at(15, "00:00"), timedelta(days=14)) as days:
        for moment, name, start in switches:
            await days.run_until(moment)
            if start:
                assert (await start_service(database, people[name].user_id, "ravi")).missing == []
            else:
                assert (await stop_service(database, people[name].user_id, "ravi")).switched.changed
        await days.run_until(at(28, "23:59"))
        found, want = await made(days), wanted(accounts)
        assert sorted((found - want).items()) == []
        assert sorted((want - found).items()) == []
        await _hold(days, found)


async def _hold(days: Days, found: Counter[Slot]) -> None:
    by_day = Counter(slot.astimezone(IST).day for _, slot, _ in found)
    assert not {21, 26, 27, 28} & by_day.keys(), "a closed day had executions"
    evening = {
        f"{slot.astimezone(IST):%H:%M}"
        for task, slot, _ in found
        if slot.astimezone(IST).day == 22 and task not in NIGHTLY
    }
    assert evening == {"17:00", "17:35", "18:15", "19:30", "19:45", "19:50", "21:45"}
    assert [tuple(row) for row in await days.rows("SELECT DISTINCT status FROM service_task_execution")] == [
        ("success",)
    ]


# The calendar that comes with the code ends with 2026.
EVE = datetime(2026, 12, 31, 23, 45, tzinfo=IST)
PLANS = "SELECT DISTINCT task_name FROM schedules WHERE enabled AND next_due_at < 'infinity' ORDER BY 1"
MADE = "SELECT task_name, count(*) AS times FROM service_task_execution GROUP BY 1"


async def test_the_year_after_the_calendar_trades_nothing_tidies_up_each_night_and_is_told_of(
    database: Database, urls: ServerUrls, bells: Bells
) -> None:
    who = await person(database)
    days = Days(database)
    await stand_at(database, EVE)
    async with database.transaction(None) as session:
        await PartitionRepository(session).make(date(2026, 12, 1), date(2027, 1, 31))
    with capture_logs() as lines:
        async with scheduling(database, urls, bells):
            await until(
                lambda: scalar(database, "SELECT bool_and(next_due_at IS NOT NULL) FROM schedules WHERE enabled")
            )
            assert [row[0] for row in await days.rows(PLANS)] == sorted(NIGHTLY)
            for night in range(1, 8):
                # From Friday to Thursday: what a session would bring is due before the next night.
                await stand_at(database, datetime(2027, 1, night, 2, 0, 1, tzinfo=IST))
                await until(partial(_all_done, days, night))
    (told,) = [line for line in lines if line["event"] == "calendar_ends"]
    assert (told["log_level"], told["last"]) == ("warning", "2026-12-31")
    assert told["cure"].endswith("and then nothing trades; load the next list with `muhurat calendar import FILE`")
    assert [row[0] for row in await days.rows(PLANS)] == sorted(NIGHTLY)
    await switched(database, who, running=False)
    refused = await start_service(database, who.user_id, "ravi")
    assert [one.what for one in refused.missing] == ["calendar"]


async def test_without_data_for_today_a_doctor_fails_and_names_the_cure(
    database: Database, urls: ServerUrls, fortnight: None
) -> None:
    checks = {one.name: one for one in await examine(database, urls, lambda: datetime.now(UTC))}  # noqa: TID251
    assert checks["calendar"].state == "failed"
    assert (
        "ended on 2024-03-31: nothing trades; load the next list with `muhurat calendar import FILE`"
        in checks["calendar"].said
    )


async def _all_done(days: Days, nights: int) -> bool:
    return {row.task_name: row.times for row in await days.rows(MADE)} == dict.fromkeys(NIGHTLY, nights)


async def stand_at(database: Database, moment: datetime) -> None:
    """Let market time stand at a moment as on a live day: nobody moves it when all is done."""
    async with database.transaction(None) as session:
        await ClockRepository(session).rehearse(moment, moment, 1.0)
        await session.execute(text(f"NOTIFY {SETTLED_CHANNEL}"))
