"""One trade of the predecessor, read from either generation of its records: bought, perhaps again, perhaps sold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from db.import_rows import key_of
from ops.importers import fields as f
from ops.importers import words
from ops.importers.fields import Record, RefusedRecordError
from ops.importers.orders import told_key
from ops.importers.quantities import Bought, Reading, first_purchase
from trading.values import Price, Quantity, Symbol


# Not frozen, as what is stored of them: some hundred thousand are made in seconds.
@dataclass(slots=True)
class Reentry:
    """One more purchase. level: 30, 20 or 10 where it was written down. at: when it was placed or filled.

    key, facts, record: of a trade of its own that became part of another one.
    """

    quantity: Quantity
    price: Price
    at: datetime
    level: int | None
    rsi: float | None
    cycle: int | None
    legacy_id: str | None
    key: str | None = None
    facts: Mapping[str, Any] | None = None
    record: str | None = None


@dataclass(slots=True)
class Exit:
    """The sale of everything. stated_pnl: what the record says was earned, if it says so."""

    price: Price
    at: datetime
    reason: str | None
    rsi: float | None
    legacy_id: str | None


@dataclass(slots=True)
class Trade:
    """A trade as it was. key: what identifies it in every file. quantity, price: of the first purchase alone.
    read_as: how the quantity was told. cycle: of its ladder, where it was written down.

    record: all of it, as JSON. total, cost: of all its purchases, the cost unrounded.
    """

    key: str
    symbol: Symbol
    quantity: Quantity
    price: Price
    at: datetime
    read_as: Reading
    entry_rsi: float | None
    entry_type: str | None
    legacy_id: str | None
    reset_ready: bool
    reentries: Sequence[Reentry]
    exit: Exit | None
    record: str
    stated_pnl: float | None
    cycle: int | None = None

    total: Quantity = field(init=False)
    cost: Price = field(init=False)

    def __post_init__(self) -> None:
        total, cost = self.quantity, self.quantity * self.price
        for one in self.reentries:
            total += one.quantity
            cost += one.quantity * one.price
        self.total, self.cost = total, cost


def read_trade(value: object, text: str = "") -> Trade:
    """Return a record as a trade. text: as it was written. Raises RefusedRecordError."""
    record = f.record_of(value)
    price = f.price(record, "entry_price", "avg_price")
    at = f.moment(record, "entry_time", "timestamp", "placed_at")
    raw = f.quantity(record, "qty", "quantity")
    reentries = _reentries(record, at)
    sale = _exit(record)
    if sale is not None and sale.at < (reentries[-1].at if reentries else at):
        raise RefusedRecordError("bad_order", f"sold at {sale.at:%Y-%m-%d %H:%M}, before it was bought")
    told = f.first(record, "first_qty")
    stated_pnl = f.number_or_none(record, "pnl")
    reading, quantity, first_price = first_purchase(
        Bought(raw, price, [(one.quantity, one.price) for one in reentries]),
        capital=f.number_or_none(record, "capital"),
        exit_price=sale.price if sale else None,
        stated_pnl=stated_pnl,
        told=None if told is None else f.whole(told, "first_qty", least=1),
    )
    symbol = f.symbol(record, "symbol", "placed_symbol", "ticker")
    cycle = f.first(record, "cycle")
    return Trade(
        key=told_key(record) or key_of("trade", symbol, at.isoformat(), price.normalize(), raw),
        symbol=symbol,
        quantity=quantity,
        price=first_price,
        at=at,
        read_as=reading,
        entry_rsi=f.number_or_none(record, "rsi10"),
        entry_type=f.text_or_none(record, "entry_type"),
        legacy_id=order_id_of(record),
        reset_ready=f.first(record, "reset_ready") is True,
        reentries=reentries,
        exit=sale,
        record=f.kept(value, text),
        stated_pnl=stated_pnl,
        cycle=None if cycle is None else f.whole(cycle, "cycle"),
    )


def order_id_of(record: Record) -> str | None:
    """Return the broker's id of the order that opened a trade; its answer names it in one of several ways."""
    answer = record.get("order_response")
    found = f.text_or_none(answer, "nOrdNo", "neoOrdNo", "orderId", "order_id") if isinstance(answer, Mapping) else None
    return found or f.text_or_none(record, "order_id", "nOrdNo", "orderId")


def _reentries(record: Record, at: datetime) -> Sequence[Reentry]:
    """Return the later purchases in the order they were made. The older shape is the bare list."""
    written = record.get("reentries")
    if isinstance(written, Mapping):
        written = written.get("reentries")
    if not written:
        return ()
    if not isinstance(written, list):
        raise RefusedRecordError("bad_reentry", f"reentries is a {type(written).__name__}, not a list")
    found = [_reentry(number, one) for number, one in enumerate(written)]
    found.sort(key=lambda one: one.at)
    if found[0].at < at:
        raise RefusedRecordError(
            "bad_order", f"bought again at {found[0].at:%Y-%m-%d %H:%M}, before the first purchase"
        )
    return found


def _reentry(number: int, value: object) -> Reentry:
    try:
        record = f.record_of(value)
        level = f.first(record, "level")
        cycle = f.first(record, "cycle")
        return Reentry(
            quantity=f.quantity(record, "qty", "quantity"),
            price=f.price(record, "price"),
            at=f.moment(record, "time", "placed_at"),
            level=None if level is None else f.whole(level, "level"),
            rsi=f.number_or_none(record, "rsi"),
            cycle=None if cycle is None else f.whole(cycle, "cycle"),
            legacy_id=f.text_or_none(record, "order_id"),
        )
    except RefusedRecordError as error:
        raise RefusedRecordError(error.kind, f"reentries[{number}]: {error.reason}") from None


def _exit(record: Record) -> Exit | None:
    """Return the sale, None for a trade that is open. A record without a status is what its exit says."""
    status = f.first(record, "status")
    sold = f.first(record, "exit_price") is not None
    is_open = not sold if status is None else words.is_open_trade(status)
    if is_open:
        if sold:
            raise RefusedRecordError("contradiction", "its status is open, and it has an exit_price")
        return None
    return Exit(
        price=f.price(record, "exit_price"),
        at=f.moment(record, "exit_time"),
        reason=f.cut_text(record, "exit_reason"),
        rsi=f.number_or_none(record, "exit_rsi10", "exit_rsi"),
        legacy_id=f.text_or_none(record, "sell_order_id"),
    )


def as_one(trades: Sequence[Trade]) -> Trade:
    """Return several open trades of one share as one position: the first purchase, and every other as one more."""
    first, *others = sorted(trades, key=lambda one: one.at)
    if not others:
        return first
    more = [one for trade in others for one in (_as_reentry(trade), *trade.reentries)]
    return replace(first, reentries=sorted([*first.reentries, *more], key=lambda one: one.at))


def _as_reentry(trade: Trade) -> Reentry:
    return Reentry(
        trade.quantity, trade.price, trade.at, None, trade.entry_rsi, None, trade.legacy_id, trade.key,
        facts_of(trade), trade.record,
    )  # fmt: skip


def facts_of(trade: Trade) -> dict[str, Any]:
    """Return what is kept of a trade's record beside its columns."""
    known = {"rsi": trade.entry_rsi, "entry_type": trade.entry_type, "read_as": trade.read_as.value}
    return {name: value for name, value in known.items() if value is not None}
