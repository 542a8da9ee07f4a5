"""Booking what the broker's book tells, each thing once."""

from decimal import Decimal

import pytest

from adapters.brokers.base import BookFill, BookOrder, Complete
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
