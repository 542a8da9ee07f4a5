"""What stands between the paper venue's rows and what every broker answers."""

from collections.abc import Iterable
from datetime import datetime

from adapters.brokers.base import BookFill, BookOrder, Complete, Placement
from adapters.brokers.paper_match import venue_turn
from adapters.brokers.refusals import refusal_kind
from db.paper import PaperOrderRow
from trading.orders import OrderState
from trading.values import Side, Symbol

_STATES = {
    "parked": OrderState.PARKED,
    "open": OrderState.OPEN,
    "complete": OrderState.FILLED,
    "cancelled": OrderState.CANCELLED,
    "rejected": OrderState.REJECTED,
    "expired": OrderState.EXPIRED,
}


def order_row(user_id: int, account_id: int, placement: Placement, at: datetime) -> PaperOrderRow:
    """Return a placement as a row of the book: parked for its session's open, or open at once."""
    return PaperOrderRow(
        account_id=account_id,
        user_id=user_id,
        tag=placement.tag,
        symbol=placement.symbol,
        side=placement.side.value,
        order_type="market" if placement.limit_price is None else "limit",
        limit_price=placement.limit_price,
        quantity=placement.quantity,
        word="parked" if placement.variety == "amo" else "open",
        session_day=placement.session_day,
        placed_at=at,
        filled_quantity=0,
    )


def complete_book(orders: Iterable[PaperOrderRow]) -> Complete:
    """Return rows as a broker's book, in the venue's order."""
    return Complete([_reported(order) for order in sorted(orders, key=venue_turn)])


def _reported(order: PaperOrderRow) -> BookOrder:
    fills: list[BookFill] = []
    if order.fill_price is not None and order.filled_at is not None:
        fills = [BookFill(f"{order.broker_order_id}-1", order.filled_quantity, order.fill_price, order.filled_at)]
    return BookOrder(
        broker_order_id=order.broker_order_id,
        tag=order.tag,
        symbol=Symbol(order.symbol),
        side=Side(order.side),
        quantity=order.quantity,
        filled=order.filled_quantity,
        limit_price=order.limit_price,
        word=order.word,
        state=_STATES.get(order.word),
        reason=order.reason,
        fills=fills,
        kind=refusal_kind(order.reason) if order.word == "rejected" and order.reason else None,
    )
