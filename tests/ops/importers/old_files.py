"""Records and files as the predecessor wrote them, and the ground that they are judged on."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ops.importers.entry import Entry
from ops.importers.orders import Ground
from ops.importers.paper_source import PaperSource
from ops.importers.stream import Item
from tests.market_hours import NSE_HOURS
from trading.calendar import Calendar, Session, ist
from trading.values import Price, Symbol

# Monday 2024-01-15 at 20:00 IST: the day's session is over, and after-market orders wait for the 16th.
NOW = datetime(2024, 1, 15, 14, 30, tzinfo=UTC)


def calendar(first: date = date(2023, 12, 1), last: date = date(2024, 2, 29)) -> Calendar:
    """Return a calendar of weekdays from 9:15 to 15:30."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    sessions = [Session(day, ist(day, time(9, 15)), ist(day, time(15, 30))) for day in days if day.weekday() < 5]
    return Calendar("NSE", sessions, first, last, NSE_HOURS)


def ground(now: datetime = NOW, **closes: str) -> Ground:
    """Return what old orders are judged by."""
    known: Mapping[Symbol, Price] = {Symbol(name): Decimal(price) for name, price in closes.items()}
    return Ground(calendar(), now, known)


def trade(symbol: str = "DEMO1", **changes: Any) -> dict[str, Any]:
    """Return an open trade: 100 shares at 250."""
    return {
        "symbol": symbol,
        "ticker": f"{symbol}.NS",
        "entry_price": 250.0,
        "entry_time": "2024-01-02T09:15:11",
        "qty": 100,
        "status": "open",
        "entry_type": "system_recommended",
        "rsi10": 24.8,
        **changes,
    }


def sold(symbol: str = "DEMO1", **changes: Any) -> dict[str, Any]:
    """Return a trade that was sold at 260."""
    out = {"status": "closed", "exit_price": 260.0, "exit_time": "2024-01-10T11:02:00", "exit_reason": "EMA9_TARGET"}
    return trade(symbol, **(out | changes))


def again(level: int = 20, **changes: Any) -> dict[str, Any]:
    """Return one more purchase of a trade: 50 shares at 240."""
    return {"qty": 50, "level": level, "rsi": 18.9, "price": 240.0, "time": "2024-01-04T09:15:40", **changes}


def waiting(symbol: str = "DEMO1", **changes: Any) -> dict[str, Any]:
    """Return an order that waits for the session of the 16th."""
    return {
        "order_id": "240115000111222",
        "symbol": f"{symbol}-EQ",
        "ticker": f"{symbol}.NS",
        "qty": 40,
        "order_type": "MARKET",
        "variety": "AMO",
        "price": 0.0,
        "placed_at": "2024-01-15T16:05:20",
        "status": "PENDING",
        "rejection_reason": None,
        **changes,
    }


def failed(symbol: str = "DEMO2", **changes: Any) -> dict[str, Any]:
    """Return an order that failed for want of money on the evening of the 15th."""
    return {
        "symbol": symbol,
        "ticker": f"{symbol}.NS",
        "close": 812.0,
        "qty": 123,
        "required_cash": 99876.0,
        "shortfall": 5120.5,
        "reason": "insufficient_balance",
        "rsi10": 27.1,
        "first_failed_at": "2024-01-15T16:06:00",
        "retry_count": 0,
        **changes,
    }


def paper_order(symbol: str = "DEMO1", order_id: str = "PT202401020001", **changes: Any) -> dict[str, Any]:
    """Return an order of paper trading: 40 bought at 1251."""
    return {
        "order_id": order_id,
        "symbol": symbol,
        "quantity": 40,
        "order_type": "MARKET",
        "transaction_type": "BUY",
        "price": None,
        "variety": "REGULAR",
        "status": "COMPLETE",
        "placed_at": "2024-01-02T10:05:00",
        "executed_at": "2024-01-02T10:05:01",
        "executed_price": "Rs 1,251.00",
        "executed_quantity": 40,
        **changes,
    }


def deal(symbol: str = "DEMO1", order_id: str | None = "PT202401020001", **changes: Any) -> dict[str, Any]:
    """Return a line of transactions: 40 bought at 1251."""
    return {
        "order_id": order_id,
        "symbol": symbol,
        "transaction_type": "BUY",
        "quantity": 40,
        "price": 1251.0,
        "charges": 15.21,
        "timestamp": "2024-01-02T10:05:01",
        **changes,
    }


def holding(symbol: str = "DEMO1", **changes: Any) -> dict[str, Any]:
    """Return what is held of a share: 40 at 1251."""
    return {"symbol": symbol, "quantity": 40, "average_price": 1251.0, **changes}


def tracked(symbol: str = "DEMO1", **changes: Any) -> dict[str, Any]:
    """Return what the system owned of a share."""
    return {
        "id": f"track-{symbol}-1",
        "symbol": symbol,
        "ticker": f"{symbol}.NS",
        "tracking_started_at": "2024-01-02T09:15:11",
        "tracking_ended_at": None,
        "tracking_status": "active",
        "system_qty": 100,
        "current_tracked_qty": 100,
        "pre_existing_qty": 7,
        "initial_order_id": "240102000111222",
        "all_related_orders": ["240102000111222"],
        **changes,
    }


def write(folder: Path, name: str, value: object) -> Path:
    """Write a JSON file as the predecessor did. Returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
    return path


def write_paper(folder: Path, **files: object) -> Path:
    """Write paper files by their names without `.json`. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        write(folder, f"{name}.json", value)
    return folder


def items(*values: object, section: str = "trades") -> Iterator[Item]:
    """Yield records as the items of a list."""
    return (Item(section, index, index + 1, value) for index, value in enumerate(values))


def paper_entries(folder: Path, on: Ground) -> list[Entry]:
    """Return the entries of a folder of paper files, those that became part of others too."""
    return [one for entry in PaperSource(folder, on, lambda _: None).entries() for one in (entry, *entry.others)]


def told(entries: list[Entry]) -> list[tuple[str, str, str]]:
    """Return place, outcome and kind of entries, by place."""
    return sorted((one.place, one.outcome.value, one.kind) for one in entries)
