"""The end of an account's day: what is over is given up, what does not agree is named, and doing it twice is nothing."""

import pytest

from tests.desk import DAY, EVE, NEXT, Desk


async def evening_of(desk: Desk, day: object = DAY) -> None:
    await desk.world.set_clock(desk.closes(DAY if day is DAY else NEXT, 150))


async def failed(desk: Desk, minutes: float) -> int:
    until = desk.closes(DAY, minutes)
    return await desk.planned(status="failed", failure_kind="insufficient_funds", retry_until=until, reserved=0)


async def test_a_failed_order_past_its_last_moment_is_given_up(desk: Desk) -> None:
    await failed(desk, 0)
    await evening_of(desk)
    outcome = await desk.run("eod_cleanup")
    assert outcome.details["removed_failed_orders"] == 1
    status, reason, closed_at = await desk.order("status, reason, closed_at")
    assert (status, reason, closed_at) == ("cancelled", "its time to be tried again is over", desk.closes(DAY, 150))
    assert await desk.world.row("SELECT event FROM notifications") == ("retry_queue_removed",)


async def test_a_failed_order_with_time_left_stays(desk: Desk) -> None:
    await failed(desk, 24 * 60)
    await evening_of(desk)
    assert (await desk.run("eod_cleanup")).details["removed_failed_orders"] == 0
    assert await desk.order() == ("failed",)


async def test_an_order_still_live_after_its_session_is_named_and_never_guessed_away(desk: Desk) -> None:
    id_ = await desk.planned(status="open")
    await evening_of(desk)
    outcome = await desk.run("eod_cleanup")
    assert outcome.details["leftovers"] == [{"order": id_, "symbol": "AAA", "status": "open"}]
    assert await desk.order() == ("open",)
    assert await desk.world.row("SELECT event, level FROM notifications") == ("system_warning", "error")


async def test_an_order_for_the_next_session_is_no_leftover(desk: Desk) -> None:
    await desk.planned(status="parked", session_day=NEXT)
    await evening_of(desk)
    assert (await desk.run("eod_cleanup")).details["leftovers"] == []


@pytest.mark.parametrize(("change", "named"), [("SELECT 1", []), ("UPDATE positions SET quantity = 7", [7])])
async def test_shares_that_do_not_follow_from_fills_are_named(desk: Desk, change: str, named: list[int]) -> None:
    await desk.held()
    await desk.world.change(change)
    await evening_of(desk)
    told = [{"symbol": "AAA", "by_fills": 10, "held": held} for held in named]
    assert (await desk.run("eod_cleanup")).details["disagreements"] == told


async def test_a_share_without_the_days_close_is_named(desk: Desk) -> None:
    await desk.held()
    await evening_of(desk)
    assert (await desk.run("eod_cleanup")).details["without_close"] == ["AAA"]
    await desk.world.change(f"INSERT INTO bars VALUES ('AAA', '{DAY}', 100, 111, 99, 110, 1000)")
    assert (await desk.run("eod_cleanup")).details["without_close"] == []


async def test_the_days_figures_are_counted(desk: Desk) -> None:
    await desk.held()
    await evening_of(desk)
    assert (await desk.run("eod_cleanup")).details["statistics"] == {
        "orders": {"buy filled": 1},
        "positions_opened": 1,
        "positions_closed": 0,
        "realized_pnl": "0",
    }


async def test_closing_the_day_twice_is_closing_it_once(desk: Desk) -> None:
    await failed(desk, 0)
    await evening_of(desk)
    await desk.run("eod_cleanup")
    tables = ("orders", "order_events", "notifications", "pnldaily", "portfolio_snapshots")
    before = [await desk.world.rows(f"SELECT count(*) FROM {table}") for table in tables]
    assert (await desk.run("eod_cleanup")).details["removed_failed_orders"] == 0
    assert [await desk.world.rows(f"SELECT count(*) FROM {table}") for table in tables] == before


async def test_a_blocked_account_is_closed_like_any_other(desk: Desk) -> None:
    await failed(desk, 0)
    await desk.world.change("UPDATE broker_accounts SET status = 'blocked'")
    await evening_of(desk)
    assert (await desk.run("eod_cleanup")).details["removed_failed_orders"] == 1


async def test_the_session_of_the_eve_is_closed_on_its_own_day(desk: Desk) -> None:
    await desk.world.set_clock(desk.closes(EVE, 150))
    assert (await desk.run("eod_cleanup")).details["day"] == EVE.isoformat()
