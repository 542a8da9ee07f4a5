"""The bulk statements of imports: many records at a time, one statement a table, ids taken beforehand."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.import_rows import NewOrder, Rows
from trading.orders import LIVE, order_tag
from trading.values import Side, Symbol, money

STRATEGY = "dip"
_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
# An order that the exchange has not seen yet rests parked at the paper venue; one that ended is what it ended as.
_VENUE_WORDS = {"filled": "complete", "parked": "parked", "open": "open", "partial": "open"}

_IDS = text("SELECT nextval(CAST(:sequence AS regclass)) FROM generate_series(1, :count)")
_KNOWN = text(
    """
    SELECT intent_key, import_batch_id, metadata ->> 'content' AS content FROM orders
    WHERE user_id = :user_id AND account_id = :account_id AND intent_key = ANY(CAST(:keys AS text[]))
    """
)
_LEGACY = text(
    """
    SELECT order_id, id, status, import_batch_id FROM orders
    WHERE user_id = :user_id AND account_id = :account_id AND order_id = ANY(CAST(:ids AS text[]))
    """
)
_HELD = text(
    """
    SELECT symbol, id, quantity, import_batch_id FROM positions
    WHERE user_id = :user_id AND account_id = :account_id AND closed_at IS NULL
      AND symbol = ANY(CAST(:symbols AS text[]))
    """
)
_LIVE_SIDES = text(
    f"""
    SELECT symbol, side, id FROM orders
    WHERE user_id = :user_id AND account_id = :account_id AND status IN ({_LIVE})
      AND symbol = ANY(CAST(:symbols AS text[]))
    """
)
_POSITIONS = text(
    """
    INSERT INTO positions (id, user_id, account_id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges,
        opened_at, closed_at, exit_price, exit_reason, entry_rsi, exit_rsi, realized_pnl_pct, sell_order_id,
        initial_entry_price, last_reentry_price, reentry_count, cycle, reset_ready, import_batch_id)
    SELECT p.id, :user_id, :account_id, p.symbol, p.quantity, p.entry_quantity, p.avg_price, p.realized_pnl, p.charges,
           p.opened_at, p.closed_at, p.exit_price, p.exit_reason, p.entry_rsi, p.exit_rsi, p.realized_pnl_pct,
           p.sell_order_id, p.initial_price, p.last_reentry_price, p.reentry_count, p.cycle, p.reset_ready, :batch_id
    FROM unnest(CAST(:ids AS bigint[]), CAST(:symbols AS text[]), CAST(:quantities AS int[]),
                CAST(:entry_quantities AS int[]), CAST(:averages AS numeric[]), CAST(:realized AS numeric[]),
                CAST(:charges AS numeric[]), CAST(:opened AS timestamptz[]), CAST(:closed AS timestamptz[]),
                CAST(:exit_prices AS numeric[]), CAST(:exit_reasons AS text[]), CAST(:entry_rsis AS float[]),
                CAST(:exit_rsis AS float[]), CAST(:pcts AS float[]), CAST(:sell_orders AS bigint[]),
                CAST(:initial_prices AS numeric[]), CAST(:last_reentries AS numeric[]),
                CAST(:reentry_counts AS int[]), CAST(:cycles AS int[]), CAST(:reset_ready AS bool[]))
         AS p(id, symbol, quantity, entry_quantity, avg_price, realized_pnl, charges, opened_at, closed_at, exit_price,
              exit_reason, entry_rsi, exit_rsi, realized_pnl_pct, sell_order_id, initial_price, last_reentry_price,
              reentry_count, cycle, reset_ready)
    """
)
_ORDERS = text(
    f"""
    INSERT INTO orders (id, user_id, account_id, symbol, side, order_type, variety, trade_mode, entry_type, orig_source,
        quantity, price, status, intent_key, tag, strategy, leg, rank, reference_price, reserved, as_of, session_day,
        order_id, metadata, broker_order_id, filled_quantity, avg_price, reason, failure_kind, retry_count, retry_until,
        first_failed_at, last_retry_attempt, position_id, config_version, import_batch_id, placed_at, filled_at,
        closed_at, updated_at)
    SELECT o.id, :user_id, :account_id, o.symbol, o.side, o.order_type, o.variety, :trade_mode, o.entry_type, o.source,
           o.quantity, o.price, o.status, o.key, o.tag, '{STRATEGY}', o.leg, 0, o.reference_price, o.reserved,
           o.placed_at, o.session_day, o.legacy_id, CAST(o.facts AS jsonb), o.broker_order_id, o.filled_quantity,
           o.avg_price, o.reason, o.failure_kind, o.retry_count, o.retry_until, o.first_failed_at, o.last_retry,
           o.position_id, 0, :batch_id, o.placed_at, o.filled_at, o.closed_at, now()
    FROM unnest(CAST(:ids AS bigint[]), CAST(:symbols AS text[]), CAST(:sides AS text[]), CAST(:types AS text[]),
                CAST(:varieties AS text[]), CAST(:entry_types AS text[]), CAST(:sources AS text[]),
                CAST(:quantities AS int[]), CAST(:prices AS numeric[]), CAST(:statuses AS text[]),
                CAST(:keys AS text[]), CAST(:tags AS text[]), CAST(:legs AS text[]), CAST(:references AS numeric[]),
                CAST(:reserved AS numeric[]), CAST(:placed AS timestamptz[]), CAST(:days AS date[]),
                CAST(:legacy_ids AS text[]), CAST(:facts AS text[]), CAST(:broker_ids AS text[]),
                CAST(:filled AS int[]), CAST(:averages AS numeric[]), CAST(:reasons AS text[]),
                CAST(:failures AS text[]), CAST(:retries AS int[]), CAST(:retry_until AS timestamptz[]),
                CAST(:first_failed AS timestamptz[]), CAST(:last_retries AS timestamptz[]),
                CAST(:positions AS bigint[]), CAST(:filled_at AS timestamptz[]), CAST(:closed_at AS timestamptz[]))
         AS o(id, symbol, side, order_type, variety, entry_type, source, quantity, price, status, key, tag, leg,
              reference_price, reserved, placed_at, session_day, legacy_id, facts, broker_order_id, filled_quantity,
              avg_price, reason, failure_kind, retry_count, retry_until, first_failed_at, last_retry, position_id,
              filled_at, closed_at)
    """
)
_FILLS = text(
    """
    INSERT INTO fills (user_id, account_id, order_id, broker_fill_id, symbol, side, quantity, price, charges, filled_at,
        import_batch_id)
    SELECT :user_id, :account_id, f.order_id, f.key, f.symbol, f.side, f.quantity, f.price, f.charges, f.filled_at,
           :batch_id
    FROM unnest(CAST(:orders AS bigint[]), CAST(:keys AS text[]), CAST(:symbols AS text[]), CAST(:sides AS text[]),
                CAST(:quantities AS int[]), CAST(:prices AS numeric[]), CAST(:charges AS numeric[]),
                CAST(:filled AS timestamptz[]))
         AS f(order_id, key, symbol, side, quantity, price, charges, filled_at)
    """
)
_RUNGS = text(
    """
    INSERT INTO reentries (user_id, account_id, position_id, order_id, symbol, cycle, level, rsi, day, quantity, price,
        filled_at, import_batch_id)
    SELECT :user_id, :account_id, r.position_id, r.order_id, r.symbol, r.cycle, r.level, r.rsi, r.day, r.quantity,
           r.price, r.filled_at, :batch_id
    FROM unnest(CAST(:positions AS bigint[]), CAST(:orders AS bigint[]), CAST(:symbols AS text[]),
                CAST(:cycles AS int[]), CAST(:levels AS int[]), CAST(:rsis AS float[]), CAST(:days AS date[]),
                CAST(:quantities AS int[]), CAST(:prices AS numeric[]), CAST(:filled AS timestamptz[]))
         AS r(position_id, order_id, symbol, cycle, level, rsi, day, quantity, price, filled_at)
    """
)
_AT_VENUE = text(
    """
    INSERT INTO paper_orders (account_id, user_id, tag, symbol, side, order_type, limit_price, quantity, word,
        session_day, placed_at, filled_quantity, fill_price, filled_at, import_batch_id)
    SELECT :account_id, :user_id, o.tag, o.symbol, o.side, o.order_type, o.price, o.quantity, o.word, o.session_day,
           o.placed_at, o.filled_quantity, o.avg_price, o.filled_at, :batch_id
    FROM unnest(CAST(:tags AS text[]), CAST(:symbols AS text[]), CAST(:sides AS text[]), CAST(:types AS text[]),
                CAST(:prices AS numeric[]), CAST(:quantities AS int[]), CAST(:words AS text[]), CAST(:days AS date[]),
                CAST(:placed AS timestamptz[]), CAST(:filled AS int[]), CAST(:averages AS numeric[]),
                CAST(:filled_at AS timestamptz[]))
         AS o(tag, symbol, side, order_type, price, quantity, word, session_day, placed_at, filled_quantity, avg_price,
              filled_at)
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
class KnownOrder:
    """An order that is there already. batch_id: None when no import made it."""

    batch_id: int | None
    content: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """Where an import goes. code: of the account, which tags are made from. venue: its broker."""

    user_id: int
    account_id: int
    code: str
    mode: str
    venue: str


