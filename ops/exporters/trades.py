"""A position and its deals as a record of `trades_history.json`: what the old record said, and what became of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ops.exporters.errors import UnsoundRecordError
from ops.exporters.writing import Record, names, number, said, stamp
from ops.importers.fields import RefusedRecordError, as_moment
from ops.importers.trades_file import KIND
from trading.reentry import LEVELS, taken_at_entry

Row = Mapping[str, Any]

# The other generation's names of what is written; left in, they would contradict it.
_OTHER_NAMES = ("avg_price", "quantity", "timestamp", "placed_at", "exit_rsi")
# Of characters; below what an import takes as one record.
_LONGEST = 16_000
_KIND_OF_ENTRY = {"manual": "manual"}


def trade_record(position: Row, deals: Sequence[Row]) -> Record:
    """Return a position as one trade. deals: its orders with what each was filled with, oldest first.

    `qty` is of all purchases, `first_qty` and `entry_price` of the first one. Of a position that was sold in part, what
    is left is one purchase at its average, and `partial_exits` tells of the rest. Old records that would make it longer
    than any that can be read are left out. Raises UnsoundRecordError.
    """
    check_deals(position, deals)
    record = _record(position, deals)
    if len(said(record)) > _LONGEST:
        record = _record(position, [{**one, "kind": None} for one in deals])
    return record


def _record(position: Row, deals: Sequence[Row]) -> Record:
    bought = [one for one in deals if one["side"] == "buy"]
    sold = [one for one in deals if one["side"] == "sell"]
    first = bought[0]
    known = _old_record(first)
    shares = names(position["symbol"])
    record = shares | {name: value for name, value in known.items() if name not in _OTHER_NAMES}
    record |= {"symbol": shares["symbol"], "import_key": first["intent_key"]}
    record |= _entry(position, first, known) | _bought(position, bought) | _ladder(position, bought, known)
    if position["closed_at"] is not None:
        return record | _exit(position, sold, known)
    return record | {"status": "open"} | (_sold_in_part(position, bought, sold) if sold else {})


def check_deals(position: Row, deals: Sequence[Row]) -> None:
    """Raise UnsoundRecordError unless the deals of a position add up to it."""
    bought = sum(int(one["quantity"]) for one in deals if one["side"] == "buy")
    left = bought - sum(int(one["quantity"]) for one in deals if one["side"] == "sell")
    if (bought, left) != (position["entry_quantity"], position["quantity"]):
        said = f"its fills bought {bought} and leave {left}, its row says {position['entry_quantity']} and "
        raise UnsoundRecordError(position["id"], position["symbol"], f"{said}{position['quantity']}")


def _old_record(deal: Row) -> Record:
    """Return the record that an order came from, nothing where it came from no file of trades."""
    kept = deal["old_record"]
    return dict(kept) if deal["kind"] == KIND and isinstance(kept, dict) else {}


def _entry(position: Row, first: Row, known: Record) -> Record:
    price, shares = first["price"], int(first["quantity"])
    entry: Record = {
        "entry_price": number(price),
        "entry_time": stamp(position["opened_at"]),
        "rsi10": position["entry_rsi"],
        "reset_ready": position["reset_ready"],
        "cycle": position["cycle"],
    }
    if known:
        return entry
    entry["entry_type"] = _KIND_OF_ENTRY.get(first["entry_type"], "system_recommended")
    entry["capital"] = number(price * shares)
    if first["legacy_id"] is not None:
        entry["order_id"] = first["legacy_id"]
        entry["order_response"] = {"nOrdNo": first["legacy_id"], "stat": "Ok", "stCode": 200}
    return entry


def _bought(position: Row, bought: Sequence[Row]) -> Record:
    first, *again = bought
    kept = _old_reentries(bought)
    return {
        "qty": position["entry_quantity"],
        "first_qty": int(first["quantity"]),
        "reentries": [_reentry(one, kept) for one in again],
    }


def _reentry(deal: Row, kept: Mapping[tuple[datetime, int], Record]) -> Record:
    facts, shares = deal["metadata"] or {}, int(deal["quantity"])
    level = facts.get("level") if deal["level"] is None else deal["level"]
    cycle = facts.get("cycle") if deal["cycle"] is None else deal["cycle"]
    found = {name: value for name, value in kept.get((deal["last_at"], shares), {}).items() if name != "quantity"}
    found.pop("placed_at", None)
    found |= {
        "qty": shares,
        "level": level,
        "rsi": facts.get("rsi") if deal["rsi"] is None else deal["rsi"],
        "price": number(deal["price"]),
        "time": stamp(deal["last_at"]),
    }
    own = {"cycle": cycle, "order_id": deal["legacy_id"], "trade": _old_record(deal)}
    return found | {name: value for name, value in own.items() if value not in (None, {})}


def _old_reentries(bought: Sequence[Row]) -> dict[tuple[datetime, int], Record]:
    """Return the later purchases as the old records told of them, by moment and shares."""
    found: dict[tuple[datetime, int], Record] = {}
    for deal in bought:
        written = _old_record(deal).get("reentries")
        if isinstance(written, Mapping):
            written = written.get("reentries")
        for one in written or ():
            try:
                at = as_moment(one.get("time", one.get("placed_at")), "time")
                found[at, int(one.get("qty", one.get("quantity")))] = one
            except (RefusedRecordError, TypeError, ValueError):
                continue  # written another way: its own columns tell of it
    return found


def _ladder(position: Row, bought: Sequence[Row], known: Record) -> Record:
    """Return the levels that are taken in the ladder's cycle, as the predecessor kept them beside the trade."""
    cycle, rsi = position["cycle"], position["entry_rsi"]
    taken = {one["level"] for one in bought if one["level"] is not None and one["cycle"] == cycle}
    at_entry = frozenset() if rsi is None else taken_at_entry(rsi)
    if cycle == 0:
        before = known.get("levels_taken")
        told = before if isinstance(before, Mapping) else {}
        taken |= at_entry | {level for level in LEVELS if told.get(str(level)) is True}
    levels = {str(level): level in taken for level in LEVELS}
    entered_at = {"rsi_entry_level": min(at_entry)} if at_entry and not known else {}
    return {"levels_taken": levels, **entered_at}


