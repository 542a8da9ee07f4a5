"""Stores what an import read: many records at a time, one statement a table, ids taken beforehand."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.columns import Columns
from db.import_rows import NewOrder, Rows, Tracking
from trading.values import Side, money

STRATEGY = "dip"
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

_IDS = text("SELECT array_agg(nextval(CAST(:sequence AS regclass))) FROM generate_series(1, :count)")

_POSITION = Columns(
    id="bigint", symbol="text", quantity="int", entry_quantity="int", avg_price="numeric", realized_pnl="numeric",
    charges="numeric", opened_at="timestamptz", closed_at="timestamptz", exit_price="numeric", exit_reason="text",
    entry_rsi="float", exit_rsi="float", realized_pnl_pct="float", sell_order_id="bigint",
    initial_entry_price="numeric", last_reentry_price="numeric", reentry_count="int", cycle="int", reset_ready="bool",
)  # fmt: skip
_ORDER = Columns(
    id="bigint", symbol="text", side="text", order_type="text", variety="text", entry_type="text", source="text",
    quantity="int", price="numeric", status="text", key="text", tag="text", leg="text", reference_price="numeric",
    reserved="numeric", placed_at="timestamptz", session_day="date", legacy_id="text", facts="text", broker_id="text",
    filled="int", avg_price="numeric", reason="text", failure_kind="text", retry_count="int",
    retry_until="timestamptz", first_failed_at="timestamptz", last_retry="timestamptz", position_id="bigint",
    filled_at="timestamptz", closed_at="timestamptz",
)  # fmt: skip
_FILL = Columns(
    order_id="bigint", key="text", symbol="text", side="text", quantity="int", price="numeric", charges="numeric",
    filled_at="timestamptz",
)  # fmt: skip
_RUNG = Columns(
    position_id="bigint", order_id="bigint", symbol="text", cycle="int", level="int", rsi="float", day="date",
    quantity="int", price="numeric", filled_at="timestamptz",
)  # fmt: skip
_PAPER = Columns(
    tag="text", symbol="text", side="text", order_type="text", price="numeric", quantity="int", word="text",
    session_day="date", placed_at="timestamptz", filled="int", avg_price="numeric", filled_at="timestamptz",
)  # fmt: skip
_TRACKED = Columns(
    tracking_id="text", symbol="text", status="text", started_at="timestamptz", ended_at="timestamptz",
    system_quantity="int", tracked_quantity="int", pre_existing_quantity="int", initial_order_id="text", facts="text",
)  # fmt: skip

_POSITIONS = text(
    f"""
    INSERT INTO positions (id, user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges,
        opened_at, closed_at, exit_price, exit_reason, entry_rsi, exit_rsi, realized_pnl_pct, sell_order_id,
        initial_entry_price, last_reentry_price, reentry_count, cycle, reset_ready, import_batch_id)
    SELECT p.id, :user_id, :account_id, p.symbol, p.quantity, p.entry_quantity, p.avg_price, p.realized_pnl, p.charges,
           p.opened_at, p.closed_at, p.exit_price, p.exit_reason, p.entry_rsi, p.exit_rsi, p.realized_pnl_pct,
           p.sell_order_id, p.initial_entry_price, p.last_reentry_price, p.reentry_count, p.cycle, p.reset_ready,
           :batch_id
    FROM {_POSITION.rows("p")}
    """
)
_ORDERS = text(
    f"""
    INSERT INTO orders (id, user_id, account_id, symbol, side, order_type, variety, trade_mode, entry_type, orig_source,
        quantity, price, status, intent_key, tag, strategy, leg, rank, reference_price, reserved, as_of, session_day,
        order_id, metadata, broker_order_id, filled_quantity, avg_price, reason, failure_kind, retry_count, retry_until,
        first_failed_at, last_retry_attempt, position_id, config_version, import_batch_id, placed_at, filled_at,
        closed_at)
    SELECT o.id, :user_id, :account_id, o.symbol, o.side, o.order_type, o.variety, :trade_mode, o.entry_type, o.source,
           o.quantity, o.price, o.status, o.key, o.tag, '{STRATEGY}', o.leg, 0, o.reference_price, o.reserved,
           o.placed_at, o.session_day, o.legacy_id, CAST(o.facts AS jsonb), o.broker_id, o.filled, o.avg_price,
           o.reason, o.failure_kind, o.retry_count, o.retry_until, o.first_failed_at, o.last_retry, o.position_id, 0,
           :batch_id, o.placed_at, o.filled_at, o.closed_at
    FROM {_ORDER.rows("o")}
    """
)
_FILLS = text(
    f"""
    INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at,
        import_batch_id)
    SELECT :user_id, :account_id, f.order_id, f.key, f.symbol, f.side, f.quantity, f.price, f.charges, f.filled_at,
           :batch_id
    FROM {_FILL.rows("f")}
    """
)
_RUNGS = text(
    f"""
    INSERT INTO reentries (user_id, account_id, position_id, order_id, symbol, cycle, level, rsi, day, quantity, price,
        filled_at, import_batch_id)
    SELECT :user_id, :account_id, r.position_id, r.order_id, r.symbol, r.cycle, r.level, r.rsi, r.day, r.quantity,
           r.price, r.filled_at, :batch_id
    FROM {_RUNG.rows("r")}
    """
)
_AT_VENUE = text(
    f"""
    INSERT INTO paper_orders (account_id, user_id, tag, symbol, side, order_type, limit_price, quantity, word,
        session_day, placed_at, filled_quantity, fill_price, filled_at, import_batch_id)
    SELECT :account_id, :user_id, o.tag, o.symbol, o.side, o.order_type, o.price, o.quantity, o.word, o.session_day,
           o.placed_at, o.filled, o.avg_price, o.filled_at, :batch_id
    FROM {_PAPER.rows("o")}
    """
)
_TRACK = text(
    f"""
    INSERT INTO tracked_symbols (user_id, account_id, tracking_id, symbol, status, started_at, ended_at,
        system_quantity, tracked_quantity, pre_existing_quantity, initial_order_id, facts, import_batch_id)
    SELECT :user_id, :account_id, t.tracking_id, t.symbol, t.status, t.started_at, t.ended_at, t.system_quantity,
           t.tracked_quantity, t.pre_existing_quantity, t.initial_order_id, CAST(t.facts AS jsonb), :batch_id
    FROM {_TRACKED.rows("t")}
    """
)
_CASH = text(
    """
    WITH booked AS (
        INSERT INTO cash_entries (user_id, account_id, kind, amount, reference, at, import_batch_id)
        SELECT :user_id, :account_id, m.kind, m.amount, :reference, :at, :batch_id
        FROM unnest(CAST(:kinds AS text[]), CAST(:amounts AS numeric[])) AS m(kind, amount) WHERE m.amount <> 0
        RETURNING amount),
    venue AS (
        UPDATE paper_books SET cash = cash + (SELECT coalesce(sum(amount), 0) FROM booked)
        WHERE account_id = :account_id AND user_id = :user_id)
    UPDATE broker_accounts SET cash = cash + (SELECT coalesce(sum(amount), 0) FROM booked)
    WHERE id = :account_id AND user_id = :user_id
    """
)


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


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows as the parameters of their statements, and the money they moved by kind."""

    inserts: Sequence[tuple[Any, Mapping[str, str]]]
    moved: Mapping[str, Decimal]


