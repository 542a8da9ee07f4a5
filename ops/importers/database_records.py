"""Rows of a database as records of the files' shape, and trades read from those: the same rules for both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from db.import_rows import key_of
from ops.importers import fields as f
from ops.importers.database_deals import Cycle, Deal, at_average, reentries_of
from ops.importers.database_rows import Row
from ops.importers.fields import RefusedRecordError
from ops.importers.quantities import Bought, Reading
from ops.importers.trade import Trade, read_trade
from trading.values import Price, Quantity, Side

# What of an average may differ before it is worth a word.
_AVERAGE_OFF = Decimal("0.02")
_MANUAL = "manual"


@dataclass(frozen=True, slots=True)
class Told:
    """A trade, and what people should know of how it was read."""

    trade: Trade
    notes: tuple[str, ...] = ()


def trade_of_position(cycle: Cycle) -> Told:
    """Return a position row as a trade: by its orders where they are all there, else by what the row itself tells.

    Raises RefusedRecordError, of kind `size_lost` when it was closed, its quantity zeroed, and no order tells its size.
    """
    row, bought, sold = cycle.row, cycle.of(Side.BUY), cycle.of(Side.SELL)
    size = _size(cycle)
    record = {**row, **_shape(row, size), **_sale(cycle, size), "orders": [one.row for one in (*bought[:1], *sold)]}
    if bought:
        record |= {name: one for name, one in _entry(bought[0].row).items() if record[name] is None}
    if bought and sum(one.quantity for one in bought) == size and all(one.price for one in bought):
        told = _by_orders(record, bought)
    else:
        told = _by_row(record, row, size)
    notes = [*told.notes, *_doubts(told.trade, row, size)]
    if cycle.closed_at is not None and len(sold) > 1:
        notes.append(f"sold in {len(sold)} parts; told as one sale at their average price")
    return Told(told.trade, tuple(notes))


def trade_of_deals(deals: Sequence[Deal]) -> Told:
    """Return orders as one trade: purchases, and if there are any the sales of all of it. Raises RefusedRecordError."""
    bought = [one for one in deals if one.side is Side.BUY]
    sold = [one for one in deals if one.side is Side.SELL]
    first, size = bought[0], sum(one.quantity for one in bought)
    at_average(bought)
    sale = {} if not sold else _sold(sold)
    record = {**first.row, **_shape(first.row, size), "status": "closed" if sold else "open", **sale}
    record |= {"reentries": None, "orders": [one.row for one in (first, *sold)]}
    notes = ["no position tells of it; its orders do"]
    if len(sold) > 1:
        notes.append(f"sold in {len(sold)} parts; told as one sale at their average price")
    return Told(_by_orders(record, bought).trade, tuple(notes))


def is_sum_of_parts(cycle: Cycle, sold: Sequence[Deal]) -> bool:
    """Tell whether an open position's purchases, all at known prices, are what it holds and what was sold of it."""
    bought = cycle.of(Side.BUY)
    if not bought or any(one.price is None for one in (*bought, *sold)):
        return False
    try:
        held = f.whole(f.first(cycle.row, "quantity") or 0, "quantity", least=1)
    except RefusedRecordError:
        return False
    parts = held + sum(one.quantity for one in sold)
    return sum(one.quantity for one in bought) == parts and bought[0].at <= min(one.at for one in sold)


def trade_of_part(cycle: Cycle, sale: Deal) -> Told:
    """Return what was sold of a position that is still open as a trade of its own, bought at the average.

    What is left keeps the ids of the purchases. Raises RefusedRecordError.
    """
    first, average = cycle.of(Side.BUY)[0], at_average(cycle.of(Side.BUY))[1]
    key = key_of("part", sale.place, first.row["symbol"], sale.at.isoformat(), sale.quantity, sale.price)
    row = {**first.row, "broker_order_id": None, "order_id": None, "import_key": key}
    told = trade_of_deals([replace(first, row=row, quantity=sale.quantity, price=average), sale])
    return Told(told.trade, (f"sold of {cycle.place}, which is open; told as a trade bought at its average price",))


def _size(cycle: Cycle) -> Quantity:
    """Return the shares of a position: of an open one those held, of a closed one all of them. Raises."""
    written = f.whole(f.first(cycle.row, "quantity") or 0, "quantity")
    if written:
        return written
    if cycle.closed_at is None:
        raise RefusedRecordError("nothing_held", "it is open and holds nothing")
    size = sum(one.quantity for one in cycle.of(Side.SELL)) or sum(one.quantity for one in cycle.of(Side.BUY))
    if not size:
        raise RefusedRecordError("size_lost", "its quantity was zeroed when it was closed, and no order tells its size")
    return size


def _shape(row: Row, size: Quantity) -> dict[str, Any]:
    """Return the names that the files have for what a row says. A profit that a row states tells no quantity here."""
    ladder = row.get("reentries")
    ladder = ladder.get("_cycle_metadata") if isinstance(ladder, Mapping) else None
    return {
        **_entry(row),
        "qty": size,
        "entry_price": f.first(row, "initial_entry_price", "avg_price", "execution_price"),
        "entry_time": f.first(row, "opened_at", "filled_at", "execution_time", "placed_at"),
        "reset_ready": isinstance(ladder, Mapping) and bool(ladder.get("last_rsi_above_30")),
        "status": "closed" if row.get("closed_at") else "open",
        "reentries": reentries_of(row),
        "order_id": None,
        "sell_order_id": None,
        "pnl": None,
        "exit_price": None,
    }


