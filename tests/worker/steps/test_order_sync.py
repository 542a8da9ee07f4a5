"""Booking what the broker's book tells, each thing once."""

from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from adapters.brokers.base import BookFill, BookOrder, Complete
from db.executions import Fenced
from tests.desk import DAY, EVE, NEXT, Desk
from trading.charges import charges
from trading.orders import OrderState
from trading.values import Side, Symbol
from worker.outcome import Outcome, Retry

BOUGHT = charges(Side.BUY, 10, Decimal(100), DAY).total


async def test_an_account_without_orders_is_a_look_and_nothing_more(desk: Desk) -> None:
    await desk.world.set_clock(desk.opens(DAY))
    outcome = await desk.run("order_sync")
    assert outcome.details == {"orders": 0, "fills": 0, "positions_opened": 0, "positions_closed": 0}


async def test_a_fill_becomes_a_position_and_a_movement_of_cash(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.opens(DAY))
    outcome = await desk.run("order_sync")
    assert outcome.details == {"orders": 1, "fills": 1, "positions_opened": 1, "positions_closed": 0}
    columns = "status, filled_quantity, avg_price, filled_at, closed_at, reserved, broker_word"
    at = desk.opens(DAY)
    assert await desk.order(columns) == ("filled", 10, 100, at, at, 0, "complete")
    assert await desk.world.row("SELECT symbol, quantity, avg_price, opened_at, realized_pnl FROM positions") == (
        "AAA", 10, 100, at, -BOUGHT,
    )  # fmt: skip
    entries = await desk.world.rows(
        "SELECT kind, amount, reference FROM cash_entries WHERE kind <> 'deposit' ORDER BY 1"
    )
    assert entries == [("buy", -1000, "PTAGAAA-1"), ("charges", -BOUGHT, "PTAGAAA-1")]
    (cash,) = await desk.world.row("SELECT cash FROM broker_accounts")
    assert cash == 1_000_000 - 1000 - BOUGHT


async def test_the_same_book_twice_is_booked_once(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.opens(DAY))
    await desk.run("order_sync")
    events = await desk.world.rows("SELECT * FROM order_events ORDER BY id")
    outcome = await desk.run("order_sync")
    assert outcome.details == {"orders": 0, "fills": 0, "positions_opened": 0, "positions_closed": 0}
    assert await desk.world.rows("SELECT * FROM order_events ORDER BY id") == events
    assert (await desk.world.row("SELECT count(*) FROM fills"))[0] == 1
    assert await desk.world.row("SELECT a.cash - b.cash FROM broker_accounts a, paper_books b") == (0,)


async def test_each_new_fill_is_one_line_of_the_log_after_it_is_booked(desk: Desk) -> None:
    order = await desk.sent()
    await desk.world.set_clock(desk.opens(DAY))
    with capture_logs() as lines:
        await desk.run("order_sync")
        await desk.run("order_sync")
    told = [{**line, "log_level": None} for line in lines if line["event"] == "fill_booked"]
    (decided_by,) = await desk.order("execution_id")
    assert told == [
        {
            "event": "fill_booked", "log_level": None, "order_id": order, "symbol": "AAA", "side": "buy", "quantity": 10,
            "broker_fill_id": "PTAGAAA-1", "decided_by": decided_by,
        }
    ]  # fmt: skip


async def test_a_fill_that_is_not_committed_is_no_line_of_the_log(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.opens(DAY))
    execution = await desk.world.running("order_sync", desk.who)
    await desk.world.fence_off(execution)
    with capture_logs() as lines, pytest.raises(Fenced):
        await desk.run_as(execution)
    assert [line for line in lines if line["event"] == "fill_booked"] == []


async def test_a_book_that_cannot_be_read_changes_nothing(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.opens(DAY))
    desk.world.prices.broken = True  # type: ignore[attr-defined] # the desk's prices are listed ones
    with pytest.raises(Retry, match="cannot be read"):
        await desk.run("order_sync")
    assert await desk.order() == ("acked",)


async def test_an_order_that_was_never_sent_in_time_frees_its_money(desk: Desk) -> None:
    await desk.planned()
    await desk.world.set_clock(desk.opens(DAY, -19))
    await desk.run("order_sync")
    assert await desk.order() == ("planned",)
    await desk.world.set_clock(desk.opens(DAY, -18))
    await desk.run("order_sync")
    assert await desk.order("status, reason, reserved") == ("denied", "MARKET_CLOSED", 0)