async def new_ids(session: AsyncSession, rows: Rows) -> Ids:
    """Return ids for rows that are to be stored."""

    async def take(table: str, keys: Sequence[str]) -> dict[str, int]:
        found = await session.execute(_IDS, {"sequence": f"{table}_id_seq", "count": len(keys)})
        return dict(zip(keys, found.scalar_one() or (), strict=True))

    orders = await take("orders", [one.key for one in rows.orders])
    return Ids(orders, await take("positions", [one.key for one in rows.positions]))


def prepare(rows: Rows, ids: Ids, target: Target) -> Prepared:
    """Return rows as they are sent; pure, so that it may be done while other rows are being stored."""
    told = [one for one in rows.orders if one.at_venue] if target.venue == "paper" else []
    inserts = [
        (_POSITIONS, _positions(rows, ids), rows.positions),
        (_ORDERS, {**_orders(rows.orders, ids, target), "trade_mode": target.mode}, rows.orders),
        (_FILLS, _fills(rows, ids), rows.fills),
        (_RUNGS, _rungs(rows, ids), rows.rungs),
        (_AT_VENUE, _at_venue(told, target.code), told),
    ]
    return Prepared([(statement, values) for statement, values, new in inserts if new], _moved(rows))


class ImportRepository:
    """Stores what was read for one account, under one batch."""

    def __init__(self, session: AsyncSession, target: Target, batch_id: int) -> None:
        self.session, self.target = session, target
        self._mine = {"user_id": target.user_id, "account_id": target.account_id, "batch_id": batch_id}

    async def store(self, prepared: Prepared, reference: str, at: datetime) -> None:
        """Store rows and the money they moved; the account has as much cash afterwards as before.

        reference: unique within the batch. at: market now, when the money is booked. What was traded was paid for
        elsewhere, so a deposit stands against it. Raises IntegrityError, DataError: nothing of it is stored.
        """
        for statement, values in prepared.inserts:
            await self._insert(statement, values)
        await self._book(prepared.moved, reference, at)

    async def track(self, new: Sequence[Tracking]) -> None:
        """Store what was told of the system's own shares. Raises IntegrityError for one that is there."""
        if new:
            columns = {name: [getattr(one, name) for one in new] for name in Tracking.__slots__}
            columns["facts"] = [json.dumps(dict(one.facts)) for one in new]
            await self._insert(_TRACK, _TRACKED.values(**columns))

    async def deposit(self, amount: Decimal, reference: str, at: datetime) -> None:
        """Move money in (or out, when negative), at the account and at its paper venue."""
        await self._book({"deposit": amount}, reference, at)

    async def _insert(self, statement: Any, values: Mapping[str, object]) -> None:
        await self.session.execute(statement, {**self._mine, **values})

    async def _book(self, moved: Mapping[str, Decimal], reference: str, at: datetime) -> None:
        if any(moved.values()):
            values = {"kinds": list(moved), "amounts": list(moved.values()), "reference": reference, "at": at}
            await self._insert(_CASH, values)


