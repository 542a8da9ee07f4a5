"""What an import stores as the parameters of its statements: one column of values after the other."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from json.encoder import encode_basestring_ascii
from typing import Any

from db.columns import Columns
from db.import_rows import NewOrder, Rows
from trading.orders import LIVE, OrderState
from trading.values import Side, money

# An order that the exchange has not seen yet rests parked at the paper venue; one that ended is what it ended as.
_VENUE_WORDS = {
    "filled": "complete",
    "parked": "parked",
    "open": "open",
    "partial": "open",
    "expired": "expired",
    "cancelled": "cancelled",
}
_TAG_LETTERS = 20
_NONE = Decimal(0)
# As JSON writes them, without what `dumps` looks at first: whole numbers and finite ones are Python's own.
_WRITTEN: Mapping[type, Callable[[Any], str]] = {int: str, float: str, str: encode_basestring_ascii}

POSITION = Columns(
    id="bigint", symbol="text", quantity="int", entry_quantity="int", avg_price="numeric", realized_pnl="numeric",
    charges="numeric", opened_at="timestamptz", closed_at="timestamptz", exit_price="numeric", exit_reason="text",
    entry_rsi="float", exit_rsi="float", realized_pnl_pct="float", sell_order_id="bigint",
    initial_entry_price="numeric", last_reentry_price="numeric", reentry_count="int", cycle="int", reset_ready="bool",
)  # fmt: skip
ORDER = Columns(
    id="bigint", symbol="text", side="text", order_type="text", variety="text", entry_type="text", source="text",
    quantity="int", price="numeric", status="text", key="text", tag="text", leg="text", reference_price="numeric",
    reserved="numeric", placed_at="timestamptz", session_day="date", legacy_id="text", facts="text", record="text",
    broker_id="text", filled="int", avg_price="numeric", reason="text", failure_kind="text", retry_count="int",
    retry_until="timestamptz", first_failed_at="timestamptz", last_retry="timestamptz", position_id="bigint",
    filled_at="timestamptz", closed_at="timestamptz",
)  # fmt: skip
FILL = Columns(
    order_id="bigint", key="text", symbol="text", side="text", quantity="int", price="numeric", charges="numeric",
    filled_at="timestamptz",
)  # fmt: skip
RUNG = Columns(
    position_id="bigint", order_id="bigint", symbol="text", cycle="int", level="int", rsi="float", day="date",
    quantity="int", price="numeric", filled_at="timestamptz",
)  # fmt: skip
PAPER = Columns(
    tag="text", symbol="text", side="text", order_type="text", price="numeric", quantity="int", word="text",
    session_day="date", placed_at="timestamptz", filled="int", avg_price="numeric", filled_at="timestamptz",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """Where an import goes. code: of the account, which tags are made from. venue: its broker."""

    user_id: int
    account_id: int
    code: str
    mode: str
    venue: str


@dataclass(frozen=True, slots=True)
class Ids:
    """New ids by key."""

    orders: Mapping[str, int]
    positions: Mapping[str, int]


def moved(rows: Rows) -> Mapping[str, Decimal]:
    """Return the money that fills moved by its kind, each worth what its row says, and a deposit against all of it."""
    bought = sold = charged = _NONE
    for side, quantity, price, charges in rows.trades():
        worth = money(quantity * price)
        if side is Side.BUY:
            bought += worth
        else:
            sold += worth
        charged += charges
    return {"buy": -bought, "sell": sold, "charges": -charged, "deposit": bought - sold + charged}


def import_tag(code: str, key: str) -> str:
    """Return the tag of an imported order: 20 capital letters and digits, the same for the same record and account."""
    return hashlib.sha256(f"{code}|{key}".encode()).hexdigest()[:_TAG_LETTERS].upper()


def positions(rows: Rows, ids: Ids) -> Mapping[str, str]:
    """Return the values of `POSITION`."""
    new, held = rows.positions, [one.position for one in rows.positions]
    return POSITION.values(
        id=[ids.positions[one.key] for one in new],
        symbol=[one.symbol for one in held],
        quantity=[one.quantity for one in held],
        entry_quantity=[one.entry_quantity for one in held],
        avg_price=[one.average_price for one in held],
        realized_pnl=[one.realized_pnl for one in held],
        charges=[one.charges for one in held],
        opened_at=[one.opened_at for one in held],
        closed_at=[one.closed_at for one in held],
        exit_price=[one.exit_price for one in new],
        exit_reason=[one.exit_reason for one in new],
        entry_rsi=[one.entry_rsi for one in new],
        exit_rsi=[one.exit_rsi for one in new],
        realized_pnl_pct=[
            _percent(one.realized_pnl, one.entry_quantity * one.average_price, one.closed_at) for one in held
        ],
        sell_order_id=[None if one.exit_order is None else ids.orders[one.exit_order] for one in new],
        initial_entry_price=[one.initial_price for one in new],
        last_reentry_price=[one.last_reentry_price for one in new],
        reentry_count=[one.reentry_count for one in new],
        cycle=[one.cycle for one in new],
        reset_ready=[one.reset_ready for one in new],
    )


def orders(new: Sequence[NewOrder], ids: Ids, target: Target) -> Mapping[str, str]:
    """Return the values of `ORDER`. What was filled at once, when it was placed, says so by a null of `filled`."""
    tags = [_tag(one, target) for one in new]
    apart = [None if _is_at_once(one) else one for one in new]
    return ORDER.values(
        id=[ids.orders[one.key] for one in new],
        symbol=[one.symbol for one in new],
        side=[one.side for one in new],
        order_type=[one.order_type for one in new],
        variety=[one.variety for one in new],
        entry_type=[one.entry_type for one in new],
        source=[one.source for one in new],
        quantity=[one.quantity for one in new],
        price=[one.price for one in new],
        status=[one and one.status for one in apart],
        key=[one.key for one in new],
        tag=tags,
        leg=[one.leg for one in new],
        reference_price=[one.reference_price for one in new],
        reserved=[one.reserved or None for one in new],
        placed_at=[one.placed_at for one in new],
        session_day=[one.session_day for one in new],
        legacy_id=[one.legacy_id for one in new],
        facts=[_facts(one) for one in new],
        record=[one.record for one in new],
        broker_id=[_broker_id(one, tag, target) for one, tag in zip(new, tags, strict=True)],
        filled=[one and one.filled_quantity for one in apart],
        avg_price=[one and one.avg_price for one in apart],
        reason=[one.reason for one in new],
        failure_kind=[one.failure_kind for one in new],
        retry_count=[one.retry_count or None for one in new],
        retry_until=[one.retry_until for one in new],
        first_failed_at=[one.first_failed_at for one in new],
        last_retry=[one.last_retry_attempt for one in new],
        position_id=[None if one.position is None else ids.positions[one.position] for one in new],
        filled_at=[one and one.filled_at for one in apart],
        closed_at=[one and one.closed_at for one in apart],
    )


def _is_at_once(order: NewOrder) -> bool:
    return (
        order.filled_at is order.placed_at
        and order.closed_at is order.placed_at
        and order.avg_price is order.reference_price
        and order.filled_quantity == order.quantity
        and order.status is OrderState.FILLED
    )


def _facts(order: NewOrder) -> str:
    """Return an order's facts as one JSON object."""
    said = [f'"{name}": {_WRITTEN.get(value.__class__, json.dumps)(value)}' for name, value in order.facts.items()]
    return f"{{{', '.join(said)}}}"


