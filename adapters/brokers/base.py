"""What every broker answers, paper and real alike, and what an answer may be.

Nothing here raises for a broker's refusal or silence: an outcome says what is known. *Unknown* is an answer too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from trading.orders import FailureKind, OrderState
from trading.values import Price, Quantity, Side, Symbol


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue can do. one_order_per_tag: a second placement under a tag answers with the first order.

    exchanges, products, validities: what an order may name; anything else is refused before it is made.
    """

    after_market_orders: bool
    one_order_per_tag: bool
    exchanges: frozenset[str] = frozenset({"NSE"})
    products: frozenset[str] = frozenset({"CNC"})
    validities: frozenset[str] = frozenset({"DAY"})


@dataclass(frozen=True, slots=True)
class Placement:
    """An order to place. variety: `amo` (for session_day's open) or `regular` (now). limit_price: None is market."""

    tag: str
    symbol: Symbol
    side: Side
    quantity: Quantity
    limit_price: Price | None
    variety: str
    session_day: date


@dataclass(frozen=True, slots=True)
class Change:
    """What an order at the broker shall become. limit_price: None is market. quantity: in all, None leaves it."""

    limit_price: Price | None
    quantity: Quantity | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The broker has the order under its own id."""

    broker_order_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker answered no, in its own words; the order does not exist there. kind: what its words mean."""

    reason: str
    kind: FailureKind = FailureKind.RMS_REJECT


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request provably never left this machine: the same one may be sent again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say: resolved only by looking at the book."""

    reason: str


PlaceOutcome = Accepted | Refused | NotSent | Unknown


@dataclass(frozen=True, slots=True)
class BookFill:
    """A trade as the broker reports it. at: aware UTC."""

    broker_fill_id: str
    quantity: Quantity
    price: Price
    at: datetime


@dataclass(frozen=True, slots=True)
class BookOrder:
    """A row of the broker's order book. state: the broker's word in our terms; None when the word is not known.

    kind: of a rejected order, what the broker's reason means.
    """

    broker_order_id: str
    tag: str
    symbol: Symbol
    side: Side
    quantity: Quantity
    filled: Quantity
    limit_price: Decimal | None
    word: str
    state: OrderState | None
    reason: str | None
    fills: Sequence[BookFill]
    kind: FailureKind | None = None


@dataclass(frozen=True, slots=True)
class Complete:
    """The whole book of the days asked for. An empty one means: no orders."""

    orders: Sequence[BookOrder]


@dataclass(frozen=True, slots=True)
class Failed:
    """The book could not be read, or not whole. It says nothing about what is in it."""

    reason: str


class Broker(Protocol):
    """One venue. Every call opens and closes its own connections; none is made inside a transaction of ours.

    `at` is market now (aware UTC): the wall clock live, the replay's clock in a replay.
    """

    capabilities: Capabilities

    async def place(self, user_id: int, account_id: int, placement: Placement, at: datetime) -> PlaceOutcome:
        """Send one order, once."""
        ...

    async def change(self, user_id: int, account_id: int, tag: str, change: Change, at: datetime) -> PlaceOutcome:
        """Set an order's price and quantity. Setting them twice is the same as once."""
        ...

    async def cancel(self, user_id: int, account_id: int, tag: str, at: datetime) -> PlaceOutcome:
        """Ask for an order's end. A fill may still win."""
        ...

    async def book(self, user_id: int, account_id: int, since: date, at: datetime) -> Complete | Failed:
        """Return all orders for sessions from a day on, with their fills."""
        ...