def _entry(row: Row) -> dict[str, Any]:
    """Return what a position's or an order's row says of how it was entered."""
    facts = _facts(row)
    manual = _MANUAL in {row.get("entry_type"), row.get("orig_source")}
    return {
        "ticker": f.first(facts, "ticker"),
        "rsi10": f.first({**facts, **row}, "entry_rsi", "rsi10", "rsi"),
        "entry_type": _MANUAL if manual else None,
    }


def _facts(row: Row) -> Row:
    found = f.first(row, "order_metadata", "metadata")
    return found if isinstance(found, Mapping) else {}


def _sale(cycle: Cycle, size: Quantity) -> dict[str, Any]:
    """Return how a position was left: by its row, or by its sales where the row does not tell or there are several."""
    if cycle.closed_at is None:
        return {}
    sold, row = cycle.of(Side.SELL), cycle.row
    price = f.first(row, "exit_price")
    if sold and (price is None or len(sold) > 1) and sum(one.quantity for one in sold) == size:
        price = at_average(sold)[1]
    return {
        "exit_price": price,
        "exit_time": cycle.closed_at,
        "exit_reason": f.first(row, "exit_reason"),
        "exit_rsi10": f.first(row, "exit_rsi", "exit_rsi10"),
        "sell_order_id": sold[-1].legacy_id if sold else None,
    }


def _sold(sold: Sequence[Deal]) -> dict[str, Any]:
    facts = _facts(sold[-1].row)
    return {
        "exit_price": at_average(sold)[1],
        "exit_time": sold[-1].at,
        "exit_reason": f.first(facts, "exit_reason"),
        "exit_rsi10": f.first(facts, "exit_rsi10", "exit_rsi"),
        "sell_order_id": sold[-1].legacy_id,
    }


def _by_orders(record: dict[str, Any], bought: Sequence[Deal]) -> Told:
    """Return a trade whose purchases are orders, each with what the position says of its level."""
    first, *later = bought
    known = [one for one in record["reentries"] or () if isinstance(one, Mapping)]
    record["reentries"] = [_reentry(one, known) for one in later]
    record |= {"entry_price": first.price, "order_id": first.legacy_id}
    record["entry_time"] = first.at
    trade = read_trade(record)
    again = [replace(one, record=f.kept(deal.row, "")) for one, deal in zip(trade.reentries, later, strict=True)]
    price = first.price or trade.price
    return Told(replace(trade, quantity=first.quantity, price=price, read_as=Reading.SINGLE, reentries=again))


def _reentry(deal: Deal, known: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a later purchase as the files have it. known: what is told of them, less each that was used."""
    ids = {one for one in (deal.row.get("broker_order_id"), deal.row.get("order_id")) if one}
    same = next((one for one in known if one.get("order_id") in ids), None)
    same = same or next((one for one in known if f.first(one, "qty", "quantity") == deal.quantity), None)
    if same is not None:
        known.remove(same)
    ladder = {name: (same or {}).get(name) for name in ("level", "rsi", "cycle")}
    return {**ladder, "qty": deal.quantity, "price": deal.price, "time": deal.at, "order_id": deal.legacy_id}


def _by_row(record: dict[str, Any], row: Row, size: Quantity) -> Told:
    """Return a trade by its own row, whose quantity counts every purchase and whose price is their average."""
    first_order = next(iter(record["orders"]), None)
    if first_order is not None and first_order.get("side", "").lower() == "buy":
        record["order_id"] = f.first(first_order, "broker_order_id", "order_id")
    trade = read_trade(record)
    average = f.price(row, "avg_price", "initial_entry_price")
    bought = Bought(size, average, [(one.quantity, one.price) for one in trade.reentries])
    if not trade.reentries:
        return Told(replace(trade, quantity=size, price=average, read_as=Reading.SINGLE))
    if bought.rest <= 0:
        alone = replace(trade, quantity=size, price=average, read_as=Reading.SINGLE, reentries=())
        return Told(alone, ("its later purchases are as many as it holds or more: told as one at its average price",))
    price = _first_price(row, bought)
    return Told(replace(trade, quantity=bought.rest, price=price, read_as=Reading.SINGLE))


def _first_price(row: Row, bought: Bought) -> Price:
    price = f.price_or_none(row, "initial_entry_price") or bought.first_price
    if price <= 0:
        raise RefusedRecordError("contradiction", "its later purchases alone cost more than all of it")
    return price


def _doubts(trade: Trade, row: Row, size: Quantity) -> list[str]:
    average = f.price_or_none(row, "avg_price")
    own = trade.cost / trade.total
    doubts = []
    if average is not None and abs(own - average) > _AVERAGE_OFF * average:
        doubts.append(f"its purchases cost {own:.2f} a share, its row says {average}")
    if trade.total != size:
        doubts.append(f"its purchases are {trade.total} shares, its row says {size}")
    return doubts
