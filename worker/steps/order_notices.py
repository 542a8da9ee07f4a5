"""What users are told of their orders, in words. Exits are placed anew each session: only their ends are news."""

from collections.abc import Sequence

from db.notifications import Notice
from db.orders import OrderRow
from trading.orders import OrderState
from trading.values import Side

# event, level and what happened, by the state an order has come to.
_NEWS: dict[OrderState, tuple[str, str, str]] = {
    OrderState.ACKED: ("order_placed", "info", "placed"),
    OrderState.FILLED: ("order_executed", "info", "executed"),
    OrderState.REJECTED: ("order_rejected", "warning", "rejected"),
    OrderState.DENIED: ("order_rejected", "warning", "not sent"),
    OrderState.FAILED: ("retry_queue_added", "warning", "not placed for want of money"),
    OrderState.CANCELLED: ("order_cancelled", "info", "cancelled"),
}


def told_of_answer(order: OrderRow) -> Sequence[Notice]:
    """Return what a broker's answer to a placement is worth telling."""
    if order.side == Side.SELL and order.status == OrderState.ACKED:
        return ()
    return told_of(order)


def told_of(order: OrderRow) -> Sequence[Notice]:
    """Return what an order's present state is worth telling; a state is told once."""
    state = OrderState(order.status)
    if state is OrderState.PARTIAL:
        return [_notice(order, "partial_fill", "info", f"{order.filled_quantity} filled", str(order.filled_quantity))]
    if state not in _NEWS:
        return ()
    event, level, happened = _NEWS[state]
    return [_notice(order, event, level, happened, "")]


def reopened(order: OrderRow) -> Notice:
    """Return the warning that a re-entry was filled after its position had closed."""
    message = f"{_what(order)} was filled after its position had closed; a new position holds the shares"
    key = f"order:{order.id}:reopened"
    return Notice(order.user_id, "system_warning", "warning", f"{order.symbol}: a new position", message, key)


def _notice(order: OrderRow, event: str, level: str, happened: str, detail: str) -> Notice:
    reason = f": {order.reason}" if order.reason and order.status != OrderState.FILLED else ""
    key = f"order:{order.id}:{order.status}" + (f":{detail}" if detail else "")
    message = f"{_what(order)} is {happened}{reason}"
    return Notice(order.user_id, event, level, f"{order.symbol}: {order.side} {happened}", message, key)


def _what(order: OrderRow) -> str:
    price = order.avg_price or order.price
    at = "at market" if price is None else f"at {price.normalize():f}"
    return f"Order {order.id}, {order.side} {order.quantity} {order.symbol} {at} for {order.session_day},"
