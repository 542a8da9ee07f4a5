"""What paper trading bought and sold, as rows: an order with its fills, and a position's orders together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from db.import_rows import NewFill, NewOrder, NewPosition, Rows, key_of
from ops.importers import fields as f
from ops.importers.entry import Entry, Sums, sums_of
from ops.importers.fields import Record, RefusedRecordError
from ops.importers.trades_file import content_of
from ops.importers.words import Told
from trading.calendar import exchange_day
from trading.orders import OrderState, is_live
from trading.portfolio import Fill, Position
from trading.risk import ENTRY_LEG
from trading.values import Money, Price, Quantity, Side, Symbol

EXIT_LEG = "exit"
_EXACT = Decimal("0.0001")


@dataclass(slots=True)
class Deal:
    """An order that was filled, or a trade that no order tells of."""

    entry: Entry
    order: NewOrder
    fills: list[Fill]
    exit_reason: str | None = None


@dataclass(slots=True)
class Traded:
    """One line of `transactions.json`. used: it is part of an order."""

    place: str
    line: int
    fill: Fill
    order_id: str | None
    exit_reason: str | None
    used: bool = False

    @property
    def told(self) -> tuple[str | None, Symbol, Side, Quantity, Price, datetime]:
        """What two lines that tell of the same have in common."""
        fill = self.fill
        return self.order_id, fill.symbol, fill.side, fill.quantity, fill.price, fill.at

    def is_of(self, order: NewOrder) -> bool:
        """Tell whether it may be an order's."""
        return not self.used and self.fill.symbol == order.symbol and self.fill.side is order.side


def alone(entry: Entry, order: NewOrder, told: Told) -> Entry:
    """Return the entry of an order that bought or sold nothing."""
    content = content_of(told.value, order.quantity)
    entry.content = content
    entry.rows = Rows(orders=[replace(order, facts={**order.facts, "content": content})])
    entry.sums = sums_of(entry.rows)
    entry.live = (order.symbol, order.side.value) if is_live(order.status) else None
    return entry


def settled(cycle: Sequence[Deal], position: Position) -> Iterator[Entry]:
    """Yield the entry of one position's orders: the first has all their rows, and the others fall with it."""
    first, *others = cycle
    key = f"{first.order.key}:position"
    closed = position.closed_at is not None
    content = content_of([(deal.order.key, deal.order.filled_quantity) for deal in cycle], position.quantity)
    orders = [replace(deal.order, position=key, at_venue=not closed) for deal in cycle]
    orders[0] = replace(orders[0], facts={**orders[0].facts, "content": content})
    for number, order in enumerate(orders[1:], start=1):
        if order.side is Side.BUY:
            orders[number] = replace(order, entry_type="reentry", leg="reentry")
    again = [one for one in orders if one.entry_type == "reentry"]
    last = cycle[-1]
    new = NewPosition(
        key=key,
        position=position,
        initial_price=first.order.avg_price or Decimal(0),
        exit_order=last.order.key if closed else None,
        exit_price=last.fills[-1].price if closed else None,
        exit_reason=last.exit_reason if closed else None,
        last_reentry_price=again[-1].avg_price if again else None,
        reentry_count=len(again),
    )
    fills = [NewFill(deal.order.key, at, fill) for deal in cycle for at, fill in enumerate(deal.fills, start=1)]
    entry = first.entry
    entry.content = content
    entry.rows = Rows(orders=orders, fills=fills, positions=[new])
    entry.sums = sums_of(entry.rows)
    _count(entry.sums, position)
    entry.opens = None if closed else position.symbol
    entry.others = [deal.entry for deal in others]
    yield entry


def filled(order: NewOrder, fills: Sequence[Fill]) -> NewOrder:
    """Return an order as its fills left it. Raises RefusedRecordError when they are more than the order."""
    quantity = sum(one.quantity for one in fills)
    if quantity > order.quantity:
        raise RefusedRecordError("overfilled", f"{quantity} shares were traded of an order of {order.quantity}")
    value = sum((one.quantity * one.price for one in fills), Decimal(0))
    last = max(one.at for one in fills)
    return replace(
        order,
        status=OrderState.FILLED if quantity == order.quantity else OrderState.EXPIRED,
        filled_quantity=quantity,
        avg_price=(value / quantity).quantize(_EXACT),
        reference_price=fills[0].price,
        filled_at=last,
        closed_at=last,
    )


def told_fill(record: Record, order: NewOrder, told: Told) -> Fill:
    """Return what an order says of its own execution, where no trade tells of it. Raises RefusedRecordError."""
    quantity = executed(record)
    if quantity is None:
        if told is not Told.FILLED:
            raise RefusedRecordError("missing", "executed_quantity is missing: it was filled in part, by how much?")
        quantity = order.quantity
    price = f.price(record, "executed_price", "average_price", "avg_price")
    at = f.moment(record, "executed_at", "filled_at", "last_updated", "placed_at")
    return Fill(order.symbol, order.side, quantity, price, Decimal(0), at)


def executed(record: Record) -> Quantity | None:
    """Return the shares that an order says it got, None when it does not say. Raises RefusedRecordError."""
    found = f.first(record, "executed_quantity", "filled_quantity")
    return None if found is None else f.whole(found, "executed_quantity", least=1)


def order_of(trade: Traded) -> NewOrder:
    """Return the order that a trade must have had. Parts of one order at one moment are told apart by their size."""
    fill = trade.fill
    buy = fill.side is Side.BUY
    told = (trade.order_id, fill.symbol, fill.side.value, fill.at.isoformat(), fill.quantity, fill.price.normalize())
    order = NewOrder(
        key=key_of("paper", *told),
        symbol=fill.symbol,
        side=fill.side,
        leg=ENTRY_LEG if buy else EXIT_LEG,
        entry_type="initial" if buy else None,
        source="paper_trading",
        order_type="market",
        variety="regular",
        quantity=fill.quantity,
        price=None,
        reference_price=fill.price,
        status=OrderState.FILLED,
        placed_at=fill.at,
        session_day=exchange_day(fill.at),
        legacy_id=trade.order_id,
    )
    return filled(order, [fill])


def charges(record: Record) -> Money:
    """Return what a trade cost beside its price. Raises RefusedRecordError."""
    found = f.amount(f.first(record, "charges", "fees") or 0, "charges").quantize(Decimal("0.01"))
    if found < 0:
        raise RefusedRecordError("bad_number", f"charges are {found}: not below 0")
    return found


def _count(sums: Sums, position: Position) -> None:
    if position.closed_at is None:
        sums.open_positions, sums.open_shares = 1, position.quantity
    else:
        sums.realized = sums.sold_value - sums.bought_value
