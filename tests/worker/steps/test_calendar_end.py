"""A day past the calendar's end: nothing is planned, sent or sold, and what says so names the days that are known."""

from pathlib import Path

import pytest

from tests.desk import DAY, EVE, NEXT, Desk
from trading.calendar import Calendar
from trading.errors import CalendarUncovered, HoursUnknown
from worker import steps

PLACING = ("buy_orders", "premarket_retry", "sell_monitor", "submit")
# What asks the calendar, and what it does past its end: refuses by the error, or reads on. Whatever else asks comes here.
REFUSES = {*PLACING, "position_monitor", "eod_cleanup", "prices"}
READS_ON = {"order_sync", "reconcile"}
ASKS_FOR_THE_DATE_ALONE = {"analysis", "train"}
BUILT_IN = {"market_view"}  # asked for them by the steps above
ORDERS = "SELECT id, status, attempt, change FROM orders ORDER BY id"


def _end(desk: Desk) -> Calendar:
    """Let the calendar end with EVE. Returns it."""
    whole = desk.world.resources.calendar
    desk.world.resources.calendar = whole.until(EVE)
    return desk.world.resources.calendar


@pytest.mark.parametrize("task", PLACING)
async def test_past_the_calendars_end_nothing_is_placed_and_the_reason_names_what_is_known(
    desk: Desk, task: str
) -> None:
    waiting = await desk.planned()
    await desk.planned("BBB", status="failed", intent_key="k", tag="T", retry_until=desk.closes(NEXT), reserved=0)
    at = {"buy_orders": desk.closes(DAY, 35), "premarket_retry": desk.opens(NEXT, -30)}.get(task, desk.opens(DAY))
    before = await desk.world.rows(ORDERS)
    known = _end(desk)
    await desk.world.set_clock(at)
    with pytest.raises(CalendarUncovered, match=f"covers {known.first} to {EVE}"):
        await desk.run(task, f"{waiting}:1" if task == "submit" else "")
    assert await desk.world.rows(ORDERS) == before
    assert await desk.world.rows("SELECT tag FROM paper_orders") == []
    assert await desk.follow_ups() == []


async def test_on_the_calendars_last_evening_nothing_is_bought_for_a_day_nobody_knows(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 35))
    _end(desk)
    with pytest.raises(CalendarUncovered, match="no calendar for 2024-03-05"):
        await desk.run("buy_orders")
    assert await desk.world.rows(ORDERS) == []


async def test_what_is_held_past_the_calendars_end_is_not_offered_for_sale(desk: Desk) -> None:
    await desk.held()
    whole = desk.world.resources.calendar
    await desk.world.set_clock(desk.opens(NEXT, 5))
    desk.world.resources.calendar = whole.until(DAY)
    with pytest.raises(CalendarUncovered, match=f"covers {whole.first} to {DAY}"):
        await desk.run("sell_monitor")
    assert await desk.world.rows("SELECT id FROM orders WHERE side = 'sell'") == []


async def test_the_books_are_still_read_past_the_calendars_end(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.opens(NEXT, 5))
    whole = desk.world.resources.calendar
    desk.world.resources.calendar = whole.until(DAY)
    outcome = await desk.run("order_sync")
    assert outcome.details["fills"] == 1


def test_every_step_that_asks_the_calendar_is_known_here() -> None:
    files = sorted(Path(steps.__path__[0]).glob("*.py"))
    asking = {path.stem for path in files if "resources.calendar" in path.read_text(encoding="utf-8")}
    assert asking == REFUSES | READS_ON | ASKS_FOR_THE_DATE_ALONE | BUILT_IN


@pytest.mark.parametrize("task", sorted(REFUSES - set(PLACING)))
async def test_what_watches_or_closes_a_day_refuses_one_that_nobody_knows(desk: Desk, task: str) -> None:
    await desk.held()
    await desk.world.set_clock(desk.closes(NEXT, 5))
    desk.world.resources.calendar = desk.world.resources.calendar.until(DAY)
    before = await desk.world.rows(ORDERS)
    with pytest.raises(CalendarUncovered, match=f"to {DAY}"):
        await desk.run(task)
    assert await desk.world.rows(ORDERS) == before


async def test_a_sync_reads_on_and_ends_nothing_of_a_day_that_nobody_knows(desk: Desk) -> None:
    await desk.sent()
    unsent = await desk.planned("BBB", session_day=NEXT, intent_key="k", tag="T")
    await desk.world.set_clock(desk.closes(DAY, 15))
    desk.world.resources.calendar = desk.world.resources.calendar.until(DAY)
    outcome = await desk.run("order_sync")
    assert outcome.details["fills"] == 1
    assert (unsent, "planned", 1, None) in await desk.world.rows(ORDERS)
    with pytest.raises(CalendarUncovered, match=f"to {DAY}"):
        await desk.run("submit", f"{unsent}:1")


@pytest.mark.parametrize("task", ["buy_orders", "premarket_retry", "submit"])
async def test_without_hours_of_after_market_orders_none_is_placed(desk: Desk, task: str) -> None:
    waiting = await desk.planned()
    await desk.planned("BBB", status="failed", intent_key="k", tag="T", retry_until=desk.closes(NEXT), reserved=0)
    at = {"premarket_retry": desk.opens(DAY, -30)}.get(task, desk.closes(EVE, 35))
    before = await desk.world.rows(ORDERS)
    whole = desk.world.resources.calendar
    sessions = whole.sessions_between(whole.first, whole.last)
    desk.world.resources.calendar = Calendar(whole.exchange, sessions, whole.first, whole.last)
    await desk.world.set_clock(at)
    with pytest.raises(HoursUnknown, match="no hours of amo for 2024-03-05"):
        await desk.run(task, f"{waiting}:1" if task == "submit" else "")
    assert await desk.world.rows(ORDERS) == before
    assert await desk.world.rows("SELECT tag FROM paper_orders") == []
