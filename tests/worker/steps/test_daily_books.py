"""The books of a day: closed once or again they say the same, and what they say adds up."""

from datetime import date
from decimal import Decimal

from db.activity import ActivityRepository
from tests.desk import DAY, EVE, NEXT, Desk

WORTH = "total_value, available_cash, invested_value, unrealized_pnl, realized_pnl"
CLOSES = {EVE: "100", DAY: "110", NEXT: "115"}


async def close(desk: Desk, day: date) -> None:
    """Let a day's bar of AAA arrive and close its books."""
    close_ = CLOSES[day]
    await desk.world.change(
        f"INSERT INTO bars VALUES ('AAA', '{day}', {close_}, {close_}, {close_}, {close_}, 1000) ON CONFLICT DO NOTHING"
    )
    await desk.world.set_clock(desk.closes(day, 150))
    await desk.run("eod_cleanup")


async def sold(desk: Desk) -> None:
    """Sell at NEXT what was bought at DAY's open, at 118."""
    await desk.held()
    id_ = await desk.offered("118")
    await desk.world.set_clock(desk.opens(NEXT))
    await desk.run("submit", f"{id_}:1")
    await desk.world.set_clock(desk.closes(NEXT, 15))
    await desk.run("order_sync")


async def test_a_day_of_a_purchase_counts_its_charges_and_what_is_held_at_the_close(desk: Desk) -> None:
    await desk.held()
    await close(desk, DAY)
    realized, unrealized, fees = await desk.world.row("SELECT realized_pnl, unrealized_pnl, fees FROM pnldaily")
    assert (realized, unrealized) == (0, 100)
    assert [(fees,)] == await desk.world.rows("SELECT sum(charges) FROM fills")
    assert await desk.world.row("SELECT open_positions_count, closed_positions_count FROM portfolio_snapshots") == (
        1,
        0,
    )


async def test_a_share_is_valued_at_the_close_until_it_is_sold(desk: Desk) -> None:
    await desk.held()
    await close(desk, DAY)
    assert await desk.world.row("SELECT unrealized_pnl FROM positions") == (100,)
    id_ = await desk.offered("118")
    await desk.world.set_clock(desk.opens(NEXT))
    await desk.run("submit", f"{id_}:1")
    await desk.world.set_clock(desk.closes(NEXT, 15))
    await desk.run("order_sync")
    assert await desk.world.row("SELECT closed_at IS NOT NULL, unrealized_pnl FROM positions") == (True, 0)


async def test_an_account_is_worth_its_cash_and_what_its_shares_would_bring(desk: Desk) -> None:
    await desk.held()
    await close(desk, DAY)
    total, cash, cost, unrealized, realized = await desk.world.row(f"SELECT {WORTH} FROM portfolio_snapshots")
    assert (cost, unrealized) == (1000, 100)
    assert total == cash + 1100  # type: ignore[operator]  # numbers, as the table has them
    assert [(cash,)] == await desk.world.rows("SELECT cash FROM broker_accounts")
    deposits = await desk.world.row("SELECT sum(amount) FROM cash_entries WHERE kind = 'deposit'")
    assert deposits == (total - unrealized - realized,)  # type: ignore[operator]  # the same


async def test_the_days_add_up_to_what_the_positions_made(desk: Desk) -> None:
    await close(desk, EVE)
    await sold(desk)
    for day in (DAY, NEXT):
        await close(desk, day)
    made = await desk.world.row("SELECT sum(realized_pnl), sum(charges) FROM positions WHERE closed_at IS NOT NULL")
    days = await desk.world.row("SELECT sum(realized_pnl - fees), sum(fees) FROM pnldaily")
    assert days == made
    last = await desk.world.row(
        f"SELECT realized_pnl, unrealized_pnl, total_value FROM portfolio_snapshots WHERE date = '{NEXT}'"
    )
    assert last[:2] == (made[0], 0)


async def test_returns_are_on_deposits_and_on_the_day_before(desk: Desk) -> None:
    await close(desk, EVE)
    await sold(desk)
    for day in (DAY, NEXT):
        await close(desk, day)
    rows = await desk.world.rows(
        "SELECT total_value, total_return, daily_return FROM portfolio_snapshots ORDER BY date"
    )
    (first, none, no_day_before), (second, _, daily), (third, total, daily_again) = rows
    assert (none, no_day_before) == (0, None)
    for now, before, told in ((second, first, daily), (third, second, daily_again), (third, first, total)):
        assert abs(told - float((now - before) / before)) < 1e-9  # type: ignore[operator]  # numbers


