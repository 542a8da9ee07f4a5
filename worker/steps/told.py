"""Takes over what one row of a broker's book says of an order. Rows told again, or late, change nothing."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from adapters.brokers.base import BookFill, BookOrder
from db.orders import OrderRepository, OrderRow
from trading.orders import FailureKind, OrderState, is_final, is_live, reported
from trading.values import money
from worker.steps.order_life import refusal, settle

PRICE_STEP = Decimal("0.0001")


def take_told(
    orders: OrderRepository,
    order: OrderRow,
    told: BookOrder,
    word: OrderState,
    now: datetime,
    again_until: datetime | None = None,
) -> bool:
    """Take over what a row of the book says of an order. Returns whether that is news.

    word: the row's word in our terms. again_until: as Booking has it. Two looks may be booked in any order: what was
    seen of an older one is known by fewer shares filled, or by a state the order has left, and changes nothing. A final
    state keeps its word.
    """
    order.broker_order_id = order.broker_order_id or told.broker_order_id
    order.placed_at = order.placed_at or now
    _take_terms(order, told, word)
    before = OrderState(order.status)
    state = reported(before, word, told.filled, told.quantity)
    # What the row says by itself: where the order is ahead of it, its word is an older one.
    alone = reported(OrderState.PLANNED, word, told.filled, told.quantity)
    ahead = state is before and (alone is not before or not is_live(before))
    latest = order.broker_word if ahead else told.word
    grown = told.filled > order.filled_quantity
    if told.filled < order.filled_quantity or not (grown or state is not before or latest != order.broker_word):
        return False
    order.broker_word = latest
    if grown:
        _take_quantities(order, told, state)
    if state is not before:
        order.reason = told.reason or order.reason
        if state is OrderState.REJECTED:
            state = refusal(order, told.kind or FailureKind.RMS_REJECT, now, again_until)
        settle(orders, order, state, "reported", now, {"word": told.word, "filled": told.filled})
    return True


def _take_terms(order: OrderRow, told: BookOrder, word: OrderState) -> None:
    """Take over the price and size the broker shows, if they are those that were wished for, or the last ones."""
    if told.limit_price is None and order.order_type == "limit":
        order.order_type, order.price = "market", None
    wish, over = order.change or {}, is_final(word)
    if told.limit_price is not None and order.price != told.limit_price:
        wished = wish.get("limit_price")
        if over or (wished is not None and Decimal(str(wished)) == told.limit_price):
            order.price = told.limit_price
    if over or told.quantity == wish.get("quantity") or told.filled > order.quantity:
        order.quantity = told.quantity


def _take_quantities(order: OrderRow, told: BookOrder, state: OrderState) -> None:
    """Take over what is filled; what is not filled any more needs no money held back."""
    left = order.quantity - order.filled_quantity
    order.reserved = money(order.reserved * (order.quantity - told.filled) / left)
    order.filled_quantity = told.filled
    order.avg_price = average(told.fills) or order.avg_price
    last = max((fill.at for fill in told.fills), default=None)
    if state is OrderState.FILLED and last is not None:
        order.filled_at = last
        order.closed_at = order.closed_at or last


def average(fills: Iterable[BookFill]) -> Decimal | None:
    """Return what fills paid or got a share, None without any."""
    quantity = sum(fill.quantity for fill in fills)
    value = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
    return (value / quantity).quantize(PRICE_STEP) if quantity else None
