"""Databases as the predecessor made them, in each generation of its schema."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import text

from db.transaction import Database
from ops.importers.command import Brought, Request, Screen, run

Rows = Mapping[str, Sequence[Mapping[str, Any]]]

_USERS = {"users": "id email name password_hash role is_active created_at"}
_ORDERS = "id user_id symbol side order_type quantity price status avg_price placed_at filled_at closed_at orig_source"
_POSITIONS = "id user_id symbol quantity avg_price unrealized_pnl opened_at closed_at"

# The first schema: no ids of the broker, fills by `qty` and `ts`, one position a share.
ERA_A = {
    **_USERS,
    "orders": _ORDERS,
    "fills": "id order_id qty price ts",
    "positions": _POSITIONS,
}
# What the schema of the platform's first phase added.
ERA_S = {
    **ERA_A,
    "usersettings": "id user_id trade_mode broker broker_status",
    "orders": f"{_ORDERS} order_id broker_order_id metadata",
    "user_trading_config": "id user_id rsi_period rsi_oversold user_capital max_portfolio_size chart_quality_enabled "
    "default_target_pct ml_confidence_threshold task_schedule",
}
# The later one: a position each cycle, with its end and its later purchases.
ERA_B = {
    **ERA_S,
    "orders": f"{_ORDERS} order_id broker_order_id metadata base_symbol updated_at reason first_failed_at "
    "last_retry_attempt retry_count last_status_check execution_price execution_qty execution_time entry_type "
    "trade_mode of_a_later_day",
    "fills": "id order_id user_id quantity price fill_value charges filled_at created_at broker_fill_id",
    "positions": f"{_POSITIONS} reentry_count reentries initial_entry_price last_reentry_price entry_rsi exit_price "
    "exit_reason exit_rsi realized_pnl realized_pnl_pct sell_order_id",
    "signals": "id symbol status ts",
}

ASHA = {"id": 2, "email": "Asha@Example.org", "name": "Asha", "role": "USER", "is_active": 1}
RAVI = {"id": 3, "email": "ravi@example.org", "name": "Ravi", "role": "user", "is_active": 1}


def order(number: int, symbol: str = "DEMO1-EQ", side: str = "buy", **changes: Any) -> dict[str, Any]:
    """Return an order of Asha's for 100 shares that was executed at 250."""
    return {
        "id": number,
        "user_id": ASHA["id"],
        "symbol": symbol,
        "side": side,
        "order_type": "market",
        "quantity": 100.0,
        "status": "closed",
        "avg_price": 250.0,
        "placed_at": "2024-01-02 16:05:00.000000",
        "filled_at": "2024-01-03 09:15:11.120000",
        "orig_source": "signal",
        **changes,
    }


def position(number: int, symbol: str = "DEMO1-EQ", **changes: Any) -> dict[str, Any]:
    """Return an open position of Asha's: 100 shares at 250."""
    return {
        "id": number,
        "user_id": ASHA["id"],
        "symbol": symbol,
        "quantity": 100.0,
        "avg_price": 250.0,
        "unrealized_pnl": 0.0,
        "opened_at": "2024-01-03 09:15:11.120000",
        **changes,
    }