async def test_closing_again_writes_the_same_in_place_and_says_so(desk: Desk) -> None:
    await desk.held()
    await close(desk, DAY)
    tables = ("pnldaily", "portfolio_snapshots", "activity")
    columns = {
        "pnldaily": "date, realized_pnl, unrealized_pnl, fees",
        "portfolio_snapshots": f"date, {WORTH}, daily_return",
    }
    before = [await desk.world.rows(f"SELECT {columns.get(one, '*')} FROM {one}") for one in tables]
    await close(desk, DAY)
    assert [await desk.world.rows(f"SELECT {columns.get(one, '*')} FROM {one}") for one in tables] == before
    audits = "SELECT pnl_records_created, pnl_records_updated, positions_processed, orders_processed, status"
    assert await desk.world.rows(f"{audits} FROM pnl_calculation_audit ORDER BY id") == [
        (1, 0, 1, 1, "success"),
        (0, 1, 1, 1, "success"),
    ]


async def test_a_day_closed_late_knows_nothing_of_what_came_after_it(desk: Desk) -> None:
    await desk.held()
    await close(desk, DAY)
    before = await desk.world.row(f"SELECT {WORTH} FROM portfolio_snapshots WHERE date = '{DAY}'")
    await desk.world.change("DELETE FROM portfolio_snapshots; ")
    id_ = await desk.offered("118")
    await desk.world.set_clock(desk.opens(NEXT))
    await desk.run("submit", f"{id_}:1")
    await desk.world.set_clock(desk.closes(NEXT, 15))
    await desk.run("order_sync")
    late = await desk.world.running("eod_cleanup", desk.who, as_of=desk.closes(DAY, 150))
    await desk.run_as(late)
    total, cash, cost, unrealized, realized = await desk.world.row(f"SELECT {WORTH} FROM portfolio_snapshots")
    assert (cash, cost) == before[1:3]
    # The share is gone, so nobody asked for its close: it counts at cost, and the computation says so.
    assert (total, unrealized, realized) == (cash + cost, 0, before[4])  # type: ignore[operator]  # numbers
    said = await desk.world.row("SELECT status, error_message FROM pnl_calculation_audit ORDER BY id DESC LIMIT 1")
    assert said == ("partial", "no close, counted at cost: AAA")


async def test_money_paid_in_is_no_profit(desk: Desk) -> None:
    await close(desk, EVE)
    at = desk.opens(DAY)
    await desk.world.change(
        "INSERT INTO cash_entries (user_id, account_id, kind, amount, reference, at) "
        f"SELECT user_id, id, 'deposit', 1000, 'second', '{at}' FROM broker_accounts"
    )
    await desk.world.change("UPDATE broker_accounts SET cash = cash + 1000")
    await close(desk, DAY)
    row = await desk.world.row(f"SELECT total_return, daily_return FROM portfolio_snapshots WHERE date = '{DAY}'")
    assert row == (0, 0)


async def test_the_feed_names_each_filled_order_and_closed_position_once(desk: Desk) -> None:
    await sold(desk)
    for day in (DAY, NEXT, NEXT):
        await close(desk, day)
    feed = await desk.world.rows(
        "SELECT type, details_json ->> 'symbol', details_json ->> 'side' FROM activity ORDER BY id"
    )
    assert feed == [("order_filled", "AAA", "buy"), ("order_filled", "AAA", "sell"), ("position_closed", "AAA", None)]
    told = await desk.world.row(
        "SELECT (details_json ->> 'realized_pnl')::numeric, ts FROM activity WHERE type LIKE 'pos%'"
    )
    assert told == await desk.world.row("SELECT realized_pnl, closed_at FROM positions")
    async with desk.world.database.reading(desk.who.user_id) as session:
        rows = ActivityRepository(session)
        newest = await rows.page(desk.who.user_id, 2)
        oldest = await rows.page(desk.who.user_id, 2, before=newest[-1].id)
    assert [row.type for row in (*newest, *oldest)] == ["position_closed", "order_filled", "order_filled"]


async def test_two_accounts_of_a_user_have_books_of_their_own(desk: Desk) -> None:
    await desk.held()
    await desk.world.change(
        "INSERT INTO broker_accounts (user_id, code, name, mode, venue, cash) SELECT user_id, 'x', 'x', mode, venue, 5 "
        "FROM broker_accounts"
    )
    await close(desk, DAY)
    rows = await desk.world.rows("SELECT account_id, available_cash > 5 FROM portfolio_snapshots")
    assert rows == [(desk.who.account_id, True)]
    assert (await desk.world.row("SELECT sum(unrealized_pnl) FROM pnldaily"))[0] == Decimal(100)
