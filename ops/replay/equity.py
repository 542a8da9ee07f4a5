"""What all accounts of a replay were worth after each session, from cash and fills alone."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from ops.replay import queries
from ops.replay.queries import rows
from trading.calendar import Session, exchange_day
from trading.values import Side


async def equity_curve(session: AsyncSession, sessions: Sequence[Session]) -> list[Decimal]:
    """Return cash and shares at their close, in rupees, after each market session."""
    if not sessions:
        return []
    cash = await rows(session, queries.CASH_BY_MOMENT)
    fills = await rows(session, queries.FILL_FACTS)
    closes = await rows(session, queries.CLOSES, first=sessions[0].day, last=sessions[-1].day)
    return curve([one.day for one in sessions], cash, fills, closes)


def curve(days: Sequence[date], cash: Sequence[Any], fills: Sequence[Any], closes: Sequence[Any]) -> list[Decimal]:
    """Return the worth after each day; a share without a close yet is worth what was paid last.

    cash: (at, amount). fills: with filled_at, symbol, side, quantity, price. closes: (day, symbol, close).
    """
    paid: dict[date, Decimal] = defaultdict(Decimal)
    for at, amount in cash:
        paid[exchange_day(at)] += amount
    traded: dict[date, list[Any]] = defaultdict(list)
    for fill in fills:
        traded[exchange_day(fill.filled_at)].append(fill)
    shown: dict[date, list[tuple[str, Decimal]]] = defaultdict(list)
    for day, symbol, close in closes:
        shown[day].append((symbol, close))
    balance, held, prices, worth = Decimal(0), defaultdict[str, int](int), dict[str, Decimal](), []
    for day in days:
        balance += paid[day]
        for fill in traded[day]:
            held[fill.symbol] += fill.quantity if fill.side == Side.BUY else -fill.quantity
            prices[fill.symbol] = fill.price
        prices.update(shown[day])
        worth.append(balance + sum((prices[symbol] * count for symbol, count in held.items()), Decimal(0)))
    return worth
