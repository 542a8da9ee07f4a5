"""A trade as rows: an order and a fill for each purchase and for the sale, the position, the rungs of its ladder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from db.import_rows import NewFill, NewOrder, NewPosition, NewRung, Rows
from ops.importers.trade import Reentry, Trade, facts_of
from trading.calendar import exchange_day
from trading.orders import OrderState
from trading.portfolio import Fill, Position, apply_fill
from trading.reentry import LEVELS, REENTRY_LEG
from trading.risk import ENTRY_LEG
from trading.values import Price, Quantity, Side

EXIT_LEG = "exit"
# How the predecessor's trades came to be; every other word means its own strategy.
_MANUAL = frozenset({"manual", "manual_buy_of_bot_recommendation"})
_FREE = Decimal(0)


@dataclass(frozen=True, slots=True)
class _Deal:
    """One purchase or sale of a trade."""

    key: str
    side: Side
    leg: str
    entry_type: str | None
    source: str
    quantity: Quantity
    price: Price
    at: datetime
    legacy_id: str | None
    facts: Mapping[str, Any]
    record: str | None = None


def trade_rows(trade: Trade, content: str) -> Rows:
    """Return the rows of a trade. content: a hash of its record, to tell later whether it is still the same.

    Its charges are not known: its profit is before charges, as the predecessor counted it.
    """
    position = f"{trade.key}:position"
    bought = [_entry(trade, content), *(_reentry(trade, *one) for one in enumerate(trade.reentries, start=1))]
    deals = bought if trade.exit is None else [*bought, _exit(trade)]
    fills = [NewFill(one.key, 1, _fill(trade, one)) for one in deals]
    return Rows(
        orders=[_order(trade, one, position) for one in deals],
        fills=fills,
        positions=[_position(trade, position, [one.fill for one in fills], deals[-1].key)],
        rungs=list(_rungs(trade, bought[1:], position)),
    )


def _entry(trade: Trade, content: str) -> _Deal:
    manual = trade.entry_type in _MANUAL
    return _Deal(
        key=trade.key,
        side=Side.BUY,
        leg=ENTRY_LEG,
        entry_type="manual" if manual else "initial",
        source="manual" if manual else "signal",
        quantity=trade.quantity,
        price=trade.price,
        at=trade.at,
        legacy_id=trade.legacy_id,
        facts=facts_of(trade) | {"content": content},
        record=trade.record,
    )


def _reentry(trade: Trade, number: int, one: Reentry) -> _Deal:
    own = {"rsi": one.rsi, "level": one.level, "cycle": one.cycle}
    return _Deal(
        key=one.key or f"{trade.key}:{number}",
        side=Side.BUY,
        leg=REENTRY_LEG,
        entry_type="reentry",
        source="signal",
        quantity=one.quantity,
        price=one.price,
        at=one.at,
        legacy_id=one.legacy_id,
        facts={name: value for name, value in own.items() if value is not None} | dict(one.facts),
        record=one.record,
    )


def _exit(trade: Trade) -> _Deal:
    sale = trade.exit
    if sale is None:
        raise ValueError(f"{trade.symbol}: a trade that is open has no exit")
    return _Deal(
        key=f"{trade.key}:exit",
        side=Side.SELL,
        leg=EXIT_LEG,
        entry_type=None,
        source="exit",
        quantity=trade.total,
        price=sale.price,
        at=sale.at,
        legacy_id=sale.legacy_id,
        facts={} if sale.rsi is None else {"rsi": sale.rsi},
    )


def _order(trade: Trade, deal: _Deal, position: str) -> NewOrder:
    return NewOrder(
        key=deal.key,
        symbol=trade.symbol,
        side=deal.side,
        leg=deal.leg,
        entry_type=deal.entry_type,
        source=deal.source,
        order_type="market",
        variety="amo" if deal.side is Side.BUY else "regular",
        quantity=deal.quantity,
        price=None,
        reference_price=deal.price,
        status=OrderState.FILLED,
        placed_at=deal.at,
        session_day=exchange_day(deal.at),
        legacy_id=deal.legacy_id,
        filled_quantity=deal.quantity,
        avg_price=deal.price,
        filled_at=deal.at,
        closed_at=deal.at,
        position=position,
        facts=deal.facts,
        record=deal.record,
        # The paper venue sells what it knows to be held.
        at_venue=trade.exit is None,
    )


def _fill(trade: Trade, deal: _Deal) -> Fill:
    return Fill(trade.symbol, deal.side, deal.quantity, deal.price, _FREE, deal.at)


def _position(trade: Trade, key: str, fills: list[Fill], last_order: str) -> NewPosition:
    position: Position | None = None
    for fill in fills:
        position = apply_fill(position, fill)
    if position is None:
        raise ValueError(f"{trade.symbol}: a trade without a purchase")
    sale, again = trade.exit, trade.reentries
    return NewPosition(
        key=key,
        position=position,
        initial_price=trade.price,
        entry_rsi=trade.entry_rsi,
        exit_order=last_order if sale else None,
        exit_price=sale.price if sale else None,
        exit_reason=sale.reason if sale else None,
        exit_rsi=sale.rsi if sale else None,
        last_reentry_price=again[-1].price if again else None,
        reentry_count=len(again),
        cycle=max([trade.cycle or 0, *(cycle for cycle, _ in _cycles(trade))]),
        reset_ready=trade.reset_ready,
    )


def _cycles(trade: Trade) -> Iterator[tuple[int, Reentry]]:
    """Yield each later purchase with its cycle: written down, or one more whenever the ladder begins anew."""
    cycle, deepest = 0, LEVELS[0] + 1
    for one in trade.reentries:
        if one.level is not None:
            if one.level >= deepest:
                cycle += 1
            deepest = one.level
        cycle = cycle if one.cycle is None else one.cycle
        yield cycle, one


def _rungs(trade: Trade, bought: list[_Deal], position: str) -> Iterator[NewRung]:
    """Yield the levels taken. What the ladder's own rules would refuse (twice a cycle, twice a day) takes none."""
    levels, days = set(), set()
    for (cycle, one), deal in zip(_cycles(trade), bought, strict=True):
        day = exchange_day(one.at)
        if one.level not in LEVELS or one.rsi is None or (cycle, one.level) in levels or day in days:
            continue
        levels.add((cycle, one.level))
        days.add(day)
        yield NewRung(position, deal.key, trade.symbol, cycle, one.level, one.rsi, day, one.quantity, one.price, one.at)