def _exit(position: Row, sold: Sequence[Row], known: Record) -> Record:
    whole = len(sold) == 1 and sold[0]["fills"] == 1 and position["exit_price"] is not None
    price = position["exit_price"] if whole else _average(sold)
    found: Record = {
        "status": "closed",
        "exit_price": number(price),
        "exit_time": stamp(position["closed_at"]),
        "exit_reason": position["exit_reason"],
        "exit_rsi10": position["exit_rsi"],
    }
    if (sold_by := sold[-1]["legacy_id"]) is not None:
        found["sell_order_id"] = sold_by
    if len(sold) > 1:
        found["partial_exits"] = [_sale(one) for one in sold]
    pnl = {"pnl": number(position["realized_pnl"]), "pnl_pct": position["realized_pnl_pct"]}
    # What an old record states of a trade that was over then stays as it was stated.
    return found | {
        name: known.get(name, value) if position["ended_by_import"] else value for name, value in pnl.items()
    }


def _sold_in_part(position: Row, bought: Sequence[Row], sold: Sequence[Row]) -> Record:
    shares = position["quantity"]
    return {
        "entry_price": number(position["avg_price"]),
        "qty": shares,
        "first_qty": shares,
        "reentries": [],
        "bought_before": [_sale(one) for one in bought],
        "partial_exits": [_sale(one) for one in sold],
    }


def _sale(deal: Row) -> Record:
    return {
        "qty": int(deal["quantity"]),
        "price": number(deal["price"]),
        "time": stamp(deal["last_at"]),
        "order_id": deal["legacy_id"],
    }


def _average(deals: Sequence[Row]) -> Decimal:
    value = sum((one["quantity"] * one["price"] for one in deals), Decimal(0))
    average: Decimal = value / sum(one["quantity"] for one in deals)
    return average
