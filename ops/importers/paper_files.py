"""The files of paper trading, told together: orders, what was traded, what is held, and the money."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from db.import_rows import NewOrder, key_of
from ops.importers import fields as f
from ops.importers import words
from ops.importers.entry import Entry, Outcome, refused
from ops.importers.errors import BrokenFileError
from ops.importers.fields import Record, RefusedRecordError
from ops.importers.orders import Ground, judged, told_key
from ops.importers.paper_deals import (
    EXIT_LEG,
    Deal,
    Traded,
    alone,
    charges,
    executed,
    filled,
    order_of,
    settled,
    told_fill,
)
from ops.importers.stream import Item
from ops.importers.words import Told
from trading.calendar import exchange_day
from trading.errors import Oversold
from trading.orders import OrderState
from trading.portfolio import Fill, Position, apply_fill
from trading.risk import ENTRY_LEG
from trading.values import Quantity, Side, Symbol

KIND = "paper-trading"
ORDERS, TRADES, HOLDINGS, ACCOUNT, SELLS, CONFIG = FILES = (
    "orders.json", "transactions.json", "holdings.json", "account.json", "active_sell_orders.json", "config.json",
)  # fmt: skip
# The averages in the files were rounded to paise.
_AVERAGE_OFF = Decimal("0.02")
_FILLED = (Told.FILLED, Told.PARTIAL)


class PaperFiles:
    """One reading of the files. read: the records of a file by its name.

    tells_holdings: whether there is a file of holdings, so that a share that is not in it is not held.
    """

    def __init__(self, read: Callable[[str], Iterator[Item]], ground: Ground, *, tells_holdings: bool = True) -> None:
        self._read, self._ground, self._tells_holdings = read, ground, tells_holdings
        self._deals: dict[Symbol, list[Deal]] = defaultdict(list)
        self._trades: dict[str, list[Traded]] = defaultdict(list)
        self._seen: dict[str, str] = {}
        self._unfilled: list[tuple[Entry, NewOrder, Told]] = []
        self._holdings: dict[Symbol, tuple[Item, Quantity, Decimal]] = {}
        self._cut: set[str] = set()
        self._broken: BrokenFileError | None = None

    def entries(self) -> Iterator[Entry]:
        """Yield the entry of every record, position by position. Raises BrokenFileError after the last."""
        yield from self._each(TRADES, self._trade)
        yield from self._each(ORDERS, self._order)
        yield from self._without_fills()
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
            self._cut.add(name)
            self._broken = self._broken or error

    def _trade(self, item: Item) -> Iterator[Entry]:
        """Keep what was traded, by its order's id; a trade is part of its order's entry."""
        record = f.record_of(item.value)
        fill = Fill(
            f.symbol(record, "symbol"),
            words.side(f.needed(record, "transaction_type", "side")),
            f.quantity(record, "quantity", "qty"),
            f.price(record, "price", "avg_price", "average_price"),
            charges(record),
            f.moment(record, "timestamp", "executed_at"),
        )
        order_id = f.text_or_none(record, "order_id")
        reason = f.cut_text(record, "exit_reason")
        self._trades[order_id or f"{fill.symbol}|{fill.side.value}"].append(
            Traded(f"{TRADES}:{item.where}", item.line, fill, order_id, reason)
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
        elif told not in _FILLED:
            # Of two orders of one id the trades are the filled one's.
            self._unfilled.append((entry, order, told))
        else:
            said = executed(record)
            most = min(said or order.quantity, order.quantity)
            trades = self._of_order(order, most) or self._without_id(order, most)
            fills = [one.fill for one in trades] or [told_fill(record, order, told)]
            found = sum(one.quantity for one in fills)
            if said is not None and said != found:
                raise RefusedRecordError("contradiction", f"it got {said} shares, {TRADES} tells of {found}")
            self._take(entry, order, fills, trades)

    def _take(self, entry: Entry, order: NewOrder, fills: list[Fill], trades: list[Traded]) -> None:
        reason = next((one.exit_reason for one in trades if one.exit_reason), None)
        self._deals[order.symbol].append(Deal(entry, filled(order, fills), fills, reason))

    def _without_fills(self) -> Iterator[Entry]:
        """Yield the orders that bought or sold nothing; one that ended with some shares is among the deals."""
        for entry, order, told in self._unfilled:
            if trades := self._of_order(order, order.quantity):
                self._take(entry, order, [one.fill for one in trades], trades)
                continue
            try:
                session = self._ground.session_for(order.placed_at, order.variety)
                yield alone(entry, judged(replace(order, session_day=session.day), told, session, self._ground), told)
            except RefusedRecordError as error:
                entry.refuse(error.kind, error.reason)
                yield entry

    def _read_order(self, record: Record, item: Item) -> NewOrder:
        side = words.side(f.needed(record, "transaction_type", "side"))
        placed_at = f.moment(record, "placed_at", "created_at", "timestamp")
        legacy_id = f.text_or_none(record, "order_id")
        symbol = f.symbol(record, "symbol")
        return NewOrder(
            # Ids began anew with each start of the old system, so that an id alone names no order.
            key=told_key(record) or key_of("paper", legacy_id, symbol, side.value, placed_at.isoformat()),
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
            closed_at=f.moment_or_none(record, "cancelled_at", "closed_at"),
            reason=f.cut_text(record, "remarks", longest=512),
            record=f.kept(item.value, item.text),
        )

    def _of_order(self, order: NewOrder, most: Quantity) -> list[Traded]:
        """Return the trades of an order's id, and use them up. most: shares; what is beyond is another order's.

        Ids began anew with each start of the old system: the first trades after an order was placed are its own.
        """
        by_id = [one for one in self._trades.get(order.legacy_id or "", ()) if one.is_of(order)]
        return _used(sorted(by_id, key=lambda one: (one.fill.at < order.placed_at, one.fill.at)), most)

    def _without_id(self, order: NewOrder, most: Quantity) -> list[Traded]:
        """Return trades without an id that an order of their share and side has by its time, and use them up."""
        loose = self._trades.get(f"{order.symbol}|{order.side.value}", ())
        later = [one for one in loose if one.is_of(order) and one.fill.at >= order.placed_at]
        return _used(sorted(later, key=lambda one: one.fill.at), most)

    def _without_orders(self) -> Iterator[Entry]:
        """Make an order of each trade that none tells of; a line that stands twice is one."""
        for trades in self._trades.values():
            used = {one.told: one.place for one in trades if one.used}
            for one in trades:
                if one.used:
                    continue
                entry = Entry(one.place, one.line, one.fill.symbol, notes=("no order tells of it",))
                order = order_of(one)
                entry.key = order.key
                place = used.get(one.told) or self._seen.setdefault(order.key, one.place)
                if place != one.place:
                    entry.refuse("twice", f"the same trade stands at {place}", Outcome.MERGED)
                    yield entry
                    continue
                self._deals[order.symbol].append(Deal(entry, order, [one.fill], one.exit_reason))

    def _holding(self, item: Item) -> Iterator[Entry]:
        record = f.record_of(item.value)
        symbol = f.as_symbol(f.first(record, "symbol") or item.section, "symbol")
        quantity = f.whole(f.needed(record, "quantity", "qty"), "quantity")
        if symbol in self._holdings:
            raise RefusedRecordError("twice", f"{symbol} stands there already, at {self._holdings[symbol][0].where}")
        if quantity:
            average = f.price(record, "average_price", "avg_price")
            self._holdings[symbol] = (item, quantity, average)
        yield from ()

    def _positions(self, symbol: Symbol, deals: list[Deal]) -> Iterator[Entry]:
        """Yield the orders of a share, with the positions that their fills make one after the other."""
        deals.sort(key=lambda one: (one.fills[0].at, one.order.side.value, one.order.key))
        cycle: list[Deal] = []
        position: Position | None = None
        for deal in deals:
            after = position
            try:
                for fill in sorted(deal.fills, key=lambda one: one.at):
                    after = apply_fill(after, fill)
            except Oversold as error:
                deal.entry.refuse("oversold", f"{error}; the purchase is in none of the files")
                yield deal.entry
                continue
            position = after
            cycle.append(deal)
            if position is not None and position.closed_at is not None:
                yield from settled(cycle, position)
                cycle, position = [], None
        if position is None:
            return
        held = self._holdings.pop(symbol, None)
        wrong = self._disagreement(position, held)
        if wrong is not None:
            for deal in cycle:
                deal.entry.refuse("holdings_differ", wrong)
                yield deal.entry
            return
        if held is not None and abs(held[2] - position.average_price) > _AVERAGE_OFF:
            said = f"{HOLDINGS} says an average of {held[2]:.2f}; its trades give {position.average_price:.2f}"
            cycle[0].entry.notes = (*cycle[0].entry.notes, said)
        yield from settled(cycle, position)

    def _disagreement(self, position: Position, held: tuple[Item, Quantity, Decimal] | None) -> str | None:
        """Return how the file of holdings contradicts what the trades add up to."""
        quantity = held[1] if held else 0
        # What stood behind a break may have been any share.
        is_unknown = held is None and (HOLDINGS in self._cut or not self._tells_holdings)
        if quantity == position.quantity or is_unknown:
            return None
        return f"its trades leave {position.quantity} {position.symbol}, {HOLDINGS} says {quantity}"

    def _opening_balances(self) -> Iterator[Entry]:
        """Yield what is held though nothing tells when it was bought: as one purchase at its average."""
        for symbol, (item, quantity, average) in sorted(self._holdings.items()):
            record = f.record_of(item.value)
            at = f.moment_or_none(record, "last_updated", "created_at") or self._ground.now
            fill = Fill(symbol, Side.BUY, quantity, average, Decimal(0), at)
            trade = Traded(f"{HOLDINGS}:{f.as_text(item.where)}", item.line, fill, None, None)
            order = replace(order_of(trade), key=key_of("holding", symbol, quantity, average.normalize()))
            entry = Entry(trade.place, item.line, symbol, order.key, notes=("no file tells when it was bought",))
            yield from settled([Deal(entry, order, [fill])], apply_fill(None, fill))

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
        if not values and ACCOUNT not in self._cut:
            return
        entry = Entry(ACCOUNT, 1)
        try:
            if ACCOUNT in self._cut:
                raise RefusedRecordError("broken", "it breaks off, and what it says of the money may be incomplete")
            cash = f.amount(f.needed(values, "available_cash", "cash"), "available_cash")
            if cash < 0:
                raise RefusedRecordError("bad_number", f"available_cash is {cash}: money that is not there")
        except RefusedRecordError as error:
            entry.refuse(error.kind, error.reason)
        else:
            entry.cash = cash.quantize(Decimal("0.01"))
        yield entry


def _named(name: str, entry: Entry) -> Entry:
    entry.place = f"{name}:{entry.place}"
    return entry


def _used(trades: list[Traded], most: Quantity) -> list[Traded]:
    found = []
    for one in trades:
        if one.fill.quantity <= most:
            most -= one.fill.quantity
            one.used = True
            found.append(one)
    return found