class ImportRepository:
    """Stores what was read for one account, under one batch."""

    def __init__(self, session: AsyncSession, target: Target, batch_id: int) -> None:
        self.session, self.target = session, target
        self._mine = {"user_id": target.user_id, "account_id": target.account_id}
        self._of_batch = self._mine | {"batch_id": batch_id}
        self._batch_id = batch_id

    async def known(self, keys: Collection[str]) -> dict[str, KnownOrder]:
        """Return which keys have an order already."""
        rows = (await self.session.execute(_KNOWN, {**self._mine, "keys": list(keys)})).all()
        return {row.intent_key: KnownOrder(row.import_batch_id, row.content) for row in rows}

    async def known_ids(self, legacy_ids: Collection[str]) -> dict[str, Any]:
        """Return the orders that carry an id of the old system: id -> (id, status, import_batch_id)."""
        if not legacy_ids:
            return {}
        rows = (await self.session.execute(_LEGACY, {**self._mine, "ids": list(legacy_ids)})).all()
        return {row.order_id: row for row in rows}

    async def held(self, symbols: Collection[str]) -> dict[str, Any]:
        """Return the open positions in some shares: symbol -> (id, quantity, import_batch_id)."""
        if not symbols:
            return {}
        rows = (await self.session.execute(_HELD, {**self._mine, "symbols": list(symbols)})).all()
        return {row.symbol: row for row in rows}

    async def live_sides(self, symbols: Collection[str]) -> set[tuple[str, str]]:
        """Return for which shares and sides an order may still trade."""
        if not symbols:
            return set()
        rows = (await self.session.execute(_LIVE_SIDES, {**self._mine, "symbols": list(symbols)})).all()
        return {(row.symbol, row.side) for row in rows}

    async def store(self, rows: Rows, reference: str, at: datetime) -> None:
        """Store rows and the money they moved; the account has as much cash afterwards as before.

        reference: unique within the batch. at: market now, when the money is booked. What was traded was paid for
        elsewhere, so a deposit stands against it. Raises IntegrityError, DataError: nothing of it is stored.
        """
        order_ids = dict(
            zip((one.key for one in rows.orders), await self._ids("orders", len(rows.orders)), strict=True)
        )
        position_ids = dict(
            zip((one.key for one in rows.positions), await self._ids("positions", len(rows.positions)), strict=True)
        )
        await self._positions(rows, position_ids, order_ids)
        await self._orders(rows, position_ids, order_ids)
        await self._fills(rows, order_ids)
        await self._rungs(rows, position_ids, order_ids)
        await self._at_venue([one for one in rows.orders if one.at_venue])
        await self._cash(rows, reference, at)

    async def deposit(self, amount: Decimal, reference: str, at: datetime) -> None:
        """Move money in (or out, when negative), at the account and at its paper venue."""
        await self._book({"deposit": amount}, reference, at)

    async def _ids(self, table: str, count: int) -> list[int]:
        if not count:
            return []
        found = await self.session.execute(_IDS, {"sequence": f"{table}_id_seq", "count": count})
        return list(found.scalars())

    async def _positions(self, rows: Rows, ids: Mapping[str, int], order_ids: Mapping[str, int]) -> None:
        if not rows.positions:
            return
        new, held = rows.positions, [one.position for one in rows.positions]
        await self.session.execute(
            _POSITIONS,
            self._of_batch
            | {
                "ids": [ids[one.key] for one in new],
                "symbols": [one.symbol for one in held],
                "quantities": [one.quantity for one in held],
                "entry_quantities": [one.entry_quantity for one in held],
                "averages": [one.average_price for one in held],
                "realized": [one.realized_pnl for one in held],
                "charges": [one.charges for one in held],
                "opened": [one.opened_at for one in held],
                "closed": [one.closed_at for one in held],
                "exit_prices": [one.exit_price for one in new],
                "exit_reasons": [one.exit_reason for one in new],
                "entry_rsis": [one.entry_rsi for one in new],
                "exit_rsis": [one.exit_rsi for one in new],
                "pcts": [
                    _percent(one.realized_pnl, one.entry_quantity * one.average_price, one.closed_at) for one in held
                ],
                "sell_orders": [None if one.exit_order is None else order_ids[one.exit_order] for one in new],
                "initial_prices": [one.initial_price for one in new],
                "last_reentries": [one.last_reentry_price for one in new],
                "reentry_counts": [one.reentry_count for one in new],
                "cycles": [one.cycle for one in new],
                "reset_ready": [one.reset_ready for one in new],
            },
        )

    async def _orders(self, rows: Rows, position_ids: Mapping[str, int], ids: Mapping[str, int]) -> None:
        if not rows.orders:
            return
        new, code = rows.orders, self.target.code
        tags = [order_tag(code, one.key) for one in new]
        await self.session.execute(
            _ORDERS,
            self._of_batch
            | {
                "trade_mode": self.target.mode,
                "ids": [ids[one.key] for one in new],
                "symbols": [one.symbol for one in new],
                "sides": [one.side.value for one in new],
                "types": [one.order_type for one in new],
                "varieties": [one.variety for one in new],
                "entry_types": [one.entry_type for one in new],
                "sources": [one.source for one in new],
                "quantities": [one.quantity for one in new],
                "prices": [one.price for one in new],
                "statuses": [one.status.value for one in new],
                "keys": [one.key for one in new],
                "tags": tags,
                "legs": [one.leg for one in new],
                "references": [one.reference_price for one in new],
                "reserved": [one.reserved for one in new],
                "placed": [one.placed_at for one in new],
                "days": [one.session_day for one in new],
                "legacy_ids": [one.legacy_id for one in new],
                "facts": [json.dumps(one.facts) for one in new],
                "broker_ids": [self._broker_id(one, tag) for one, tag in zip(new, tags, strict=True)],
                "filled": [one.filled_quantity for one in new],
                "averages": [one.avg_price for one in new],
                "reasons": [one.reason for one in new],
                "failures": [one.failure_kind for one in new],
                "retries": [one.retry_count for one in new],
                "retry_until": [one.retry_until for one in new],
                "first_failed": [one.first_failed_at for one in new],
                "last_retries": [one.last_retry_attempt for one in new],
                "positions": [None if one.position is None else position_ids[one.position] for one in new],
                "filled_at": [one.filled_at for one in new],
                "closed_at": [one.closed_at for one in new],
            },
        )

    def _broker_id(self, order: NewOrder, tag: str) -> str | None:
        """Return the id the venue knows an order by: the paper venue its own, another the one it once gave."""
        return f"P{tag}" if order.at_venue and self.target.venue == "paper" else order.legacy_id

    async def _fills(self, rows: Rows, order_ids: Mapping[str, int]) -> None:
        if not rows.fills:
            return
        new, trades = rows.fills, [one.fill for one in rows.fills]
        await self.session.execute(
            _FILLS,
            self._of_batch
            | {
                "orders": [order_ids[one.order] for one in new],
                "keys": [one.key for one in new],
                "symbols": [one.symbol for one in trades],
                "sides": [one.side.value for one in trades],
                "quantities": [one.quantity for one in trades],
                "prices": [one.price for one in trades],
                "charges": [one.charges for one in trades],
                "filled": [one.at for one in trades],
            },
        )

    async def _rungs(self, rows: Rows, position_ids: Mapping[str, int], order_ids: Mapping[str, int]) -> None:
        if not rows.rungs:
            return
        new = rows.rungs
        await self.session.execute(
            _RUNGS,
            self._of_batch
            | {
                "positions": [position_ids[one.position] for one in new],
                "orders": [order_ids[one.order] for one in new],
                "symbols": [one.symbol for one in new],
                "cycles": [one.cycle for one in new],
                "levels": [one.level for one in new],
                "rsis": [one.rsi for one in new],
                "days": [one.day for one in new],
                "quantities": [one.quantity for one in new],
                "prices": [one.price for one in new],
                "filled": [one.at for one in new],
            },
        )

    async def _at_venue(self, new: Sequence[NewOrder]) -> None:
        """Tell the paper venue of what it must know: the shares that are held and the orders that may still trade."""
        if not new or self.target.venue != "paper":
            return
        await self.session.execute(
            _AT_VENUE,
            self._of_batch
            | {
                "tags": [order_tag(self.target.code, one.key) for one in new],
                "symbols": [one.symbol for one in new],
                "sides": [one.side.value for one in new],
                "types": [one.order_type for one in new],
                "prices": [one.price for one in new],
                "quantities": [one.quantity for one in new],
                "words": [_VENUE_WORDS[one.status.value] for one in new],
                "days": [one.session_day for one in new],
                "placed": [one.placed_at for one in new],
                "filled": [one.filled_quantity for one in new],
                "averages": [one.avg_price for one in new],
                "filled_at": [one.filled_at for one in new],
            },
        )

    async def _cash(self, rows: Rows, reference: str, at: datetime) -> None:
        trades = [one.fill for one in rows.fills]
        bought = _value(one for one in trades if one.side is Side.BUY)
        sold = _value(one for one in trades if one.side is Side.SELL)
        charged = sum((one.charges for one in trades), Decimal(0))
        moved = {"buy": -bought, "sell": sold, "charges": -charged, "deposit": bought - sold + charged}
        await self._book(moved, reference, at)

    async def _book(self, moved: Mapping[str, Decimal], reference: str, at: datetime) -> None:
        if any(moved.values()):
            values = {"kinds": list(moved), "amounts": list(moved.values()), "reference": reference, "at": at}
            await self.session.execute(_CASH, self._of_batch | values)


def _value(fills: Iterable[Any]) -> Decimal:
    """Return what fills are worth, each rounded to paise as its row is."""
    return sum((money(one.quantity * one.price) for one in fills), Decimal(0))


def _percent(gain: Decimal, cost: Decimal, closed_at: datetime | None) -> float | None:
    return float(100 * gain / cost) if closed_at is not None and cost else None


def symbols_of(rows: Iterable[NewOrder]) -> set[Symbol]:
    """Return the shares that orders are in."""
    return {one.symbol for one in rows}
