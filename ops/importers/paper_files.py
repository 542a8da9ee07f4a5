"""The files of paper trading, told together: orders, what was traded, what is held, and the money."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from db.import_rows import NewFill, NewOrder, NewPosition, Rows, key_of
from ops.importers import fields as f
from ops.importers import words
from ops.importers.entry import Entry, Outcome, Sums, refused, sums_of
from ops.importers.errors import BrokenFileError
from ops.importers.fields import Record, RefusedRecordError
from ops.importers.orders import Ground, judged
from ops.importers.stream import Item
from ops.importers.trades_file import content_of
from ops.importers.words import Told
from trading.calendar import exchange_day
from trading.errors import Oversold
from trading.orders import OrderState, is_live
from trading.portfolio import Fill, Position, apply_fill
from trading.risk import ENTRY_LEG
from trading.values import Money, Quantity, Side, Symbol

KIND = "paper-trading"
ORDERS, TRADES, HOLDINGS, ACCOUNT, SELLS, CONFIG = FILES = (
    "orders.json", "transactions.json", "holdings.json", "account.json", "active_sell_orders.json", "config.json",
)  # fmt: skip
EXIT_LEG = "exit"
# The averages in the files were rounded to paise.
_AVERAGE_OFF = Decimal("0.02")
_LINKED_SECONDS = 120


@dataclass(slots=True)
class _Deal:
    """An order that was filled, or a trade that no order tells of."""

    entry: Entry
    order: NewOrder
    fills: list[Fill]
    exit_reason: str | None = None


@dataclass(slots=True)
class _Trade:
    """One line of `transactions.json`."""

    place: str
    line: int
    fill: Fill
    order_id: str | None
    exit_reason: str | None
    used: bool = False
    entry: Entry | None = None


class PaperFiles:
    """One reading of the files. read: the records of a file by its name."""

    def __init__(self, read: Callable[[str], Iterator[Item]], ground: Ground) -> None:
        self._read, self._ground = read, ground
        self._deals: dict[Symbol, list[_Deal]] = defaultdict(list)
        self._trades: dict[str, list[_Trade]] = defaultdict(list)
        self._seen: dict[str, str] = {}
        self._holdings: dict[Symbol, tuple[Item, Quantity, Decimal]] = {}
        self._broken: BrokenFileError | None = None

    def entries(self) -> Iterator[Entry]:
        """Yield the entry of every record, position by position. Raises BrokenFileError after the last."""
        yield from self._each(TRADES, self._trade)
        yield from self._each(ORDERS, self._order)
        yield from self._without_orders()
        yield from self._each(HOLDINGS, self._holding)
        for symbol in sorted(self._deals):
            yield from self._positions(symbol, self._deals[symbol])
        yield from self._opening_balances()
        yield from self._each(SELLS, self._sell)
        yield from self._account()
        if self._broken is not None:
            raise self._broken

    def _each(self, name: str, take: Callable[[Item], Iterator[Entry]]) -> Iterator[Entry]:
        try:
            for item in self._read(name):
                try:
                    yield from take(item)
                except RefusedRecordError as error:
                    yield _named(name, refused(item, error))
        except BrokenFileError as error:
            self._broken = self._broken or error

    def _trade(self, item: Item) -> Iterator[Entry]:
        """Keep what was traded, by its order's id; a trade is part of its order's entry."""
        record = f.record_of(item.value)
        symbol = f.symbol(record, "symbol")
        fill = Fill(
            symbol,
            words.side(f.needed(record, "transaction_type", "side")),
            f.quantity(record, "quantity", "qty"),
            f.price(record, "price", "avg_price", "average_price"),
            _charges(record),
            f.moment(record, "timestamp", "executed_at"),
        )
        order_id = f.text_or_none(record, "order_id")
        reason = f.text_or_none(record, "exit_reason")
        self._trades[order_id or f"{symbol}|{fill.side.value}"].append(
            _Trade(f"{TRADES}:{item.where}", item.line, fill, order_id, reason)
        )
        yield from ()

    def _order(self, item: Item) -> Iterator[Entry]:
        entry = Entry(f"{ORDERS}:{item.where}", item.line)
        record = f.record_of(item.value)
        told = words.order_word(f.needed(record, "status"))
        order = self._read_order(record, item)
        entry.symbol, entry.key = order.symbol, order.key
        if (place := self._seen.setdefault(order.key, entry.place)) != entry.place:
            entry.refuse("twice", f"the same order stands at {place}", Outcome.MERGED)
            yield entry
            return
        trades = self._of_order(order)
        if told not in (Told.FILLED, Told.PARTIAL) and not trades:
            session = self._ground.session_for(order.placed_at, order.variety)
            order = judged(order, told, session, self._ground)
            yield _alone(entry, order)
            return
        fills = [one.fill for one in trades] or [_told_fill(record, order)]
        for one in trades:
            one.used = True
        reason = next((one.exit_reason for one in trades if one.exit_reason), None)
        self._deals[order.symbol].append(_Deal(entry, _filled(order, fills), fills, reason))

    def _read_order(self, record: Record, item: Item) -> NewOrder:
        side = words.side(f.needed(record, "transaction_type", "side"))
        placed_at = f.moment(record, "placed_at", "created_at", "timestamp")
        legacy_id = f.text_or_none(record, "order_id")
        symbol = f.symbol(record, "symbol")
        return NewOrder(
            # Ids began anew with each start of the old system, so that an id alone names no order.
            key=key_of("paper", legacy_id, symbol, side.value, placed_at.isoformat()),
            symbol=symbol,
            side=side,
            leg=ENTRY_LEG if side is Side.BUY else EXIT_LEG,
            entry_type="initial" if side is Side.BUY else None,
            source="paper_trading",
            order_type=words.order_type(f.first(record, "order_type") or "market"),
            variety=words.variety(f.first(record, "variety") or "regular"),
            quantity=f.quantity(record, "quantity", "qty"),
            price=f.price_or_none(record, "price"),
            reference_price=Decimal(0),
            status=OrderState.OPEN,
            placed_at=placed_at,
            session_day=exchange_day(placed_at),
            legacy_id=legacy_id,
            reason=f.text_or_none(record, "remarks", longest=512),
            record=f.kept(item.value, item.text),
        )

    def _of_order(self, order: NewOrder) -> list[_Trade]:
        """Return the trades of an order: by its id, or by share, side and time where a trade has none."""
        by_id = [one for one in self._trades.get(order.legacy_id or "", ()) if _fits(one, order)]
        if by_id:
            return by_id
        loose = self._trades.get(f"{order.symbol}|{order.side.value}", ())
        return [one for one in loose if _fits(one, order) and one.fill.at >= order.placed_at][:1]

    def _without_orders(self) -> Iterator[Entry]:
        """Make an order of each trade that none tells of."""
        for trades in self._trades.values():
            for one in trades:
                if one.used:
                    continue
                entry = Entry(one.place, one.line, one.fill.symbol, notes=("no order tells of it",))
                order = _order_of(one)
                entry.key = order.key
                if (place := self._seen.setdefault(order.key, one.place)) != one.place:
                    entry.refuse("twice", f"the same trade stands at {place}", Outcome.MERGED)
                    yield entry
                    continue
                self._deals[order.symbol].append(_Deal(entry, order, [one.fill], one.exit_reason))

    def _holding(self, item: Item) -> Iterator[Entry]:
        record = f.record_of(item.value)
        symbol = f.as_symbol(f.first(record, "symbol") or item.section, "symbol")
        quantity = f.whole(f.needed(record, "quantity", "qty"), "quantity")
        if quantity:
            average = f.price(record, "average_price", "avg_price")
            self._holdings[symbol] = (item, quantity, average)
        yield from ()

    def _positions(self, symbol: Symbol, deals: list[_Deal]) -> Iterator[Entry]:
        """Yield the orders of a share, with the positions that their fills make one after the other."""
        deals.sort(key=lambda one: (one.fills[0].at, one.order.side.value, one.order.key))
        cycle: list[_Deal] = []
        position: Position | None = None
        for deal in deals:
            try:
                for fill in sorted(deal.fills, key=lambda one: one.at):
                    position = apply_fill(position, fill)
            except Oversold as error:
                deal.entry.refuse("oversold", f"{error}; the purchase is in none of the files")
                yield deal.entry
                continue
            cycle.append(deal)
            if position is not None and position.closed_at is not None:
                yield from _settled(cycle, position)
                cycle, position = [], None
        if position is None:
            return
        held = self._holdings.pop(symbol, None)
        wrong = _disagreement(position, held)
        if wrong is None:
            yield from _settled(cycle, position)
            return
        for deal in cycle:
            deal.entry.refuse("holdings_differ", wrong)
            yield deal.entry

    def _opening_balances(self) -> Iterator[Entry]:
        """Yield what is held though nothing tells when it was bought: as one purchase at its average."""
        for symbol, (item, quantity, average) in sorted(self._holdings.items()):
            record = f.record_of(item.value)
            at = f.moment_or_none(record, "last_updated", "created_at") or self._ground.now
            fill = Fill(symbol, Side.BUY, quantity, average, Decimal(0), at)
            trade = _Trade(f"{HOLDINGS}:{item.section}", item.line, fill, None, None)
            order = replace(
                _order_of(trade), key=key_of("holding", symbol, quantity, average.normalize()), source="paper_trading"
            )
            entry = Entry(trade.place, item.line, symbol, order.key, notes=("no file tells when it was bought",))
            yield from _settled([_Deal(entry, order, [fill])], apply_fill(None, fill))

    def _sell(self, item: Item) -> Iterator[Entry]:
        """Yield what becomes of an offer to sell: it ended with its session, and the next one is made anew."""
        entry = Entry(f"{SELLS}:{item.where}", item.line, f.as_symbol(item.section, "symbol"))
        entry.refuse("placed_anew", "each session begins with an exit of its own", Outcome.SKIPPED)
        yield entry

    def _account(self) -> Iterator[Entry]:
        """Yield the entry of the account's money, once all of its file was read."""
        values: dict[str, Any] = {}

        def keep(item: Item) -> Iterator[Entry]:
            values[item.section] = item.value
            yield from ()

        yield from self._each(ACCOUNT, keep)
        if not values:
            return
        entry = Entry(ACCOUNT, 1)
        try:
            cash = f.amount(f.needed(values, "available_cash", "cash"), "available_cash")
        except RefusedRecordError as error:
            entry.refuse(error.kind, error.reason)
        else:
            entry.cash = cash.quantize(Decimal("0.01"))
        yield entry


