"""Orders that are in no trade as records: those that wait or ended, those that failed; and the words of all."""

from collections.abc import Mapping
from typing import Any

from ops.exporters.writing import Record, names, number, number_or_none, stamp, stamp_or_none
from ops.importers import pending_file, trades_file
from ops.importers.words import ORDER_WORDS, Told
from trading.orders import FailureKind

Row = Mapping[str, Any]

FILLED = "EXECUTED"
_WORDS = {
    "open": "OPEN", "filled": FILLED, "partial": "PARTIALLY_FILLED", "cancelled": "CANCELLED",
    "expired": "CANCELLED", "rejected": "REJECTED", "failed": "FAILED",
}  # fmt: skip
_WAITS = "PENDING"
_ENDED = frozenset({"cancelled", "rejected"})


def failed_record(order: Row) -> Record | None:
    """Return an order that failed for want of money as an item of `failed_orders`, None for any other.

    One that was tried again here, or whose time ended here, is over: the predecessor must not buy it once more.
    """
    funds = order["failure_kind"] == FailureKind.INSUFFICIENT_FUNDS
    if not _is_failed(order) or (order["status"] != "failed" and (order["moved"] or not order["imported"])):
        return None
    known = old_record(order, trades_file.KIND)
    shares = names(order["symbol"])
    return {
        **shares,
        **known,
        "symbol": shares["symbol"],
        "import_key": order["intent_key"],
        "close": number(order["reference_price"]),
        "qty": order["quantity"],
        "reason": known.get("reason", "insufficient_balance" if funds else order["reason"]),
        "first_failed_at": stamp(order["first_failed_at"] or order["placed_at"]),
        "last_retry_attempt": stamp_or_none(order["last_retry_attempt"]),
        "retry_count": order["retry_count"],
        **({} if known else {"rsi10": (order["metadata"] or {}).get("rsi")}),
    }


def pending_record(order: Row) -> Record | None:
    """Return an order as one of `pending_orders.json`, None for one that does not belong there.

    The file is of purchases: a sale stands in it only if it did before.
    """
    known = old_record(order, pending_file.KIND)
    if _is_failed(order) or (order["side"] != "buy" and not known):
        return None
    shares = names(order["symbol"])
    record = {"symbol": shares["placed_symbol"], "ticker": shares["ticker"], **known}
    if order["legacy_id"] is not None:
        record["order_id"] = order["legacy_id"]
    return record | {
        "import_key": order["intent_key"],
        "qty": order["quantity"],
        "order_type": order["order_type"].upper(),
        "variety": order["variety"].upper(),
        "price": number_or_none(order["price"]) or 0.0,
        "placed_at": stamp(order["placed_at"]),
        "executed_qty": order["filled_quantity"],
        **({"side": "SELL"} if order["side"] == "sell" else {}),
        **told(order, known, "rejection_reason"),
    }


def told(order: Row, known: Record, reason: str) -> Record:
    """Return an order's word, with reason and end where they are ours. known: its old record. reason: the field's name.

    The word of a record that nothing became of here stays: read again, it means the same again.
    """
    word = known.get("status")
    before = ORDER_WORDS.get(word.strip().lower()) if isinstance(word, str) else None
    dropped = before is Told.WAITING and order["status"] == "cancelled"  # a sale that was not carried over
    if before is not None and not order["moved"] and not dropped:
        return {"status": word}
    ended = order["status"] in _ENDED and order["closed_at"] is not None
    return {
        "status": _WORDS.get(order["status"], _WAITS),
        **({reason: order["reason"]} if order["reason"] is not None else {}),
        **({"closed_at": stamp(order["closed_at"])} if ended else {}),
    }


def old_record(order: Row, kind: str) -> Record:
    """Return the record that an order came from, nothing where it came from another kind of file."""
    kept = order["old_record"]
    return dict(kept) if order["kind"] == kind and isinstance(kept, dict) else {}


def _is_failed(order: Row) -> bool:
    if order["kind"] in (trades_file.KIND, pending_file.KIND):
        return bool(order["kind"] == trades_file.KIND)
    return bool(order["failure_kind"] == FailureKind.INSUFFICIENT_FUNDS and not order["filled_quantity"])
