"""What a predecessor's database has: which of its tables are there and which columns, whatever its age."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, TableClause, column, inspect, select, table, text

from ops.importers.errors import NoSourceError

USERS, SETTINGS, CONFIG, ORDERS, FILLS, POSITIONS, SIGNALS = (
    "users", "usersettings", "user_trading_config", "orders", "fills", "positions", "signals",
)  # fmt: skip
_TABLES = (USERS, SETTINGS, CONFIG, ORDERS, FILLS, POSITIONS, SIGNALS)
# Without these nothing can be told; every other table or column may be missing.
_NEEDED: Mapping[str, tuple[str, ...]] = {
    USERS: ("id", "email"),
    ORDERS: ("id", "user_id", "symbol", "side", "quantity", "status", "placed_at"),
}
_NEEDED_IF_THERE: Mapping[str, tuple[str, ...]] = {
    POSITIONS: ("id", "user_id", "symbol", "quantity", "avg_price", "opened_at"),
    FILLS: ("id", "order_id", "price"),
}
# Ours, and of no predecessor's.
_OURS = frozenset({"broker_accounts", "execution_attempts", "import_batches"})


@dataclass(frozen=True, slots=True)
class Schema:
    """Tables that are there, each with its columns in their own order. made: the one object of each for queries."""

    columns: Mapping[str, tuple[str, ...]]
    made: dict[str, TableClause] = field(default_factory=dict, repr=False)

    def has(self, name: str, *columns: str) -> bool:
        """Tell whether a table is there with all of some columns."""
        return name in self.columns and set(columns) <= set(self.columns[name])

    def table(self, name: str) -> TableClause:
        """Return a table with the columns that it has, values as the driver gives them."""
        if name not in self.made:
            self.made[name] = table(name, *(column(one) for one in self.columns[name]))
        return self.made[name]


def detect(connection: Connection, shown: str) -> Schema:
    """Return what a database has. shown: its address, for people. Raises NoSourceError when it is not usable."""
    there = set(inspect(connection).get_table_names())
    if there >= _OURS:
        raise NoSourceError(f"{shown}: is a database of Muhurat's own; give the address of the predecessor's")
    schema = Schema({name: _columns(connection, name) for name in _TABLES if name in there})
    lacking = _lacking(schema)
    if lacking:
        has = f"it has {', '.join(sorted(there)[:10])}" if there else "it has no table at all"
        raise NoSourceError(
            f"{shown}: is not the predecessor's database: it lacks {', '.join(lacking)}; {has}. "
            "Check that the address names the right database"
        )
    return schema


def _columns(connection: Connection, name: str) -> tuple[str, ...]:
    """Return a table's columns as a query gives them: no type of any age has to be known for that."""
    query: Any = select(text("*")).select_from(table(name)).limit(0)
    return tuple(connection.execute(query).keys())


def _lacking(schema: Schema) -> list[str]:
    lacking = [f"the table {name}" for name in _NEEDED if name not in schema.columns]
    for name, needed in {**_NEEDED, **_NEEDED_IF_THERE}.items():
        if name in schema.columns:
            lacking += [f"the column {name}.{one}" for one in needed if one not in schema.columns[name]]
    if schema.has(FILLS) and not ({"qty", "quantity"} & set(schema.columns[FILLS])):
        lacking.append("the column fills.quantity")
    return lacking
