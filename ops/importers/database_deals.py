"""What orders of a database came to: which were executed, to which position each belongs, which pair into trades."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ops.importers import fields as f
from ops.importers import words
from ops.importers.database_rows import Row
from ops.importers.fields import RefusedRecordError
from trading.values import Price, Quantity, Side

_EXACT = Decimal("0.0001")
# A position was opened or closed when the predecessor noticed; an order that tells no fill time was placed before a
# weekend with a holiday at each end.
_NOTICED, _PLACED = timedelta(days=1), timedelta(days=6)
ONGOING, CLOSED = "ongoing", "closed"


@dataclass(frozen=True, slots=True)
class Deal:
    """An order that bought or sold. row: with its fills under `fills`. price: None where nothing tells it.

    timed: whether it is known when it was executed; else at is when it was placed.
    """

    row: Row
    side: Side
    quantity: Quantity
    price: Price | None
    at: datetime
    timed: bool
    word: str

    @property
    def legacy_id(self) -> str | None:
        """The broker's id, else the predecessor's own."""
        return f.text_or_none(self.row, "broker_order_id", "order_id")

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"orders[{self.row['id']}]"


@dataclass(slots=True)
class Cycle:
    """A position row and the deals that made it."""

    row: Row
    opened_at: datetime
    closed_at: datetime | None
    deals: list[Deal] = field(default_factory=list)

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"positions[{self.row['id']}]"

    def of(self, side: Side) -> list[Deal]:
        """Return its purchases or its sales, oldest first."""
        return [one for one in self.deals if one.side is side]


def word_of(row: Row) -> str:
    """Return an order's status word in small letters; enums were written by name or by value."""
    written = row.get("status")
    return written.strip().lower() if isinstance(written, str) else ""


def side_of(row: Row) -> Side:
    """Return an order's side; the oldest had a status for the orders to sell. Raises RefusedRecordError."""
    return Side.SELL if word_of(row) == "sell" else words.side(f.needed(row, "side"))


def deal_of(row: Row, fills: Sequence[Row]) -> Deal | None:
    """Return what an order was executed at, None for one that was not. Raises RefusedRecordError."""
    side, word = side_of(row), word_of(row)
    if fills:
        told = [(f.quantity(one, "quantity", "qty"), f.price(one, "price")) for one in fills]
        bought = sum(quantity for quantity, _ in told)
        value = sum((quantity * price for quantity, price in told), Decimal(0))
        at = max((f.moment(one, "filled_at", "ts") for one in fills if f.first(one, "filled_at", "ts")), default=None)
        price = (value / bought).quantize(_EXACT)
        return _deal({**row, "fills": list(fills)}, side, bought, price, at, word)
    part = f.whole(f.first(row, "execution_qty") or 0, "execution_qty")
    is_done = word == CLOSED or (word == ONGOING and side is Side.BUY) or words.ORDER_WORDS.get(word) in _DONE
    if not part and not is_done:
        return None
    quantity = part or f.quantity(row, "quantity")
    at = f.moment_or_none(row, "execution_time", "filled_at")
    return _deal(row, side, quantity, f.price_or_none(row, "execution_price", "avg_price"), at, word)


def _deal(row: Row, side: Side, quantity: Quantity, price: Price | None, at: datetime | None, word: str) -> Deal:
    # A sale of the oldest had only the time at which it was closed.
    at = at or (f.moment_or_none(row, "closed_at") if side is Side.SELL else None)
    return Deal(row, side, quantity, price, at or f.moment(row, "placed_at"), at is not None, word)


_DONE = frozenset({words.Told.FILLED, words.Told.PARTIAL})


def give_out(deals: Sequence[Deal], cycles: Sequence[Cycle]) -> list[Deal]:
    """Give each deal to the position it belongs to by its time. Returns those that belong to none, oldest first."""
    left: list[Deal] = []
    named = {cycle.row["sell_order_id"]: cycle for cycle in cycles if cycle.row.get("sell_order_id") is not None}
    for deal in sorted(deals, key=lambda one: (one.at, one.side.value, one.row["id"])):
        cycle = named.get(deal.row["id"]) or _nearest(deal, cycles)
        (left if cycle is None else cycle.deals).append(deal)
    return left


def _nearest(deal: Deal, cycles: Sequence[Cycle]) -> Cycle | None:
    reach = _NOTICED if deal.timed else _PLACED
    near = [(gap, one) for one in cycles if (gap := _gap(deal, one)) is not None and gap[0] <= reach]
    return min(near, key=lambda pair: pair[0])[1] if near else None


def _gap(deal: Deal, cycle: Cycle) -> tuple[timedelta, timedelta] | None:
    """Return how far outside a position a deal lies, then how far from the end that a deal of its kind makes."""
    none = timedelta(0)
    outside = max(cycle.opened_at - deal.at, (deal.at - cycle.closed_at) if cycle.closed_at else none, none)
    if deal.side is Side.BUY:
        # Nobody buys into a position that is closed.
        late = cycle.closed_at is not None and deal.at > cycle.closed_at
        return None if late else (outside, abs(deal.at - cycle.opened_at))
    if deal.at < cycle.opened_at:
        return None
    return outside, abs(deal.at - cycle.closed_at) if cycle.closed_at else timedelta.max


def completed(deals: Sequence[Deal]) -> tuple[list[list[Deal]], list[Deal]]:
    """Return the runs of deals in which all that was bought was sold, and what came after them. deals: oldest first.

    A sale of more than is held stands alone among the rest.
    """
    runs: list[list[Deal]] = []
    run: list[Deal] = []
    rest: list[Deal] = []
    held = 0
    for deal in deals:
        if deal.side is Side.SELL and deal.quantity > held:
            rest.append(deal)
            continue
        run.append(deal)
        held += deal.quantity if deal.side is Side.BUY else -deal.quantity
        if not held:
            runs.append(run)
            run = []
    return runs, sorted([*rest, *run], key=lambda one: one.at)


def at_average(deals: Sequence[Deal]) -> tuple[Quantity, Price]:
    """Return how many shares deals moved, and at what price on average. Raises RefusedRecordError."""
    unknown = next((one for one in deals if one.price is None), None)
    if unknown is not None:
        raise RefusedRecordError("no_price", f"{unknown.place} was executed, and nothing tells at what price")
    quantity = sum(one.quantity for one in deals)
    value = sum((one.quantity * one.price for one in deals if one.price is not None), Decimal(0))
    return quantity, (value / quantity).quantize(_EXACT)


def cycles_of(rows: Sequence[Row]) -> Iterator[tuple[Row, Cycle | RefusedRecordError]]:
    """Yield each position row with its cycle, or with why it has none."""
    for row in rows:
        try:
            opened_at = f.moment(row, "opened_at")
            yield row, Cycle(row, opened_at, f.moment_or_none(row, "closed_at"))
        except RefusedRecordError as error:
            yield row, error


def reentries_of(row: Row) -> list[Any]:
    """Return the later purchases that a position row tells of, in either shape. Raises RefusedRecordError."""
    written = row.get("reentries")
    if isinstance(written, Mapping):
        written = written.get("reentries")
    if not written:
        return []
    if not isinstance(written, list):
        raise RefusedRecordError("bad_reentry", "reentries cannot be read as a list")
    return written
