"""What the system owns of a share, as records of `system_recommended_symbols.json`."""

from collections.abc import Mapping
from typing import Any

from ops.exporters.writing import Record, names, stamp, stamp_or_none

Row = Mapping[str, Any]


def tracking_record(row: Row) -> Record:
    """Return a tracking as the file had it; where its share was traded here since, as what is held of it now."""
    shares = names(row["symbol"])
    record = {
        "id": row["tracking_id"],
        "symbol": shares["symbol"],
        "ticker": shares["ticker"],
        "tracking_started_at": stamp(row["started_at"]),
        "tracking_ended_at": stamp_or_none(row["ended_at"]),
        "tracking_status": row["status"],
        "system_qty": row["system_quantity"],
        "current_tracked_qty": row["tracked_quantity"],
        "pre_existing_qty": row["pre_existing_quantity"],
        "initial_order_id": row["initial_order_id"],
        **row["facts"],
    }
    return record | (_now(row) if row["traded"] and row["status"] == "active" else {})


def new_tracking(position: Row) -> Record:
    """Return a position that the system bought by itself as a tracking of its own."""
    shares = names(position["symbol"])
    return {
        "id": f"track-{position['symbol']}-{position['opened_at']:%Y%m%d%H%M%S}",
        "symbol": shares["symbol"],
        "ticker": shares["ticker"],
        "tracking_started_at": stamp(position["opened_at"]),
        "tracking_ended_at": None,
        "tracking_status": "active",
        "system_qty": position["quantity"],
        "current_tracked_qty": position["quantity"],
        "pre_existing_qty": 0,
        "initial_order_id": None,
        "all_related_orders": [],
        "recommendation_source": "muhurat",
    }


def _now(row: Row) -> Record:
    if row["held"]:
        return {"current_tracked_qty": row["held"], "system_qty": max(row["system_quantity"], row["held"])}
    return {
        "current_tracked_qty": 0,
        "tracking_status": "completed",
        "tracking_ended_at": stamp_or_none(row["sold_at"]),
    }