def _alone(entry: Entry, order: NewOrder) -> Entry:
    """Return the entry of an order that bought or sold nothing."""
    content = content_of(order.status.value, order.quantity)
    entry.content = content
    entry.rows = Rows(orders=[replace(order, facts={**order.facts, "content": content})])
    entry.sums = sums_of(entry.rows)
    entry.live = (order.symbol, order.side.value) if is_live(order.status) else None
    return entry


def _settled(cycle: list[_Deal], position: Position) -> Iterator[Entry]:
    """Yield the entries of one position's orders: the first has all its rows, and the others fall with it."""
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


def _count(sums: Sums, position: Position) -> None:
    if position.closed_at is None:
        sums.open_positions, sums.open_shares = 1, position.quantity
    else:
        sums.realized = sums.sold_value - sums.bought_value


def _filled(order: NewOrder, fills: list[Fill]) -> NewOrder:
    filled = sum(one.quantity for one in fills)
    if filled > order.quantity:
        raise RefusedRecordError("overfilled", f"{filled} shares were traded of an order of {order.quantity}")
    value = sum((one.quantity * one.price for one in fills), Decimal(0))
    last = max(one.at for one in fills)
    return replace(
        order,
        status=OrderState.FILLED if filled == order.quantity else OrderState.EXPIRED,
        filled_quantity=filled,
        avg_price=(value / filled).quantize(Decimal("0.0001")),
        reference_price=fills[0].price,
        filled_at=last,
        closed_at=last,
    )