@pytest.mark.parametrize("state", ["sending", "unknown"])
async def test_an_order_of_unknown_fate_is_looked_for_once_its_time_is_over(desk: Desk, state: str) -> None:
    id_ = await desk.planned(status=state)
    await desk.world.set_clock(desk.opens(DAY))
    await desk.run("order_sync")
    assert await desk.order() == ("unknown",)
    assert await desk.follow_ups() == [("reconcile", f"{id_}:1", desk.opens(DAY))]


def told(tag: str, word: str, state: OrderState | None, fills: list[BookFill]) -> Complete:
    filled = sum(fill.quantity for fill in fills)
    order = BookOrder("P1", tag, Symbol("AAA"), Side.BUY, 10, filled, None, word, state, None, fills)
    return Complete([order])


async def test_a_word_nobody_knows_leaves_the_order_and_is_named(desk: Desk) -> None:
    await desk.sent()

    async def book() -> Complete:
        return told("TAGAAA", "frozen", None, [])

    outcome = await desk.run("order_sync", before=book)
    assert outcome.details["unknown_words"] == ["TAGAAA: frozen"]
    assert await desk.order() == ("acked",)


async def test_an_order_nobody_knows_is_named(desk: Desk) -> None:
    await desk.sent()

    async def book() -> Complete:
        return told("FOREIGN", "open", OrderState.OPEN, [])

    assert (await desk.run("order_sync", before=book)).details["strangers"] == ["FOREIGN"]


async def test_parts_of_an_order_add_up(desk: Desk) -> None:
    await desk.sent()
    parts = [BookFill("F1", 4, Decimal(100), desk.opens(DAY)), BookFill("F2", 6, Decimal(101), desk.opens(DAY, 1))]

    async def first() -> Complete:
        return told("TAGAAA", "open", OrderState.OPEN, parts[:1])

    async def second() -> Complete:
        return told("TAGAAA", "complete", OrderState.FILLED, parts)

    await desk.world.set_clock(desk.opens(DAY, 2))
    await desk.run("order_sync", before=first)
    assert await desk.order("status, filled_quantity, avg_price, reserved") == ("partial", 4, 100, 660)
    await desk.run("order_sync", before=second)
    columns = "status, filled_quantity, avg_price, reserved, filled_at"
    assert await desk.order(columns) == ("filled", 10, Decimal("100.6"), 0, desk.opens(DAY, 1))
    assert await desk.world.row("SELECT quantity, avg_price FROM positions") == (10, Decimal("100.6"))


@pytest.mark.parametrize(
    ("limit", "market", "reason", "price"), [("118.00", False, "EMA9_TARGET", 118), ("130.00", True, "RSI_EXIT", 115)]
)
async def test_a_sale_closes_the_position_with_its_reason(
    desk: Desk, limit: str, market: bool, reason: str, price: int
) -> None:
    await desk.held()
    await desk.world.set_clock(desk.opens(NEXT))
    id_ = await desk.offered(limit)
    await desk.run("submit", f"{id_}:1")
    await desk.world.set_clock(desk.closes(NEXT, -5))
    if market:
        await desk.world.change(f"UPDATE orders SET change = '{{\"limit_price\": null}}', attempt = 2 WHERE id = {id_}")
        await desk.run("submit", f"{id_}:2")
    outcome = await desk.run("order_sync")
    assert outcome.details["positions_closed"] == 1
    sold = charges(Side.SELL, 10, Decimal(price), NEXT).total
    position = await desk.world.row("SELECT quantity, exit_price, exit_reason, closed_at, realized_pnl FROM positions")
    assert position == (0, price, reason, desk.closes(NEXT, -5), 10 * (price - 100) - BOUGHT - sold)
    (kind,) = await desk.world.row(f"SELECT order_type FROM orders WHERE id = {id_}")
    assert kind == ("market" if market else "limit")
    assert await desk.world.row("SELECT a.cash - b.cash FROM broker_accounts a, paper_books b") == (0,)


async def test_the_evening_before_an_order_is_parked(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.closes(EVE, 36))
    await desk.run("order_sync")
    assert await desk.order("status, broker_word, reserved") == ("parked", "parked", 1100)


async def test_an_order_of_unknown_fate_whose_reconcile_failed_is_looked_for_again(desk: Desk) -> None:
    id_ = await desk.planned(status="unknown")
    now = desk.closes(EVE, 40)
    await desk.world.set_clock(now)
    failed = await desk.world.running("reconcile", desk.who, f"{id_}:1", as_of=desk.closes(EVE, 36))
    await desk.world.settle(failed, Outcome("failed"))
    await desk.run("order_sync")
    assert await desk.order() == ("unknown",)
    assert await desk.follow_ups() == [("reconcile", f"{id_}:1", now)]


