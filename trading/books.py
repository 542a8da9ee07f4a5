"""What one day made of an account, from its fills alone: profit before charges, charges, what its close holds."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from trading.errors import Oversold
from trading.portfolio import Fill, Position, apply_fill, unrealized_pnl
from trading.values import Money, Price, Side, Symbol, money


@dataclass(frozen=True, slots=True)
class DayBooks:
    """One day of one account.

    realized: profit of the day's sales, before charges. charges: of the day's fills. cost, market_value, unrealized: of
    what its end holds. without_close: held and counted at cost. inconsistent: sold more than was bought; left out.
    """

    realized: Money
    charges: Money
    cost: Money
    market_value: Money
    unrealized: Money
    held: Sequence[Symbol]
    without_close: Sequence[Symbol]
    inconsistent: Sequence[Symbol]


def day_books(fills: Sequence[Fill], first: datetime, closes: Mapping[Symbol, Price]) -> DayBooks:
    """Return the books of a day.

    fills: since each position that the day saw was opened, until the day's end, in the order in which they were booked.
    first: the day's first moment; what was filled before only builds up the positions. closes: of what is held.
    """
    of_symbol: defaultdict[Symbol, list[Fill]] = defaultdict(list)
    for fill in fills:
        of_symbol[fill.symbol].append(fill)
    realized, held, inconsistent = Decimal(0), [], []
    for symbol, mine in sorted(of_symbol.items()):
        try:
            position, gain = _walk(mine, first)
        except Oversold:
            inconsistent.append(symbol)
            continue
        realized += gain
        if position.quantity:
            held.append(position)
    cost = sum((money(one.quantity * one.average_price) for one in held), Decimal(0))
    gained = sum((money(unrealized_pnl(one, _price(one, closes))) for one in held), Decimal(0))
    return DayBooks(
        realized=money(realized),
        charges=sum((fill.charges for fill in fills if fill.at >= first), Decimal(0)),
        cost=cost,
        market_value=cost + gained,
        unrealized=gained,
        held=[one.symbol for one in held],
        without_close=[one.symbol for one in held if one.symbol not in closes],
        inconsistent=inconsistent,
    )


def _walk(fills: Sequence[Fill], first: datetime) -> tuple[Position, Money]:
    """Return the position after fills of one symbol, and what the day's sales gained before charges."""
    position: Position | None = None
    gain = Decimal(0)
    for fill in fills:
        after = apply_fill(position, fill)
        if fill.side is Side.SELL and position is not None and fill.at >= first:
            gain += fill.quantity * (fill.price - position.average_price)
        position = after
    if position is None:
        raise ValueError("no fills: there is nothing to walk")
    return position, gain


def _price(position: Position, closes: Mapping[Symbol, Price]) -> Price:
    return closes.get(position.symbol, position.average_price)
