"""Rows of a broker's book, told in any order and any number of times, end in the same order."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.base import BookFill, BookOrder
from db.orders import OrderRepository, OrderRow
from trading.orders import OrderState
from trading.values import Side, Symbol
from worker.steps.told import take_told

QUANTITY = 10
NOW = datetime(2024, 3, 5, 5, tzinfo=UTC)
S = OrderState


def placed() -> OrderRow:
    """Return an order that its broker has accepted, never stored."""
    return OrderRow(
        id=1,
        user_id=1,
        account_id=1,
        symbol="AAA",
        side="buy",
        order_type="limit",
        price=Decimal(110),
        quantity=QUANTITY,
        filled_quantity=0,
        status="acked",
        reserved=Decimal(1100),
        session_day=date(2024, 3, 5),
    )


def row(state: OrderState, filled: int, limit: Decimal | None = Decimal(110)) -> BookOrder:
    word = {S.PARTIAL: "open", S.FILLED: "complete"}.get(state, state.value)
    fills = [
        BookFill(f"F{number}", 1, Decimal(100 + number), NOW + timedelta(minutes=number)) for number in range(filled)
    ]
    reason = "the broker's reason" if state in {S.CANCELLED, S.REJECTED, S.EXPIRED} else None
    return BookOrder("P1", "TAG", Symbol("AAA"), Side.BUY, QUANTITY, filled, limit, word, state, reason, fills)


def after(rows: list[BookOrder]) -> dict[str, object]:
    """Return the order's columns once the rows were booked, one after the other."""
    order = placed()
    orders = OrderRepository(AsyncSession(), 1, 1)
    for told in rows:
        assert told.state is not None
        take_told(orders, order, told, told.state, NOW)
    return {column.key: getattr(order, column.key) for column in inspect(OrderRow).column_attrs}


@st.composite
def lives(draw: st.DrawFn) -> list[BookOrder]:
    """Draw what a broker tells of one order as time goes by: parked, open, filled in parts, perhaps an end."""
    fills = sorted(draw(st.sets(st.integers(1, QUANTITY - 1), max_size=4)))
    rows = [row(S.PARKED, 0), row(S.OPEN, 0), *(row(S.OPEN, filled) for filled in fills)]
    filled = fills[-1] if fills else 0
    end = draw(st.sampled_from([None, S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED]))
    if end is S.FILLED:
        rows.append(row(S.FILLED, QUANTITY, draw(st.sampled_from([Decimal(110), None]))))
    elif end is not None:
        rows.append(row(end, filled))
    return rows


@given(lives(), st.data())
def test_rows_in_any_order_and_number_end_in_the_same_order(life: list[BookOrder], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(life), max_size=6))
    shuffled = data.draw(st.permutations([*life, *again]))
    assert after(shuffled) == after(life)


@pytest.mark.parametrize("older", [row(S.PARKED, 0), row(S.OPEN, 0), row(S.OPEN, 4)])
def test_a_filled_order_keeps_its_shares_and_its_word(older: BookOrder) -> None:
    order = after([row(S.FILLED, QUANTITY), older])
    assert (order["status"], order["filled_quantity"], order["broker_word"]) == ("filled", QUANTITY, "complete")


def test_a_late_fill_of_a_cancelled_order_is_counted_and_it_stays_cancelled() -> None:
    order = after([row(S.CANCELLED, 3), row(S.CANCELLED, 5)])
    assert (order["status"], order["filled_quantity"], order["broker_word"]) == ("cancelled", 5, "cancelled")
    assert order["reserved"] == 0
