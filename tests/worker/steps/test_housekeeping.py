"""The nightly look: room is made ahead, and what does not hold is told to those who look after the platform."""

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from db.calendar import CalendarRepository
from tests.desk import DAY, Desk
from worker.steps.housekeeping import housekeeping

TOLD = "SELECT event, level, dedupe_key FROM notifications ORDER BY id"


async def night(desk: Desk) -> dict[str, Any]:
    await desk.world.set_clock(desk.opens(DAY, -7 * 60))
    return dict((await housekeeping(desk.world.resources, await desk.world.running("housekeeping"))).details)


async def broken(desk: Desk) -> None:
    """Let an order of an earlier session be live still, and somebody look after the platform."""
    await desk.world.change("UPDATE users SET role = 'admin' WHERE email LIKE 'priya%'")
    await desk.planned(status="open", session_day=DAY - timedelta(days=4), broker_order_id="P1")


async def test_a_sound_record_has_no_findings_and_tells_nobody(desk: Desk) -> None:
    await desk.world.sign_up("priya")
    await desk.world.change("UPDATE users SET role = 'admin' WHERE email LIKE 'priya%'")
    details = await night(desk)
    assert (details["findings"], details["administrators"]) == ([], 1)
    assert await desk.world.rows(TOLD) == []


async def test_partitions_are_made_for_the_days_ahead(desk: Desk) -> None:
    for table, step in (("service_task_execution", "month"), ("service_logs", "week"), ("decisions", "month")):
        await desk.world.change(f"SELECT make_partitions('{table}', '{step}', '2024-03-01', '2024-03-31')")
    await desk.world.change("DROP TABLE decisions_p20240401")
    assert (await night(desk))["partitions_made"] == 1
    assert (await night(desk))["partitions_made"] == 0


async def test_what_does_not_hold_is_logged_told_to_administrators_alone_and_once_a_day(desk: Desk) -> None:
    await desk.world.sign_up("priya")
    await broken(desk)
    with capture_logs() as lines:
        details = await night(desk)
    (finding,) = details["findings"]
    assert (finding["name"], finding["rows"]) == ("orders_end_with_their_session", 1)
    logged = [line for line in lines if line["event"] == "invariant_broken"]
    assert [(line["log_level"], line["invariant"]) for line in logged] == [("error", "orders_end_with_their_session")]
    await night(desk)
    assert await desk.world.rows(TOLD) == [
        ("system_error", "critical", f"invariant:orders_end_with_their_session:{DAY}")
    ]
    assert await desk.world.row("SELECT u.email FROM notifications n JOIN users u ON u.id = n.user_id") == (
        "priya@example.in",
    )
    (row,) = [row for row in await desk.world.queued() if row.task_name == "notify"]
    assert (row.user_id, row.account_id) != (desk.who.user_id, desk.who.account_id)


@pytest.mark.parametrize(
    ("days", "level"), [(30, None), (29, "warning"), (7, "error"), (0, "critical"), (-1, "critical")], ids=str
)
async def test_a_calendar_that_ends_soon_is_told_every_day(desk: Desk, days: int, level: str | None) -> None:
    await desk.world.change("UPDATE users SET role = 'admin'")
    whole = desk.world.resources.calendar
    last = DAY + timedelta(days=days)
    short = whole.until(last)
    async with desk.world.database.transaction(None) as session:
        await CalendarRepository(session).replace(short, "a test")
    try:
        details = await night(desk)
    finally:
        async with desk.world.database.transaction(None) as session:
            await CalendarRepository(session).replace(whole, "a test")
    assert details["calendar_days_left"] == days
    key = f"calendar:NSE:{DAY}"
    assert await desk.world.rows(TOLD) == ([] if level is None else [("system_warning", level, key)])


async def test_without_administrators_the_finding_stands_in_the_record(desk: Desk) -> None:
    await broken(desk)
    details = await night(desk)
    assert (len(details["findings"]), details["administrators"]) == (1, 0)
