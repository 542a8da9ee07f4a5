"""Books what a broker's order book tells: states, fills, positions and cash, each once however often it is told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.base import BookFill, BookOrder
from db.accounts import AccountRepository, CashMovement
from db.notifications import Notice
from db.orders import OrderRepository, OrderRow
from db.positions import FillRepository, PositionRepository, PositionRow
from db.reentries import FilledRung, ReentryRepository
from trading.calendar import exchange_day
from trading.charges import charges
from trading.exits import ExitReason
from trading.portfolio import Fill, apply_fill
from trading.values import Side, Symbol, money
from worker.outcome import Json
from worker.steps.order_life import REENTRY
from worker.steps.order_notices import reopened, told_of
from worker.steps.told import PRICE_STEP, average, take_told


@dataclass(slots=True)
class Booked:
    """What one look at the book changed. strangers: tags in it that no order of the account carries.

    notices: what of it the user is told. told: a line for the log of each new fill, for after the commit.
    """

    orders: int = 0
    fills: int = 0
    positions_opened: int = 0
    positions_closed: int = 0
    unknown_words: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    told: list[Mapping[str, Json]] = field(default_factory=list)

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
    """One look at the book of one account, booked inside the caller's transaction under the account's lock.

    again_until: until when a purchase that fails now may be tried again; None: not at all.
    """

    def __init__(
        self, session: AsyncSession, user_id: int, account_id: int, now: datetime, again_until: datetime | None
    ) -> None:
        self._user_id, self._account_id, self._now = user_id, account_id, now
        self._again_until = again_until
        self._orders = OrderRepository(session, user_id, account_id)
        self._fills = FillRepository(session, user_id, account_id)
        self._positions = PositionRepository(session, user_id, account_id)
        self._accounts = AccountRepository(session)
        self._reentries = ReentryRepository(session, user_id, account_id)
        self._begun: set[int] = set()
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
            elif take_told(self._orders, order, told, told.state, self._now, self._again_until):
                self.booked.orders += 1
                self.booked.notices += told_of(order)
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
        # Oldest first, purchases before sales: a position is never sold before it was bought.
        fresh.sort(key=lambda item: (item[2].at, item[0].side, item[0].tag))
        trades = [(order, one, fill, _trade(order, fill)) for order, one, fill in fresh]
        booked = await self._fills.book([(order.id, fill.broker_fill_id, trade) for order, _, fill, trade in trades])
        movements: dict[datetime, list[CashMovement]] = {}
        for order, one, fill, trade in trades:
            if fill.broker_fill_id in booked:
                self._take_position(open_positions, order, trade, one)
                movements.setdefault(fill.at, []).extend(_movements(fill.broker_fill_id, trade))
                self.booked.fills += 1
                self.booked.told.append(_line(order, fill))
        for at, moved in movements.items():
            await self._accounts.book(self._user_id, self._account_id, at, moved)
        await self._take_rungs({order.id: (order, one) for order, one, _ in fresh if order.entry_type == REENTRY})

    def _take_position(self, positions: dict[str, PositionRow], order: OrderRow, trade: Fill, told: BookOrder) -> None:
        row = positions.get(trade.symbol)
        position = apply_fill(row.value() if row is not None else None, trade)
        if order.entry_type == REENTRY and (row is None or row.id != order.position_id):
            self.booked.notices.append(reopened(order))
        if row is None:
            positions[trade.symbol] = row = self._positions.add(position)
            row.entry_rsi = _rsi(order)
            self.booked.positions_opened += 1
        else:
            row.take(position)
        if trade.side is Side.BUY:
            # Until the book's row is taken over, an order shows what was filled before this look.
            first = order.filled_quantity == 0 and order.id not in self._begun
            self._begun.add(order.id)
            _bought(row, order, trade, first)
        elif position.closed_at is not None:
            _closed(row, order, trade, told)
            del positions[trade.symbol]
            self.booked.positions_closed += 1

    async def _take_rungs(self, filled: Mapping[int, tuple[OrderRow, BookOrder]]) -> None:
        """Store at what price and when the rungs of the re-entry ladder were bought."""
        rungs = [
            FilledRung(order.id, told.filled, paid, max(fill.at for fill in told.fills))
            for order, told in filled.values()
            if (paid := average(told.fills)) is not None
        ]
        await self._reentries.fill(rungs)


def _bought(row: PositionRow, order: OrderRow, trade: Fill, first: bool) -> None:
    """Keep what the first purchase paid, and how often and at what price was bought again. first: fill of its order."""
    if order.entry_type == REENTRY and row.id == order.position_id:
        row.last_reentry_price = trade.price
        row.reentry_count += first
    elif not row.reentry_count:
        row.initial_entry_price = row.avg_price.quantize(PRICE_STEP)


def _closed(row: PositionRow, order: OrderRow, trade: Fill, told: BookOrder) -> None:
    row.exit_price, row.exit_rsi, row.sell_order_id = trade.price, _rsi(order), order.id
    row.realized_pnl_pct = float(100 * row.realized_pnl / (row.entry_quantity * row.avg_price))
    wished = (order.order_metadata or {}).get("exit_reason", ExitReason.RSI_EXIT)
    row.exit_reason = str(wished if told.limit_price is None else ExitReason.EMA9_TARGET)


def _rsi(order: OrderRow) -> float | None:
    """Return the RSI an order was decided at."""
    value: float | None = (order.order_metadata or {}).get("rsi")
    return value


def _trade(order: OrderRow, fill: BookFill) -> Fill:
    side = Side(order.side)
    cost = charges(side, fill.quantity, fill.price, exchange_day(fill.at)).total
    return Fill(Symbol(order.symbol), side, fill.quantity, fill.price, cost, fill.at)


def _line(order: OrderRow, fill: BookFill) -> Mapping[str, Json]:
    """Return the facts by which a fill is followed back to its slot. decided_by: the execution that made the order."""
    return {
        "order_id": order.id,
        "symbol": order.symbol,
        "side": order.side,
        "quantity": fill.quantity,
        "broker_fill_id": fill.broker_fill_id,
        "decided_by": order.execution_id,
    }


def _movements(reference: str, trade: Fill) -> list[CashMovement]:
    value = money(trade.quantity * trade.price)
    amount = value if trade.side is Side.SELL else -value
    return [
        CashMovement(trade.side.value, amount, reference),
        CashMovement("charges", -trade.charges, reference),
    ]
