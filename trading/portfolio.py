"""Positions, from fills alone."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from trading.errors import Oversold
from trading.values import Money, Price, Quantity, Side, Symbol


@dataclass(frozen=True, slots=True)
class Fill:
    """A trade report of an order. charges: the total cost of this fill. at: aware UTC."""

    symbol: Symbol
    side: Side
    quantity: Quantity
    price: Price
    charges: Money
    at: datetime

    def __post_init__(self) -> None:
        if self.quantity <= 0 or self.price <= 0 or self.charges < 0:
            raise ValueError(f"{self.symbol}: not a fill: {self.quantity} at {self.price}, charges {self.charges}")


@dataclass(frozen=True, slots=True)
class Position:
    """One holding from its first buy to its last sale.

    quantity: held now. entry_quantity: bought in all; a close does not zero it. average_price: what a share held cost,
    unrounded: store it with eight decimals or more, or paise go missing. realized_pnl: profit of the sales less
    *all* charges so far, the buys' too, so a new position starts below zero. closed_at: None while open.
    """

    symbol: Symbol
    quantity: Quantity
    entry_quantity: Quantity
    average_price: Price
    realized_pnl: Money
    charges: Money
    opened_at: datetime
    closed_at: datetime | None = None


def average_price(quantity: Quantity, price: Price, added: Quantity, added_price: Price) -> Price:
    """Return the average price of shares held and shares added, weighted by quantity."""
    return (quantity * price + added * added_price) / (quantity + added)


def apply_fill(position: Position | None, fill: Fill) -> Position:
    """Return the position after a fill; a buy on None or on a closed position opens a new one.

    Raises Oversold when more is sold than held, ValueError when the fill is of another symbol.
    """
    if position is not None and position.symbol != fill.symbol:
        raise ValueError(f"a fill of {fill.symbol} does not belong to the position in {position.symbol}")
    if fill.side is Side.SELL:
        return _sell(position, fill)
    if position is None or position.closed_at is not None:
        return Position(
            fill.symbol, fill.quantity, fill.quantity, fill.price, -fill.charges, fill.charges, opened_at=fill.at
        )
    return replace(
        position,
        quantity=position.quantity + fill.quantity,
        entry_quantity=position.entry_quantity + fill.quantity,
        average_price=average_price(position.quantity, position.average_price, fill.quantity, fill.price),
        realized_pnl=position.realized_pnl - fill.charges,
        charges=position.charges + fill.charges,
    )


def unrealized_pnl(position: Position, price: Price) -> Money:
    """Return what the shares held would gain at a price, before the charges of selling them."""
    return position.quantity * (price - position.average_price) if position.quantity else Decimal(0)


def _sell(position: Position | None, fill: Fill) -> Position:
    held = position.quantity if position is not None else 0
    if position is None or fill.quantity > held:
        raise Oversold(fill.symbol, held, fill.quantity)
    left = held - fill.quantity
    gain = fill.quantity * (fill.price - position.average_price)
    return replace(
        position,
        quantity=left,
        realized_pnl=position.realized_pnl + gain - fill.charges,
        charges=position.charges + fill.charges,
        closed_at=None if left else fill.at,
    )