@pytest.mark.parametrize(("subject", "looks"), [("1", 0), ("1:2", 0), ("2", 1)])
async def test_a_reconcile_that_is_under_way_is_enough(desk: Desk, subject: str, looks: int) -> None:
    id_ = await desk.planned(status="unknown")
    await desk.world.set_clock(desk.closes(EVE, 40))
    await desk.world.running("reconcile", desk.who, f"{id_}:{subject}", as_of=desk.closes(EVE, 36))
    await desk.run("order_sync")
    assert len(await desk.follow_ups()) == looks


@pytest.mark.parametrize(("seconds", "state"), [(0, "sending"), (40, "sending"), (50, "unknown")])
async def test_an_order_whose_submit_cannot_be_running_any_more_is_looked_for(
    desk: Desk, seconds: int, state: str
) -> None:
    id_ = await desk.planned(status="sending")
    await desk.world.change(f"UPDATE order_events SET created_at = now() - make_interval(secs => {seconds})")
    await desk.world.set_clock(desk.closes(EVE, 40))
    await desk.run("order_sync")
    assert await desk.order() == (state,)
    looks = [("reconcile", f"{id_}:1", desk.closes(EVE, 40))]
    assert await desk.follow_ups() == (looks if state == "unknown" else [])


async def test_of_two_overlapping_looks_the_older_one_booked_last_changes_nothing(desk: Desk) -> None:
    await desk.sent()
    parts = [BookFill("F1", 5, Decimal(100), desk.opens(DAY)), BookFill("F2", 2, Decimal(101), desk.opens(DAY, 1))]
    await desk.world.set_clock(desk.opens(DAY, 2))

    async def newer() -> Complete:
        return told("TAGAAA", "open", OrderState.OPEN, parts)

    async def older() -> Complete:
        return told("TAGAAA", "open", OrderState.OPEN, parts[:1])

    columns = "status, filled_quantity, avg_price, reserved, broker_word"
    await desk.run("order_sync", before=newer)
    before = await desk.order(columns)
    assert before == ("partial", 7, Decimal("100.2857"), 330, "open")
    assert (await desk.run("order_sync", before=older)).details["orders"] == 0
    assert await desk.order(columns) == before


async def test_a_purchase_the_venue_had_no_money_for_waits_to_be_tried_again(desk: Desk) -> None:
    await desk.sent()
    await desk.world.change("UPDATE paper_books SET cash = 5")
    await desk.world.set_clock(desk.opens(DAY))
    await desk.run("order_sync")
    columns = "status, failure_kind, first_failed_at, retry_until, reserved"
    assert await desk.order(columns) == ("failed", "insufficient_funds", desk.opens(DAY), desk.closes(NEXT), 0)
    await desk.run("order_sync")
    assert await desk.order() == ("failed",)


async def test_a_retry_that_fails_again_gets_no_more_time_than_the_first(desk: Desk) -> None:
    await desk.sent()
    await desk.world.change("UPDATE paper_books SET cash = 5")
    until, first = desk.closes(DAY), desk.opens(EVE)
    await desk.world.change(f"UPDATE orders SET retry_until = '{until}', first_failed_at = '{first}'")
    await desk.world.set_clock(desk.opens(DAY))
    await desk.run("order_sync")
    assert await desk.order("status, retry_until, first_failed_at") == ("failed", until, first)


async def test_what_the_entry_was_decided_at_stays_with_the_position(desk: Desk) -> None:
    await desk.sent()
    await desk.world.change("UPDATE orders SET metadata = '{\"rsi\": 27.5}'")
    await desk.world.set_clock(desk.opens(DAY))
    await desk.run("order_sync")
    columns = "entry_rsi, initial_entry_price, last_reentry_price, reentry_count"
    assert await desk.world.row(f"SELECT {columns} FROM positions") == (27.5, 100, None, 0)


