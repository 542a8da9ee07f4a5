"""Stores what an import read: many records at a time, one statement a table, ids taken beforehand."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db import import_values as values
from db.columns import Columns
from db.import_rows import Rows, Tracking
from db.import_values import Ids, Target

STRATEGY = "dip"

_IDS = text("SELECT array_agg(nextval(CAST(:sequence AS regclass))) FROM generate_series(1, :count)")

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
    FROM {values.POSITION.rows("p")}
    """
)
# An order and the fill that it tells itself, in one statement: its columns are sent once.
_ORDERS = text(
    f"""
    WITH made AS (
        INSERT INTO orders (id, user_id, account_id, symbol, side, order_type, variety, trade_mode, entry_type,
            orig_source, quantity, price, status, intent_key, tag, strategy, leg, rank, reference_price, reserved,
            as_of, session_day, order_id, metadata, old_record, broker_order_id, filled_quantity, avg_price, reason,
            failure_kind, retry_count, retry_until, first_failed_at, last_retry_attempt, position_id, config_version,
            import_batch_id, placed_at, filled_at, closed_at)
        SELECT o.id, :user_id, :account_id, o.symbol, o.side, o.order_type, o.variety, :trade_mode, o.entry_type,
               o.source, o.quantity, o.price, coalesce(o.status, 'filled'), o.key, o.tag, '{STRATEGY}', o.leg, 0,
               o.reference_price, coalesce(o.reserved, 0), o.placed_at, o.session_day, o.legacy_id,
               CAST(o.facts AS jsonb), CAST(o.record AS json), o.broker_id, coalesce(o.filled, o.quantity),
               CASE WHEN o.filled IS NULL THEN o.reference_price ELSE o.avg_price END, o.reason, o.failure_kind,
               coalesce(o.retry_count, 0), o.retry_until, o.first_failed_at, o.last_retry, o.position_id, 0, :batch_id,
               o.placed_at, CASE WHEN o.filled IS NULL THEN o.placed_at ELSE o.filled_at END,
               CASE WHEN o.filled IS NULL THEN o.placed_at ELSE o.closed_at END
        FROM {values.ORDER.rows("o")}
        RETURNING id, intent_key, symbol, side, filled_quantity, avg_price, filled_at)
    INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at,
        import_batch_id)
    SELECT :user_id, :account_id, id, intent_key || '\\:1', symbol, side, filled_quantity, avg_price, 0, filled_at,
           :batch_id
    FROM made WHERE filled_quantity > 0 AND id <> ALL(CAST(:apart AS bigint[]))
    """
)
_FILLS = text(
    f"""
    INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at,
        import_batch_id)
    SELECT :user_id, :account_id, f.order_id, f.key, f.symbol, f.side, f.quantity, f.price, f.charges, f.filled_at,
           :batch_id
    FROM {values.FILL.rows("f")}
    """
)
_RUNGS = text(
    f"""
    INSERT INTO reentries (user_id, account_id, position_id, order_id, symbol, cycle, level, rsi, day, quantity, price,
        filled_at, import_batch_id)
    SELECT :user_id, :account_id, r.position_id, r.order_id, r.symbol, r.cycle, r.level, r.rsi, r.day, r.quantity,
           r.price, r.filled_at, :batch_id
    FROM {values.RUNG.rows("r")}
    """
)
_AT_VENUE = text(
    f"""
    INSERT INTO paper_orders (account_id, user_id, tag, symbol, side, order_type, limit_price, quantity, word,
        session_day, placed_at, filled_quantity, fill_price, filled_at, import_batch_id)
    SELECT :account_id, :user_id, o.tag, o.symbol, o.side, o.order_type, o.price, o.quantity, o.word, o.session_day,
           o.placed_at, o.filled, o.avg_price, o.filled_at, :batch_id
    FROM {values.PAPER.rows("o")}
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
    moved AS (SELECT coalesce(sum(amount), 0) AS amount FROM booked),
    venue AS (
        UPDATE paper_books b SET cash = b.cash + m.amount FROM moved m
        WHERE b.account_id = :account_id AND b.user_id = :user_id AND m.amount <> 0)
    -- Trades leave an account's money as it is, and its row with it: each version of that row is one more to pass over
    -- for every foreign key that is looked up in it.
    UPDATE broker_accounts a SET cash = a.cash + m.amount FROM moved m
    WHERE a.id = :account_id AND a.user_id = :user_id AND m.amount <> 0
    """
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows as the parameters of their statements, and the money they moved by kind."""

    inserts: Sequence[tuple[Any, Mapping[str, object]]]
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
    orders = {
        **values.orders(rows.orders, ids, target),
        "trade_mode": target.mode,
        "apart": list({ids.orders[one.order] for one in rows.fills}),
    }
    inserts = [
        (_POSITIONS, values.positions(rows, ids), rows.positions),
        (_ORDERS, orders, rows.orders),
        (_FILLS, values.fills(rows, ids), rows.fills),
        (_RUNGS, values.rungs(rows, ids), rows.rungs),
        (_AT_VENUE, values.at_venue(told, target.code), told),
    ]
    return Prepared([(statement, sent) for statement, sent, new in inserts if new], values.moved(rows))


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
        for statement, sent in prepared.inserts:
            await self._insert(statement, sent)
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

    async def _insert(self, statement: Any, sent: Mapping[str, object]) -> None:
        await self.session.execute(statement, {**self._mine, **sent})

    async def _book(self, moved: Mapping[str, Decimal], reference: str, at: datetime) -> None:
        if any(moved.values()):
            sent = {"kinds": list(moved), "amounts": list(moved.values()), "reference": reference, "at": at}
            await self._insert(_CASH, sent)