def _moved(rows: Rows) -> Mapping[str, Decimal]:
    trades = [one.fill for one in rows.fills]
    bought = _value(one for one in trades if one.side is Side.BUY)
    sold = _value(one for one in trades if one.side is Side.SELL)
    charged = sum((one.charges for one in trades), Decimal(0))
    return {"buy": -bought, "sell": sold, "charges": -charged, "deposit": bought - sold + charged}


def import_tag(code: str, key: str) -> str:
    """Return the tag of an imported order: 20 capital letters and digits, the same for the same record and account."""
    return hashlib.sha256(f"{code}|{key}".encode()).hexdigest()[:_TAG_LETTERS].upper()


def _positions(rows: Rows, ids: Ids) -> Mapping[str, str]:
    new, held = rows.positions, [one.position for one in rows.positions]
    return _POSITION.values(
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


def _orders(new: Sequence[NewOrder], ids: Ids, target: Target) -> Mapping[str, str]:
    tags = [import_tag(target.code, one.key) for one in new]
    return _ORDER.values(
        id=[ids.orders[one.key] for one in new],
        symbol=[one.symbol for one in new],
        side=[one.side for one in new],
        order_type=[one.order_type for one in new],
        variety=[one.variety for one in new],
        entry_type=[one.entry_type for one in new],
        source=[one.source for one in new],
        quantity=[one.quantity for one in new],
        price=[one.price for one in new],
        status=[one.status for one in new],
        key=[one.key for one in new],
        tag=tags,
        leg=[one.leg for one in new],
        reference_price=[one.reference_price for one in new],
        reserved=[one.reserved for one in new],
        placed_at=[one.placed_at for one in new],
        session_day=[one.session_day for one in new],
        legacy_id=[one.legacy_id for one in new],
        facts=[_facts(one) for one in new],
        broker_id=[_broker_id(one, tag, target) for one, tag in zip(new, tags, strict=True)],
        filled=[one.filled_quantity for one in new],
        avg_price=[one.avg_price for one in new],
        reason=[one.reason for one in new],
        failure_kind=[one.failure_kind for one in new],
        retry_count=[one.retry_count for one in new],
        retry_until=[one.retry_until for one in new],
        first_failed_at=[one.first_failed_at for one in new],
        last_retry=[one.last_retry_attempt for one in new],
        position_id=[None if one.position is None else ids.positions[one.position] for one in new],
        filled_at=[one.filled_at for one in new],
        closed_at=[one.closed_at for one in new],
    )


def _facts(order: NewOrder) -> str:
    """Return an order's facts as one JSON object; its record, which is JSON already, goes in as it is."""
    facts = json.dumps(order.facts) if order.facts else "{}"
    if order.record is None:
        return facts
    return f'{facts[:-1]}{", " if order.facts else ""}"legacy": {order.record}}}'


def _broker_id(order: NewOrder, tag: str, target: Target) -> str | None:
    """Return the id the venue knows an order by: the paper venue its own, another the one it once gave.

    The predecessor's own paper ids began anew with each start, so they name nothing.
    """
    if order.at_venue and target.venue == "paper":
        return f"P{tag}"
    return None if order.source == "paper_trading" else order.legacy_id


def _fills(rows: Rows, ids: Ids) -> Mapping[str, str]:
    new, trades = rows.fills, [one.fill for one in rows.fills]
    return _FILL.values(
        order_id=[ids.orders[one.order] for one in new],
        key=[one.key for one in new],
        symbol=[one.symbol for one in trades],
        side=[one.side for one in trades],
        quantity=[one.quantity for one in trades],
        price=[one.price for one in trades],
        charges=[one.charges for one in trades],
        filled_at=[one.at for one in trades],
    )


def _rungs(rows: Rows, ids: Ids) -> Mapping[str, str]:
    new = rows.rungs
    return _RUNG.values(
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


def _at_venue(new: Sequence[NewOrder], code: str) -> Mapping[str, str]:
    """Return what the paper venue must know: the shares that are held and the orders that may still trade."""
    return _PAPER.values(
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


def _value(fills: Iterable[Any]) -> Decimal:
    """Return what fills are worth, each rounded to paise as its row is."""
    return sum((money(one.quantity * one.price) for one in fills), Decimal(0))


def _percent(gain: Decimal, cost: Decimal, closed_at: datetime | None) -> float | None:
    return float(100 * gain / cost) if closed_at is not None and cost else None
