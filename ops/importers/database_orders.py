"""Orders of a database that no trade covers: by the rules of the file of waiting orders, with what a row adds."""

from dataclasses import replace
from typing import Any

from db.import_rows import NewOrder
from ops.importers import fields as f
from ops.importers.database_deals import side_of, word_of
from ops.importers.database_rows import Row
from trading.reentry import REENTRY_LEG
from trading.values import Side

EXIT_LEG = "exit"


def order_record(row: Row) -> dict[str, Any]:
    """Return an order that no trade tells of in the shape of `pending_orders.json`. Raises RefusedRecordError."""
    word, side = word_of(row), side_of(row)
    variety = f.first(row, "variety") or ("amo" if word in {"amo", "pending_execution"} else "regular")
    failed_at = f.first(row, "first_failed_at")
    reason = f.first(row, "reason", "rejection_reason")
    record = {
        **row,
        "order_id": f.first(row, "broker_order_id", "order_id"),
        "qty": row["quantity"],
        "variety": variety,
        "side": side.value,
        "status": "open" if word == "ongoing" else row["status"],
        "rejection_reason": reason,
    }
    if word in {"failed", "retry_pending"}:
        # The words a person reads hold the one that the rule looks for.
        short = isinstance(reason, str) and "insufficient" in reason.lower()
        record["rejection_reason"] = "insufficient_balance" if short else reason
        record["placed_at"] = failed_at or row["placed_at"]
    return record


def as_told(order: NewOrder, row: Row) -> NewOrder:
    """Return an order with what the database tells of it beyond the files."""
    tried = f.whole(f.first(row, "retry_count") or 0, "retry_count")
    order = replace(order, retry_count=tried, last_retry_attempt=f.moment_or_none(row, "last_retry_attempt"))
    if order.side is Side.SELL:
        return replace(order, leg=EXIT_LEG, entry_type=None, source="exit")
    if "manual" in {row.get("entry_type"), row.get("orig_source")}:
        return replace(order, entry_type="manual", source="manual")
    if row.get("entry_type") == "reentry":
        return replace(order, entry_type="reentry", leg=REENTRY_LEG)
    return order
