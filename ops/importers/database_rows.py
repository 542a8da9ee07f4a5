"""The rows of a predecessor's database: how many a user has, and all of them, share by share in packs."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from sqlalchemy import Connection, Select, TableClause, cast, func, select
from sqlalchemy.types import String

from ops.importers.database_schema import FILLS, ORDERS, POSITIONS, Schema
from ops.importers.fields import RefusedRecordError, as_symbol
from trading.values import Symbol

Row = Mapping[str, Any]

# Rows of orders and positions read at a time; one share's are never parted.
PACK = 5000
# What changes when a row does, where a table has it.
_MOVING = ("id", "updated_at", "closed_at", "filled_at", "placed_at", "opened_at", "quantity")
_JSON = frozenset({"metadata", "order_metadata", "reentries"})


@dataclass(slots=True)
class Share:
    """Everything of one user in one share. symbol: None where none of ours can be read from what is written."""

    symbol: Symbol | None
    positions: list[Row] = field(default_factory=list)
    orders: list[Row] = field(default_factory=list)
    fills: dict[Any, list[Row]] = field(default_factory=lambda: defaultdict(list))


def rows_of(connection: Connection, query: Select[Any]) -> list[Row]:
    """Return the rows of a query as plain values that JSON takes."""
    return [{name: _plain(name, value) for name, value in row.items()} for row in connection.execute(query).mappings()]


def counts(connection: Connection, schema: Schema, user_id: Any) -> int:
    """Return how many orders and positions a user has."""
    tables = [schema.table(name) for name in (ORDERS, POSITIONS) if name in schema.columns]
    queries = [select(func.count()).select_from(one).where(one.c.user_id == user_id) for one in tables]
    return sum(connection.execute(query).scalar_one() for query in queries)


def state_of(connection: Connection, schema: Schema, user_id: Any) -> str:
    """Return a hash of how many rows a user has and when they last changed: the same rows give the same one."""
    told: list[object] = []
    for name in (ORDERS, POSITIONS, FILLS):
        if name not in schema.columns:
            continue
        rows = schema.table(name)
        moving = [func.max(rows.c[one]) for one in _MOVING if one in rows.c]
        query: Any = select(func.count(), *moving)
        query = _of_orders(query, schema, rows, user_id) if name == FILLS else query.where(rows.c.user_id == user_id)
        told.append((name, [str(one) for one in connection.execute(query).one()]))
    orders = schema.table(ORDERS)
    word = cast(orders.c.status, String)
    by_word = select(word, func.count()).where(orders.c.user_id == user_id).group_by(word).order_by(word)
    told.append([tuple(row) for row in connection.execute(by_word)])
    return hashlib.sha256(repr(told).encode()).hexdigest()


def packs(connection: Connection, schema: Schema, user_id: Any) -> list[list[str]]:
    """Return a user's symbols as they are written, in packs of whole shares that have few enough rows together."""
    found: dict[str, int] = defaultdict(int)
    for name in (ORDERS, POSITIONS):
        if name in schema.columns:
            rows = schema.table(name)
            query = select(rows.c.symbol, func.count()).where(rows.c.user_id == user_id).group_by(rows.c.symbol)
            for symbol, count in connection.execute(query):
                found[symbol] += count
    shares: dict[str, list[str]] = defaultdict(list)
    for written in sorted(found, key=str):
        shares[symbol_of(written) or f"?{written}"].append(written)
    packed: list[list[str]] = []
    room = 0
    for _, names in sorted(shares.items()):
        size = sum(found[one] for one in names)
        if size > room:
            packed.append([])
            room = PACK
        packed[-1].extend(names)
        room -= size
    return packed


def shares_of(connection: Connection, schema: Schema, user_id: Any, symbols: Sequence[str]) -> list[Share]:
    """Return everything of a user in some symbols, share by share."""
    shares: dict[str, Share] = {}
    for name in (POSITIONS, ORDERS):
        if name not in schema.columns:
            continue
        table = schema.table(name)
        query = select(table).where(table.c.user_id == user_id, table.c.symbol.in_(symbols)).order_by(table.c.id)
        for row in rows_of(connection, query):
            symbol = symbol_of(row["symbol"])
            share = shares.setdefault(symbol or f"?{row['symbol']}", Share(symbol))
            (share.positions if name == POSITIONS else share.orders).append(row)
    owner = {row["id"]: share for share in shares.values() for row in share.orders}
    if FILLS in schema.columns:
        fills, orders = schema.table(FILLS), schema.table(ORDERS)
        query = _of_orders(select(fills), schema, fills, user_id).where(orders.c.symbol.in_(symbols))
        for row in rows_of(connection, query.order_by(fills.c.id)):
            owner[row["order_id"]].fills[row["order_id"]].append(row)
    return [share for _, share in sorted(shares.items())]


def symbol_of(written: object) -> Symbol | None:
    """Return the base symbol of what is written, None where there is none."""
    try:
        return as_symbol(written, "symbol")
    except RefusedRecordError:
        return None


def _of_orders(query: Select[Any], schema: Schema, fills: TableClause, user_id: Any) -> Select[Any]:
    """Narrow a query over fills to a user's: the older ones know their user by their order alone."""
    orders = schema.table(ORDERS)
    return query.join_from(fills, orders, fills.c.order_id == orders.c.id).where(orders.c.user_id == user_id)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        return None
    if name in _JSON and isinstance(value, str):
        try:
            return json.loads(value, parse_constant=lambda _: None)
        except ValueError:
            return value
    if value is None or isinstance(value, str | int | float | Decimal | datetime | date | dict | list):
        return value
    return None if isinstance(value, bytes | memoryview) else str(value)