def _told_fill(record: Record, order: NewOrder) -> Fill:
    """Return what an order says of its own execution, where no trade tells of it."""
    executed = f.first(record, "executed_quantity", "filled_quantity")
    quantity = order.quantity if executed is None else f.whole(executed, "executed_quantity", least=1)
    price = f.price(record, "executed_price", "average_price", "avg_price")
    at = f.moment(record, "executed_at", "filled_at", "last_updated", "placed_at")
    return Fill(order.symbol, order.side, quantity, price, Decimal(0), at)


def _order_of(trade: _Trade) -> NewOrder:
    fill = trade.fill
    buy = fill.side is Side.BUY
    order = NewOrder(
        key=key_of("paper", trade.order_id, fill.symbol, fill.side.value, fill.at.isoformat()),
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
    return _filled(order, [fill])


def _fits(trade: _Trade, order: NewOrder) -> bool:
    return not trade.used and trade.fill.symbol == order.symbol and trade.fill.side is order.side


def _charges(record: Record) -> Money:
    found = f.amount(f.first(record, "charges", "fees") or 0, "charges").quantize(Decimal("0.01"))
    if found < 0:
        raise RefusedRecordError("bad_number", f"charges are {found}: not below 0")
    return found


def _disagreement(position: Position, held: tuple[Item, Quantity, Decimal] | None) -> str | None:
    """Return how the file of holdings contradicts what the trades add up to."""
    quantity = held[1] if held else 0
    if quantity != position.quantity:
        return f"its trades leave {position.quantity} {position.symbol}, {HOLDINGS} says {quantity}"
    return None


def _named(name: str, entry: Entry) -> Entry:
    entry.place = f"{name}:{entry.place}"
    return entry
