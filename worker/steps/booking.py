"""Books what a broker's order book tells: states, fills, positions and cash, each once however often it is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.base import BookFill, BookOrder
from db.accounts import AccountRepository, CashMovement
from db.orders import OrderRepository, OrderRow
from db.positions import FillRepository, PositionRepository, PositionRow
from trading.calendar import exchange_day
from trading.charges import charges
from trading.orders import OrderState, is_final, reported
from trading.portfolio import Fill, apply_fill
from trading.values import Side, Symbol, money
from worker.outcome import Json
from worker.steps.order_life import settle

EXIT_AT_LIMIT = "EMA9_TARGET"
EXIT_AT_MARKET = "RSI_EXIT"

_PRICE_STEP = Decimal("0.0001")


@dataclass(slots=True)
class Booked:
    """What one look at the book changed. strangers: tags in it that no order of the account carries."""

    orders: int = 0
    fills: int = 0
    positions_opened: int = 0
    positions_closed: int = 0
    unknown_words: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Json]:
        """Return the counts, and what needs a person's eye if there is any."""
        counts: dict[str, Json] = {
            "orders": self.orders,
            "fills": self.fills,
            "positions_opened": self.positions_opened,
            "positions_closed": self.positions_closed,
        }
        named: dict[str, Json] = {"unknown_words": self.unknown_words, "strangers": self.strangers}
        return counts | {name: value for name, value in named.items() if value}


class Booking:
    """One look at the book of one account, booked inside the caller's transaction under the account's lock."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int, now: datetime) -> None:
        self._user_id, self._account_id, self._now = user_id, account_id, now
        self._orders = OrderRepository(session, user_id, account_id)
        self._fills = FillRepository(session, user_id, account_id)
        self._positions = PositionRepository(session, user_id, account_id)
        self._accounts = AccountRepository(session)
        self.booked = Booked()

    async def take(self, book: Sequence[BookOrder]) -> Booked:
        """Book every order of ours in the book; the account's rows are read now, under its lock."""
        ours = {order.tag: order for order in await self._orders.by_tags([one.tag for one in book])}
        self.booked.strangers = sorted(one.tag for one in book if one.tag not in ours)
        pairs = [(ours[one.tag], one) for one in book if one.tag in ours]
        await self._take_fills(pairs)
        for order, told in pairs:
            if told.state is None:
                self.booked.unknown_words.append(f"{told.tag}: {told.word}")
            elif take_told(self._orders, order, told, told.state, self._now):
                self.booked.orders += 1
        return self.booked

    async def _take_fills(self, pairs: Sequence[tuple[OrderRow, BookOrder]]) -> None:
        told = [(order, one, fill) for order, one in pairs for fill in one.fills]
        if not told:
            return
        known = await self._fills.known([fill.broker_fill_id for _, _, fill in told])
        fresh = [item for item in told if item[2].broker_fill_id not in known]
        if not fresh:
            return
        open_positions = {row.symbol: row for row in await self._positions.open()}
        movements: dict[datetime, list[CashMovement]] = {}
        # Oldest first, purchases before sales: a position is never sold before it was bought.
        for order, one, fill in sorted(fresh, key=lambda item: (item[2].at, item[0].side, item[0].tag)):
            trade = _trade(order, fill)
            if await self._fills.book(order.id, fill.broker_fill_id, trade):
                self._take_position(open_positions, trade, one)
                movements.setdefault(fill.at, []).extend(_movements(fill.broker_fill_id, trade))
                self.booked.fills += 1
        for at, moved in movements.items():
            await self._accounts.book(self._user_id, self._account_id, at, moved)

    def _take_position(self, positions: dict[str, PositionRow], trade: Fill, told: BookOrder) -> None:
        row = positions.get(trade.symbol)
        position = apply_fill(row.value() if row is not None else None, trade)
        if row is None:
            positions[trade.symbol] = self._positions.add(position)
            self.booked.positions_opened += 1
            return
        row.take(position)
        if position.closed_at is not None:
            row.exit_price = trade.price
            row.exit_reason = EXIT_AT_MARKET if told.limit_price is None else EXIT_AT_LIMIT
            del positions[trade.symbol]
            self.booked.positions_closed += 1


def take_told(orders: OrderRepository, order: OrderRow, told: BookOrder, word: OrderState, now: datetime) -> bool:
    """Take over what a row of the book says of an order. Returns whether that is news.

    word: the row's word in our terms. Two looks may be booked in any order: what was seen of an older one is known
    by fewer shares filled, or by a state the order has left, and changes nothing. A final state keeps its word.
    """
    order.broker_order_id = order.broker_order_id or told.broker_order_id
    order.placed_at = order.placed_at or now
    if told.limit_price is None and order.order_type == "limit":
        order.order_type, order.price = "market", None
    before = OrderState(order.status)
    state = reported(before, word, told.filled, order.quantity)
    # What the row says by itself: where the order is ahead of it, its word is an older one.
    alone = reported(OrderState.PLANNED, word, told.filled, order.quantity)
    ahead = state is before and (alone is not before or is_final(before))
    latest = order.broker_word if ahead else told.word
    grown = told.filled > order.filled_quantity
    if told.filled < order.filled_quantity or not (grown or state is not before or latest != order.broker_word):
        return False
    order.broker_word = latest
    if grown:
        _take_quantities(order, told, state)
    if state is not before:
        order.reason = told.reason or order.reason
        settle(orders, order, state, "reported", now, {"word": told.word, "filled": told.filled})
    return True


def _take_quantities(order: OrderRow, told: BookOrder, state: OrderState) -> None:
    """Take over what is filled; what is not filled any more needs no money held back."""
    left = order.quantity - order.filled_quantity
    order.reserved = money(order.reserved * (order.quantity - told.filled) / left)
    order.filled_quantity = told.filled
    order.avg_price = _average(told.fills) or order.avg_price
    last = max((fill.at for fill in told.fills), default=None)
    if state is OrderState.FILLED and last is not None:
        order.filled_at = last
        order.closed_at = order.closed_at or last


def _average(fills: Iterable[BookFill]) -> Decimal | None:
    quantity = sum(fill.quantity for fill in fills)
    value = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
    return (value / quantity).quantize(_PRICE_STEP) if quantity else None


def _trade(order: OrderRow, fill: BookFill) -> Fill:
    side = Side(order.side)
    cost = charges(side, fill.quantity, fill.price, exchange_day(fill.at)).total
    return Fill(Symbol(order.symbol), side, fill.quantity, fill.price, cost, fill.at)


def _movements(reference: str, trade: Fill) -> list[CashMovement]:
    value = money(trade.quantity * trade.price)
    amount = value if trade.side is Side.SELL else -value
    return [
        CashMovement(trade.side.value, amount, reference),
        CashMovement("charges", -trade.charges, reference),
    ]
