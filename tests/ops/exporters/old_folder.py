"""A folder as the predecessor left it, with every shape of record; and what a user has, without ids and batches."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db.clock import ClockRepository
from db.transaction import Database
from ops.importers.command import Brought, Request, Screen, run

# Monday 2024-01-15, 20:00 IST: what was placed after the close waits for the 16th.
NOW = datetime(2024, 1, 15, 14, 30, tzinfo=UTC)

Folder = Mapping[str, Any]


def trade(symbol: str, **changes: Any) -> dict[str, Any]:
    """Return an open trade of 100 shares at 250.40."""
    return {
        "symbol": symbol, "placed_symbol": f"{symbol}-EQ", "ticker": f"{symbol}.NS", "entry_price": 250.4,
        "entry_time": "2024-01-02T09:15:11.120000", "rsi10": 24.8, "ema9": 262.1, "ema200": 231.0, "capital": 25040,
        "qty": 100, "rsi_entry_level": 30, "levels_taken": {"30": True, "20": False, "10": False},
        "reset_ready": False, "status": "open", "entry_type": "system_recommended",
        "order_response": {"nOrdNo": f"2401{symbol}", "stat": "Ok", "stCode": 200}, **changes,
    }  # fmt: skip


def sold(symbol: str, **changes: Any) -> dict[str, Any]:
    """Return a trade that was sold at 258."""
    end = {
        "status": "closed", "exit_price": 258.0, "exit_time": "2024-01-12T11:02:00", "exit_reason": "EMA9_TARGET",
        "exit_rsi10": 52.5, "exit_note": "kept as it is", "sell_order_id": f"9901{symbol}", "pnl": 760.0,
        "pnl_pct": 3.04,
    }  # fmt: skip
    return trade(symbol, **(end | changes))


def again(day: int, level: int | None, quantity: int = 40, **changes: Any) -> dict[str, Any]:
    """Return one more purchase at 240."""
    time = f"2024-01-{day:02}T09:15:40"
    return {"qty": quantity, "level": level, "rsi": 18.9, "price": 240.05, "time": time, "why": "fell", **changes}


TRADES = {
    "trades": [
        sold("CLOSED"),
        sold("TOTAL", qty=180, reentries=[again(4, 20), again(5, 10)], pnl=2195.0),
        sold("FIRST", qty=30, reentries=[again(4, 20)], pnl=None),
        sold("AVERAGE", qty=140, entry_price=247.5, reentries=[again(4, 20)], pnl=1470.0),
        sold("CLOSED", entry_time="2023-12-04T09:15:00", exit_time="2023-12-20T10:00:00", order_response=None,
             sell_order_id=None, order_id="older"),
        trade("OPEN", entry_price="₹1,450.50", rsi10=float("nan"), placed_symbol="OPEN-BE"),
        trade("LADDER", qty=220, reset_ready=True, reentries=[
            again(3, 20), again(4, 10), again(8, 30, order_id="77"), again(8, 20, rsi=None), again(9, None),
        ], levels_taken={"30": True, "20": True, "10": True}),
        trade("MERGED", rsi10=28.0),
        trade("MERGED", entry_time="2024-01-09T09:15:00", qty=7, order_response={"orderId": "3"}, note="second"),
        trade("MANUAL", entry_type="manual_buy_of_bot_recommendation", order_response=None),
        {"symbol": "elder-eq", "avg_price": 10.5, "quantity": 20, "timestamp": "2023-12-28 09:15:00", "status": "ongoing"},
    ],
    "failed_orders": [
        {"symbol": "SHORT", "ticker": "SHORT.NS", "close": 812.0, "qty": 123, "required_cash": 99876.0,
         "shortfall": 5120.5, "reason": "insufficient_balance", "verdict": "buy", "rsi10": 27.1, "retry_count": 1,
         "first_failed_at": "2024-01-15T16:06:00", "last_retry_attempt": "2024-01-15T16:40:00"},
        {"symbol": "LATE", "close": 12.0, "qty": 3, "reason": "insufficient_balance",
         "first_failed_at": "2024-01-02T16:06:00", "retry_count": 0},
        {"symbol": "OTHER", "close": 12.0, "qty": 3, "reason": "circuit", "first_failed_at": "2024-01-02T16:06:00"},
    ],
    "last_run": "2024-01-15T18:00:03",
}  # fmt: skip


def _waiting(number: int, symbol: str, status: str, **changes: Any) -> dict[str, Any]:
    return {
        "order_id": f"55{number}", "symbol": f"{symbol}-EQ", "ticker": f"{symbol}.NS", "qty": 9, "order_type": "LIMIT",
        "variety": "AMO", "price": 50.25, "placed_at": "2024-01-03T16:05:20", "status": status,
        "rejection_reason": None, "check_count": 1, "executed_qty": 0, **changes,
    }  # fmt: skip


PENDING = {
    "orders": [
        _waiting(1, "WAITS", "PENDING", placed_at="2024-01-15T16:05:20"),
        _waiting(2, "OVER", "PENDING"),
        _waiting(3, "GONE", "CANCELLED", order_type="MARKET", price=0.0),
        _waiting(4, "NO", "REJECTED", rejection_reason="RMS: margin"),
        _waiting(5, "POOR", "FAILED", rejection_reason="insufficient_balance"),
        _waiting(6, "OFFER", "OPEN", side="SELL", variety="NORMAL", placed_at="2024-01-15T16:05:20"),
        _waiting(7, "CLOSED", "EXECUTED", order_id="2401CLOSED", executed_qty=100),
    ]
}
TRACKED = {
    "symbols": [
        {"id": "track-OPEN-1", "symbol": "OPEN", "ticker": "OPEN.NS", "tracking_started_at": "2024-01-01T16:05:20",
         "tracking_ended_at": None, "tracking_status": "active", "system_qty": 100, "current_tracked_qty": 100,
         "pre_existing_qty": 25, "initial_order_id": "2401OPEN", "all_related_orders": ["2401OPEN"],
         "recommendation_source": "bulk_analysis"},
        {"id": "track-CLOSED-1", "symbol": "CLOSED", "tracking_started_at": "2024-01-01T16:05:20",
         "tracking_ended_at": "2024-01-12T11:02:00", "tracking_status": "completed", "system_qty": 100,
         "current_tracked_qty": 0, "pre_existing_qty": 0},
        {"id": "track-WRONG-1", "symbol": "CLOSED", "tracking_started_at": "2024-01-01T16:05:20",
         "tracking_status": "active", "system_qty": 5, "current_tracked_qty": 5, "pre_existing_qty": 0},
    ]
}  # fmt: skip


def _order(number: int, symbol: str, side: str, at: str, **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol, "quantity": 40, "order_type": "MARKET", "transaction_type": side, "price": None,
        "product_type": "CNC", "variety": "AMO", "exchange": "NSE", "validity": "DAY", "order_id": f"PT{number}",
        "status": "COMPLETE", "placed_at": at, "executed_at": at, "executed_price": "Rs 1,251.00",
        "executed_quantity": 40, "remarks": "AMO", "metadata": {"origin": "scan"}, **changes,
    }  # fmt: skip


def _line(number: int | None, symbol: str, side: str, at: str, **changes: Any) -> dict[str, Any]:
    named = {} if number is None else {"order_id": f"PT{number}"}
    line = {"symbol": symbol, "transaction_type": side, "quantity": 40, "price": 1251.0, "charges": 15.53}
    return {**named, **line, "timestamp": at, **changes}


PAPER: Folder = {
    "orders.json": [
        _order(1, "HELD", "BUY", "2024-01-03T16:05:00", price="₹1,250.40"),
        _order(2, "HELD", "BUY", "2024-01-05T16:05:00", quantity=10, executed_quantity=10),
        _order(3, "SOLD", "BUY", "2024-01-03T16:05:00"),
        _order(4, "SOLD", "SELL", "2024-01-09T09:15:00", order_type="LIMIT", price=1300.0, executed_price=1301.0),
        _order(5, "REFUSED", "BUY", "2024-01-03T16:05:00", status="REJECTED", remarks="no cash", executed_price=None,
               executed_quantity=0, executed_at=None),
        _order(6, "STOPPED", "BUY", "2024-01-03T16:05:00", status="CANCELLED", executed_price=None,
               executed_quantity=0, executed_at=None, cancelled_at="2024-01-03T16:30:00"),
        _order(7, "WAITS", "BUY", "2024-01-15T16:05:00", status="OPEN", order_type="LIMIT", price=99.5,
               executed_price=None, executed_quantity=0, executed_at=None),
        _order(8, "HALF", "BUY", "2024-01-03T16:05:00", status="CANCELLED", executed_quantity=15),
        _order(9, "ALONE", "BUY", "2024-01-03T16:05:00", executed_price=77.25),
    ],
    "transactions.json": [
        _line(1, "HELD", "BUY", "2024-01-04T09:15:01"),
        _line(2, "HELD", "BUY", "2024-01-08T09:15:01", quantity=10, price=1200.0),
        _line(3, "SOLD", "BUY", "2024-01-04T09:15:01"),
        _line(4, "SOLD", "SELL", "2024-01-09T10:00:00", price=1301.0, exit_reason="RSI_EXIT", entry_price=1251.0),
        _line(8, "HALF", "BUY", "2024-01-04T09:15:01", quantity=15),
        _line(11, "HALF", "SELL", "2024-01-10T09:15:01", quantity=15, price=1240.0, exit_reason="EMA9_TARGET"),
        _line(10, "LOOSE", "BUY", "2024-01-04T09:15:01"),
        _line(None, "LOOSE", "SELL", "2024-01-10T09:15:01", quantity=40, price=1260.0),
    ],
    "holdings.json": {
        "HELD": {"symbol": "HELD", "quantity": 50, "average_price": 1240.8, "last_updated": "2024-01-12T10:00:00"},
        "ALONE": {"symbol": "ALONE", "quantity": 40, "average_price": 77.25},
        "BEFORE": {"symbol": "BEFORE", "quantity": 12, "average_price": 100.0, "last_updated": "2023-12-12T10:00:00"},
    },
    "account.json": {"initial_capital": 200000, "available_cash": 49944.47, "realized_pnl": 0},
    "active_sell_orders.json": {"HELD": {"order_id": "PT9", "target_price": 1300, "qty": 50, "ticker": "HELD.NS"}},
    "config.json": {"initial_capital": 200000, "max_position_size": 50000, "enable_slippage": True},
}  # fmt: skip


def write(folder: Path, *, live: bool = True, paper: bool = True, trades: Folder = TRADES) -> Path:
    """Write an old folder: of the live service, of the paper one, or both."""
    data, home = folder / "data", folder / "paper_trading" / "unified_service"
    files: dict[Path, Any] = {}
    if live:
        files |= {data / "trades_history.json": trades, data / "pending_orders.json": PENDING}
        files |= {data / "system_recommended_symbols.json": TRACKED}
    if paper:
        files |= {home / name: value for name, value in PAPER.items()}
    for path, value in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value), encoding="utf-8-sig" if "recommended" in path.name else "utf-8")
    return folder


async def stand_at(database: Database, now: datetime = NOW) -> None:
    """Make it a moment in the market."""
    async with database.transaction(None) as session:
        await ClockRepository(session).begin_replay(now, now.replace(year=now.year + 1))


async def bring_in(database: Database, folder: Path, user: str, account: str | None = None) -> list[Brought]:
    """Import everything below a folder for a user, who is signed up for it."""
    return await run(database, Request("all", folder, user, "ravi", account, create_user=True), Screen())


_BOOKS = {
    "accounts": "SELECT a.name, a.cash FROM broker_accounts a WHERE {mine}",
    "positions": """
        SELECT a.name, p.symbol, p.quantity, p.entry_quantity, p.avg_price, p.realized_pnl, p.charges, p.opened_at,
               p.closed_at, p.exit_price, p.exit_reason, p.entry_rsi, p.exit_rsi, p.realized_pnl_pct,
               p.initial_entry_price, p.last_reentry_price, p.reentry_count, p.cycle, p.reset_ready, s.order_id
        FROM positions p JOIN broker_accounts a ON a.id = p.account_id LEFT JOIN orders s ON s.id = p.sell_order_id
        WHERE {mine}""",
    "orders": """
        SELECT a.name, o.symbol, o.side, o.leg, o.entry_type, o.orig_source, o.order_type, o.variety, o.quantity,
               o.price, o.reference_price, o.status, o.reserved, o.order_id, o.filled_quantity, o.avg_price, o.reason,
               o.failure_kind, o.retry_count, o.retry_until, o.first_failed_at, o.last_retry_attempt, o.session_day,
               o.placed_at, o.filled_at, o.closed_at
        FROM orders o JOIN broker_accounts a ON a.id = o.account_id
        WHERE {mine}""",
    "fills": """
        SELECT a.name, f.symbol, f.side, f.quantity, f.price, f.charges, f.filled_at, o.order_id, o.placed_at
        FROM fills f JOIN orders o ON o.id = f.order_id JOIN broker_accounts a ON a.id = f.account_id
        WHERE {mine}""",
    "reentries": """
        SELECT a.name, r.symbol, r.cycle, r.level, r.rsi, r.day, r.quantity, r.price, r.filled_at, p.opened_at
        FROM reentries r JOIN positions p ON p.id = r.position_id JOIN broker_accounts a ON a.id = r.account_id
        WHERE {mine}""",
    "tracked": """
        SELECT t.tracking_id, t.symbol, t.status, t.started_at, t.ended_at, t.system_quantity, t.tracked_quantity,
               t.pre_existing_quantity, t.initial_order_id, t.facts - 'ticker'
        FROM tracked_symbols t JOIN broker_accounts a ON a.id = t.account_id WHERE {mine}""",
    "venue": """
        SELECT o.symbol, o.side, o.order_type, o.limit_price, o.quantity, o.word, o.session_day, o.filled_quantity,
               o.fill_price FROM paper_orders o JOIN broker_accounts a ON a.id = o.account_id
        WHERE {mine}""",
}


async def books(database: Database, user: str) -> dict[str, list[tuple[object, ...]]]:
    """Return what a user has: accounts, positions, orders, fills, re-entries, tracked shares, the venue's book."""
    mine = "a.user_id = (SELECT id FROM users WHERE email = :user)"
    async with database.reading(None) as session:
        return {
            name: sorted(
                (tuple(row) for row in await session.execute(text(query.format(mine=mine)), {"user": user})), key=str
            )
            for name, query in _BOOKS.items()
        }