async def bought_again(desk: Desk, *, closed: bool = False) -> int:
    """Let a re-entry for NEXT's open be filled, into a position that may have closed before. Returns its order's id."""
    await desk.held()
    await desk.world.set_clock(desk.closes(DAY, 35))
    (position,) = await desk.world.row("SELECT id FROM positions")
    id_ = await desk.planned(
        entry_type="reentry", position_id=position, session_day=NEXT, leg="reentry-0-20", tag="MORE", intent_key="more"
    )
    await desk.world.change(
        "INSERT INTO reentries (user_id, account_id, position_id, order_id, symbol, cycle, level, rsi, day) "
        f"SELECT user_id, account_id, position_id, id, symbol, 0, 20, 18, '{NEXT}' FROM orders WHERE id = {id_}"
    )
    await desk.run("submit", f"{id_}:1")
    if closed:
        await desk.world.change(f"UPDATE positions SET quantity = 0, closed_at = '{desk.closes(DAY)}'")
    await desk.world.set_clock(desk.opens(NEXT))
    await desk.run("order_sync")
    return id_


async def test_a_reentry_adds_to_its_position_and_fills_its_rung(desk: Desk) -> None:
    id_ = await bought_again(desk)
    columns = "quantity, avg_price, initial_entry_price, last_reentry_price, reentry_count"
    assert await desk.world.row(f"SELECT {columns} FROM positions") == (20, 106, 100, 112, 1)
    rung = await desk.world.row("SELECT order_id, quantity, price, filled_at FROM reentries")
    assert rung == (id_, 10, 112, desk.opens(NEXT))


async def test_a_late_reentry_opens_a_new_position_loudly_and_never_the_old_one(desk: Desk) -> None:
    id_ = await bought_again(desk, closed=True)
    positions = await desk.world.rows("SELECT quantity, reentry_count, closed_at IS NULL FROM positions ORDER BY id")
    assert positions == [(0, 0, False), (10, 0, True)]
    told = await desk.world.rows("SELECT level, dedupe_key FROM notifications WHERE event = 'system_warning'")
    assert told == [("warning", f"order:{id_}:reopened")]


async def test_a_reentry_at_the_broker_is_called_back_when_its_position_closes(desk: Desk) -> None:
    await desk.held()
    await desk.world.set_clock(desk.closes(DAY, 35))
    (position,) = await desk.world.row("SELECT id FROM positions")
    id_ = await desk.planned(
        entry_type="reentry", position_id=position, session_day=NEXT, leg="reentry-0-20", tag="MORE", intent_key="more"
    )
    await desk.run("submit", f"{id_}:1")
    await desk.run("order_sync")
    assert await desk.world.row(f"SELECT change FROM orders WHERE id = {id_}") == (None,)
    await desk.world.change("UPDATE positions SET quantity = 0, closed_at = now()")
    await desk.run("order_sync")
    await desk.run("submit", f"{id_}:2")
    await desk.run("order_sync")
    assert await desk.world.row(f"SELECT status, attempt FROM orders WHERE id = {id_}") == ("cancelled", 2)


async def test_a_sale_leaves_its_profit_in_percent_and_its_order_with_the_position(desk: Desk) -> None:
    await desk.held()
    await desk.world.set_clock(desk.opens(NEXT))
    id_ = await desk.offered("118.00")
    await desk.world.change(f"UPDATE orders SET metadata = '{{\"rsi\": 51.5}}' WHERE id = {id_}")
    await desk.run("submit", f"{id_}:1")
    await desk.world.set_clock(desk.closes(NEXT, -5))
    await desk.run("order_sync")
    columns = "sell_order_id, exit_rsi, realized_pnl_pct, realized_pnl"
    sold_by, rsi, percent, profit = await desk.world.row(f"SELECT {columns} FROM positions")
    assert (sold_by, rsi) == (id_, 51.5)
    assert percent == pytest.approx(float(str(profit)) / 10)  # of 1000 rupees


async def test_every_live_order_knows_when_it_was_last_looked_for(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.closes(EVE, 40))
    await desk.run("order_sync")
    assert await desk.order("last_status_check") == (desk.closes(EVE, 40),)


async def test_a_user_hears_of_each_fill_once(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.opens(DAY))
    await desk.run("order_sync")
    await desk.run("order_sync")
    told = await desk.world.rows("SELECT event, title FROM notifications WHERE event <> 'order_placed'")
    assert told == [("order_executed", "AAA: buy executed")]


async def test_what_a_sync_tells_is_undone_with_it(desk: Desk) -> None:
    await desk.sent()
    await desk.world.set_clock(desk.opens(DAY))
    execution = await desk.world.running("order_sync", desk.who)
    await desk.world.fence_off(execution)
    with pytest.raises(Fenced):
        await desk.run_as(execution)
    assert await desk.world.rows("SELECT 1 FROM notifications WHERE event = 'order_executed'") == []