def statements(schema: Mapping[str, str], rows: Rows, types: Mapping[str, str]) -> list[tuple[str, list[Any]]]:
    """Return what makes a database, with `:1` for values. types: of columns that are no text."""
    made: list[tuple[str, list[Any]]] = []
    for table, names in schema.items():
        own = {**types, "order_id": "INTEGER"} if table == "fills" else types
        columns = ", ".join(f"{name} {own.get(name, 'VARCHAR')}" for name in names.split())
        made.append((f"CREATE TABLE {table} ({columns})", []))
    for table, told in rows.items():
        for row in told:
            values = [json.dumps(one) if isinstance(one, dict | list) else one for one in row.values()]
            marks = ", ".join(f":{number}" for number in range(1, len(values) + 1))
            made.append((f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", values))
    return made


def sqlite_database(path: Path, schema: Mapping[str, str], rows: Rows) -> Path:
    """Write a database as the predecessor's SQLite had it, and return its place."""
    numbers = dict.fromkeys(("id", "user_id", "is_active", "sell_order_id"), "INTEGER")
    floats = dict.fromkeys(("quantity", "qty", "price", "avg_price", "execution_qty", "exit_price"), "FLOAT")
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement, values in statements(schema, rows, numbers | floats):
            connection.execute(statement.replace(":", "?"), values)
    return path


def era_b_rows() -> dict[str, list[dict[str, Any]]]:
    """Return what a user of the later schema has: a closed cycle with a later purchase, an open one, and lone orders."""
    ladder = {"_cycle_metadata": {"current_cycle": 0, "last_rsi_above_30": None, "last_rsi_value": 27.1}}
    again = {"qty": 50, "level": 20, "rsi": 18.5, "price": 240.0, "time": "2024-01-05T09:15:20", "cycle": 0}
    return {
        "users": [ASHA],
        "usersettings": [{"id": 1, "user_id": 2, "trade_mode": "BROKER", "broker": "kotak-neo"}],
        "user_trading_config": [
            {"id": 1, "user_id": 2, "rsi_period": 14, "rsi_oversold": 28.0, "user_capital": 150000.0,
             "max_portfolio_size": 99, "chart_quality_enabled": 0}
        ],
        "positions": [
            position(1, quantity=0.0, avg_price=246.6667, closed_at="2024-01-09 11:02:00.000000", reentry_count=1,
                     reentries={**ladder, "reentries": [{**again, "order_id": "N2"}]}, initial_entry_price=250.0,
                     entry_rsi=24.8, exit_price=260.0, exit_reason="EMA9_TARGET", exit_rsi=48.5, realized_pnl=1980.0,
                     sell_order_id=3),
            position(2, "DEMO2-EQ", quantity=40.0, avg_price=99.5, opened_at="2024-01-10 09:16:00.000000",
                     entry_rsi=22.0),
        ],
        "orders": [
            order(1, broker_order_id="N1", entry_type="initial", trade_mode="broker", of_a_later_day="kept"),
            order(2, quantity=50.0, avg_price=240.0, broker_order_id="N2", entry_type="reentry",
                  placed_at="2024-01-05 09:01:00.000000", filled_at="2024-01-05 09:15:20.000000"),
            order(3, side="sell", order_type="limit", quantity=150.0, price=260.0, avg_price=260.0,
                  broker_order_id="N3", placed_at="2024-01-09 09:15:00.000000", filled_at="2024-01-09 11:01:30.000000"),
            order(4, "DEMO2-EQ", quantity=40.0, avg_price=None, broker_order_id="N4", status="ONGOING",
                  execution_price=99.5, execution_qty=40.0, execution_time="2024-01-10 09:15:30.000000",
                  filled_at=None, placed_at="2024-01-10 09:01:00.000000"),
            order(5, "DEMO3-EQ", quantity=10.0, avg_price=None, filled_at=None, status="CANCELLED", price=500.0,
                  order_type="limit", broker_order_id="N5", placed_at="2024-01-11 09:01:00.000000"),
            order(6, "DEMO4-EQ", avg_price=None, filled_at=None, status="failed",
                  reason="Insufficient funds: shortfall 5,120.50", first_failed_at="2024-01-11 09:01:05.000000",
                  retry_count=2, placed_at="2024-01-11 09:01:00.000000"),
            order(7, "DEMO2-EQ", "sell", order_type="limit", quantity=40.0, price=104.0, avg_price=None,
                  filled_at=None, status="pending", broker_order_id="N7", placed_at="2024-01-11 09:15:00.000000"),
        ],
        "fills": [
            {"id": 1, "order_id": 1, "user_id": 2, "quantity": 60, "price": 249.0, "filled_at": "2024-01-03 09:15:11"},
            {"id": 2, "order_id": 1, "user_id": 2, "quantity": 40, "price": 251.5, "filled_at": "2024-01-03 09:15:12"},
        ],
    }  # fmt: skip


async def rows(database: Database, query: str) -> list[dict[str, Any]]:
    async with database.reading(None) as session:
        return [dict(row) for row in (await session.execute(text(query))).mappings()]


async def bring(database: Database, url: Path | str, **changes: Any) -> list[Brought]:
    wish: dict[str, Any] = {"user": None, "actor": "tests", "create_user": True, **changes}
    return await run(database, Request("database", str(url), **wish), Screen())


async def refusals(database: Database) -> dict[str, tuple[str, str]]:
    found = await rows(database, "SELECT place, outcome, kind FROM import_records ORDER BY id")
    return {row["place"]: (row["outcome"], row["kind"]) for row in found}