def _tag(order: NewOrder, target: Target) -> str | None:
    """Return what the venue is to know an order by, None when it will never hear of it."""
    return import_tag(target.code, order.key) if order.at_venue or order.status in LIVE else None


def _broker_id(order: NewOrder, tag: str | None, target: Target) -> str | None:
    """Return the id the venue knows an order by: the paper venue its own, another the one it once gave.

    The predecessor's own paper ids began anew with each start, so they name nothing. What another broker gave is kept
    with a paper account's order as its old id alone: the paper venue never gave it.
    """
    if target.venue == "paper":
        return f"P{tag}" if order.at_venue else None
    return None if order.source == "paper_trading" else order.legacy_id


def fills(rows: Rows, ids: Ids) -> Mapping[str, str]:
    """Return the values of `FILL`: of the fills that no order tells itself."""
    new, trades = rows.fills, [one.fill for one in rows.fills]
    return FILL.values(
        order_id=[ids.orders[one.order] for one in new],
        key=[one.key for one in new],
        symbol=[one.symbol for one in trades],
        side=[one.side for one in trades],
        quantity=[one.quantity for one in trades],
        price=[one.price for one in trades],
        charges=[one.charges for one in trades],
        filled_at=[one.at for one in trades],
    )


def rungs(rows: Rows, ids: Ids) -> Mapping[str, str]:
    """Return the values of `RUNG`."""
    new = rows.rungs
    return RUNG.values(
        position_id=[ids.positions[one.position] for one in new],
        order_id=[ids.orders[one.order] for one in new],
        symbol=[one.symbol for one in new],
        cycle=[one.cycle for one in new],
        level=[one.level for one in new],
        rsi=[one.rsi for one in new],
        day=[one.day for one in new],
        quantity=[one.quantity for one in new],
        price=[one.price for one in new],
        filled_at=[one.at for one in new],
    )


def at_venue(new: Sequence[NewOrder], code: str) -> Mapping[str, str]:
    """Return what the paper venue must know: the shares that are held and the orders that may still trade."""
    return PAPER.values(
        tag=[import_tag(code, one.key) for one in new],
        symbol=[one.symbol for one in new],
        side=[one.side for one in new],
        order_type=[one.order_type for one in new],
        price=[one.price for one in new],
        quantity=[one.quantity for one in new],
        word=[_VENUE_WORDS[one.status.value] for one in new],
        session_day=[one.session_day for one in new],
        placed_at=[one.placed_at for one in new],
        filled=[one.filled_quantity for one in new],
        avg_price=[one.avg_price for one in new],
        filled_at=[one.filled_at for one in new],
    )


def _percent(gain: Decimal, cost: Decimal, closed_at: datetime | None) -> float | None:
    return float(100 * gain / cost) if closed_at is not None and cost else None
