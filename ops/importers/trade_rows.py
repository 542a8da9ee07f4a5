"""A trade as rows: an order and a fill for each purchase and for the sale, the position, the rungs of its ladder."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from db.import_rows import NewOrder, NewPosition, NewRung, Rows
from ops.importers.trade import Exit, Reentry, Trade, facts_of
from trading.calendar import exchange_day
from trading.orders import OrderState
from trading.portfolio import Position
from trading.reentry import LEVELS, REENTRY_LEG
from trading.risk import ENTRY_LEG
from trading.values import Price, Quantity, Side

EXIT_LEG = "exit"
# How the predecessor's trades came to be; every other word means its own strategy.
_MANUAL = frozenset({"manual", "manual_buy_of_bot_recommendation"})
_FREE = Decimal(0)


def trade_rows(trade: Trade, content: str) -> Rows:
    """Return the rows of a trade. content: a hash of its record, to tell later whether it is still the same.

    Its charges are not known: its profit is before charges, as the predecessor counted it. Every order tells its one
    fill itself.
    """
    position = f"{trade.key}:position"
    again = list(zip(_cycles(trade), trade.reentries, strict=True))
    orders = [_entry(trade, content, position)]
    orders += [_reentry(trade, number, one, position) for number, one in enumerate(trade.reentries, start=1)]
    rungs = list(_rungs(trade, again, orders, position)) if again else []
    if trade.exit is not None:
        orders.append(_exit(trade, trade.exit, position))
    deepest = max([trade.cycle or 0, *(cycle for cycle, _ in again)])
    return Rows(orders=orders, positions=[_position(trade, position, orders[-1].key, deepest)], rungs=rungs)


def _entry(trade: Trade, content: str, position: str) -> NewOrder:
    manual = trade.entry_type in _MANUAL
    facts = facts_of(trade)
    facts["content"] = content
    kind, source = ("manual", "manual") if manual else ("initial", "signal")
    order = _order(trade, trade.key, Side.BUY, ENTRY_LEG, kind, source, trade.quantity, trade.price, trade.at, position)
    order.legacy_id, order.facts, order.record = trade.legacy_id, facts, trade.record
    return order


def _reentry(trade: Trade, number: int, one: Reentry, position: str) -> NewOrder:
    key = one.key or f"{trade.key}:{number}"
    order = _order(
        trade, key, Side.BUY, REENTRY_LEG, "reentry", "signal", one.quantity, one.price, one.at, position
    )  # fmt: skip
    own = {"rsi": one.rsi, "level": one.level, "cycle": one.cycle}
    facts: dict[str, Any] = {name: value for name, value in own.items() if value is not None}
    if one.facts:
        facts.update(one.facts)
    order.legacy_id, order.facts, order.record = one.legacy_id, facts, one.record
    return order


def _exit(trade: Trade, sale: Exit, position: str) -> NewOrder:
    key = f"{trade.key}:exit"
    order = _order(trade, key, Side.SELL, EXIT_LEG, None, "exit", trade.total, sale.price, sale.at, position)
    order.legacy_id = sale.legacy_id
    if sale.rsi is not None:
        order.facts = {"rsi": sale.rsi}
    return order


def _order(
    trade: Trade, key: str, side: Side, leg: str, entry_type: str | None, source: str, quantity: Quantity, price: Price,
    at: datetime, position: str,
) -> NewOrder:  # fmt: skip
    """Return an order that was filled at once."""
    return NewOrder(
        key,
        trade.symbol,
        side,
        leg,
        entry_type,
        source,
        order_type="market",
        variety="amo" if side is Side.BUY else "regular",
        quantity=quantity,
        price=None,
        reference_price=price,
        status=OrderState.FILLED,
        placed_at=at,
        session_day=exchange_day(at),
        filled_quantity=quantity,
        avg_price=price,
        filled_at=at,
        closed_at=at,
        position=position,
        # The paper venue sells what it knows to be held.
        at_venue=trade.exit is None,
    )


def _position(trade: Trade, key: str, last_order: str, cycle: int) -> NewPosition:
    sale, again = trade.exit, trade.reentries
    held = Position(
        symbol=trade.symbol,
        quantity=trade.total if sale is None else 0,
        entry_quantity=trade.total,
        average_price=trade.cost / trade.total,
        realized_pnl=_FREE if sale is None else trade.total * sale.price - trade.cost,
        charges=_FREE,
        opened_at=trade.at,
        closed_at=None if sale is None else sale.at,
    )
    return NewPosition(
        key=key,
        position=held,
        initial_price=trade.price,
        entry_rsi=trade.entry_rsi,
        exit_order=last_order if sale else None,
        exit_price=sale.price if sale else None,
        exit_reason=sale.reason if sale else None,
        exit_rsi=sale.rsi if sale else None,
        last_reentry_price=again[-1].price if again else None,
        reentry_count=len(again),
        cycle=cycle,
        reset_ready=trade.reset_ready,
    )


def _cycles(trade: Trade) -> Iterator[int]:
    """Yield the cycle of each later purchase: written down, or one more whenever the ladder begins anew."""
    cycle, deepest = 0, LEVELS[0] + 1
    for one in trade.reentries:
        if one.level is not None:
            if one.level >= deepest:
                cycle += 1
            deepest = one.level
        cycle = cycle if one.cycle is None else one.cycle
        yield cycle


def _rungs(
    trade: Trade, again: Sequence[tuple[int, Reentry]], orders: Sequence[NewOrder], position: str
) -> Iterator[NewRung]:
    """Yield the levels taken. What the ladder's own rules would refuse (twice a cycle, twice a day) takes none.

    orders: the first purchase's, then those of the later ones.
    """
    levels, days = set(), set()
    for (cycle, one), order in zip(again, orders[1:], strict=True):
        day = order.session_day
        if one.level not in LEVELS or one.rsi is None or (cycle, one.level) in levels or day in days:
            continue
        levels.add((cycle, one.level))
        days.add(day)
        yield NewRung(
            position, order.key, trade.symbol, cycle, one.level, one.rsi, day, one.quantity, one.price, one.at
        )
