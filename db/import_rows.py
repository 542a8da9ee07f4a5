"""What an import stores: orders, fills, positions and rungs as values, joined by keys until the database gives ids.

They are not frozen: some hundred thousand are made in a second or two, and freezing costs a third of that.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from trading.orders import OrderState
from trading.portfolio import Fill, Position
from trading.values import Money, Price, Quantity, Side, Symbol

_KEY_BYTES = 10
_FREE = Decimal(0)


@dataclass(slots=True)
class NewOrder:
    """An order as it was. key: unique within its account, the same whenever the same record is read.

    legacy_id: the old system's or the broker's id. position: key of the position it belongs to. reserved: of one that
    may still trade. at_venue: the venue must know it too, because its shares are held or it may still trade. facts:
    what else was known of it, as JSON values. record: the old record itself, as JSON.

    What was filled without a `NewFill` has one fill, of all of it at its own price and time, without charges.
    """

    key: str
    symbol: Symbol
    side: Side
    leg: str
    entry_type: str | None
    source: str
    order_type: str
    variety: str
    quantity: Quantity
    price: Price | None
    reference_price: Price
    status: OrderState
    placed_at: datetime
    session_day: date
    legacy_id: str | None = None
    filled_quantity: Quantity = 0
    avg_price: Price | None = None
    filled_at: datetime | None = None
    closed_at: datetime | None = None
    reason: str | None = None
    failure_kind: str | None = None
    first_failed_at: datetime | None = None
    last_retry_attempt: datetime | None = None
    retry_count: int = 0
    retry_until: datetime | None = None
    reserved: Money = Decimal(0)
    at_venue: bool = False
    position: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    record: str | None = None


@dataclass(slots=True)
class NewFill:
    """A fill that its order's own columns do not tell. number: counts the fills of one order."""

    order: str
    number: int
    fill: Fill

    @property
    def key(self) -> str:
        """What is unique within the account."""
        return f"{self.order}:{self.number}"


@dataclass(slots=True)
class NewPosition:
    """A position, what it was entered at, and how it was left. exit_order: key of the order that closed it."""

    key: str
    position: Position
    initial_price: Price
    entry_rsi: float | None = None
    exit_order: str | None = None
    exit_price: Price | None = None
    exit_reason: str | None = None
    exit_rsi: float | None = None
    last_reentry_price: Price | None = None
    reentry_count: int = 0
    cycle: int = 0
    reset_ready: bool = False


@dataclass(slots=True)
class NewRung:
    """A level of the re-entry ladder that an order took."""

    position: str
    order: str
    symbol: Symbol
    cycle: int
    level: int
    rsi: float
    day: date
    quantity: Quantity
    price: Price
    at: datetime


@dataclass(slots=True)
class Rows:
    """What records became: of one, or of many together."""

    orders: list[NewOrder] = field(default_factory=list)
    fills: list[NewFill] = field(default_factory=list)
    positions: list[NewPosition] = field(default_factory=list)
    rungs: list[NewRung] = field(default_factory=list)

    def add(self, other: "Rows") -> None:
        """Take another's rows."""
        self.orders += other.orders
        self.fills += other.fills
        self.positions += other.positions
        self.rungs += other.rungs

    def trades(self) -> Iterator[tuple[Side, Quantity, Price, Money]]:
        """Yield side, quantity, price and charges of every fill, those that the orders themselves tell too."""
        for one in self.fills:
            yield one.fill.side, one.fill.quantity, one.fill.price, one.fill.charges
        apart = {one.order for one in self.fills}
        for order in self.orders:
            if order.avg_price is not None and order.key not in apart:
                yield order.side, order.filled_quantity, order.avg_price, _FREE

    def __len__(self) -> int:
        return len(self.orders) + len(self.fills) + len(self.positions) + len(self.rungs)


def key_of(kind: str, *parts: object) -> str:
    """Return the key of a record by what identifies it: the same record has the same key in every file."""
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=_KEY_BYTES)
    return f"import:{kind}:{digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class Tracking:
    """What the predecessor said the system owned of a share. Quantities are shares."""

    tracking_id: str
    symbol: Symbol
    status: str
    started_at: datetime
    ended_at: datetime | None
    system_quantity: Quantity
    tracked_quantity: Quantity
    pre_existing_quantity: Quantity
    initial_order_id: str | None
    facts: Mapping[str, Any]
