"""A day past the calendar's end: nothing is planned, sent or sold, and what says so names the days that are known."""

import pytest

from tests.desk import DAY, EVE, NEXT, Desk
from trading.calendar import Calendar
from trading.errors import CalendarUncovered

PLACING = ("buy_orders", "premarket_retry", "sell_monitor", "submit")
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
