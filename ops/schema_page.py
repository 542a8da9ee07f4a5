"""`python -m ops.schema_page` writes `ops/schema.md`: every table as the models have it, for people who read rows."""

from collections.abc import Iterable, Iterator
from inspect import cleandoc
from pathlib import Path

from sqlalchemy import CheckConstraint, Column, Computed, Index, Table, UniqueConstraint
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, DefaultClause

from db.base import USER_SCOPED, Base
from db.partitions import PARTITIONED
from db.tables import metadata

PAGE = Path(__file__).with_name("schema.md")

# What the tables are for, in the order in which a newcomer meets them. A test refuses a table that stands nowhere.
CHAPTERS: dict[str, tuple[str, ...]] = {
    "People and accounts": (
        "users", "usersettings", "broker_accounts", "cash_entries", "service_status", "audit_logs",
    ),
    "Configuration": ("user_trading_config", "user_trading_config_versions", "parameter_sets"),
    "Schedules and executions": (
        "schedules", "schedule_versions", "schedule_subscriptions", "schedule_pieces", "halts",
        "service_task_execution", "execution_attempts", "execution_counts",
        "worker_processes", "scheduler_processes", "healings",
    ),
    "Market": (
        "market_clock", "market_calendars", "market_sessions", "market_days", "market_hours", "bars", "price_days",
        "feature_snapshots", "signals", "user_signal_status",
    ),
    "Decisions, orders, positions": (
        "decisions", "orders", "order_events", "fills", "positions", "reentries", "paper_books", "paper_orders",
    ),
    "The day's books": ("pnldaily", "portfolio_snapshots", "pnl_calculation_audit", "activity"),
    "What is told and logged": ("notifications", "user_notification_preferences", "service_logs", "error_logs"),
    "Imports": ("import_batches", "import_records", "tracked_symbols"),
    "Models": ("ml_training_jobs", "ml_models", "artifacts"),
}  # fmt: skip

_HEAD = """# The schema

Made from the models by `python -m ops.schema_page`; a test holds it fresh. Moments are `timestamptz` in UTC; money and
prices are exact numbers. **By user** means row-level security: a transaction sees the rows of the user it was opened
for, the system sees all, and without either nothing is visible, on each partition too.
"""

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves its dialects' constructors untyped


def schema_page() -> str:
    """Return the page."""
    return "\n".join([_HEAD, *_contents(), *(_chapter(name, tables) for name, tables in CHAPTERS.items())])


def _contents() -> Iterator[str]:
    for name, tables in CHAPTERS.items():
        yield f"- {name}: " + ", ".join(f"[{table}](#{table})" for table in tables)


def _chapter(name: str, tables: Iterable[str]) -> str:
    return "\n".join([f"\n## {name}", *(_table(metadata.tables[table]) for table in tables)])


def _table(table: Table) -> str:
    lines = [f"\n### {table.name}\n", *_meanings(table), "", "| column | type | null | default |", "|---|---|---|---|"]
    lines += [_column(column) for column in table.columns]
    rules = [*_keys(table), *_checks(table), *sorted(_indexes(table))]
    return "\n".join([*lines, "", *(f"- {rule}" for rule in rules)])


def _meanings(table: Table) -> Iterator[str]:
    """Yield what the row class says, and how Postgres keeps the table."""
    row = next(mapper.class_ for mapper in Base.registry.mappers if mapper.local_table is table)
    yield cleandoc(row.__doc__ or "")
    steps = {one.table: one.step for one in PARTITIONED}
    kept = [f"By user: `{USER_SCOPED[table.name]}`."] if table.name in USER_SCOPED else []
    if table.name in steps:
        by = table.dialect_options["postgresql"]["partition_by"]
        kept.append(f"Partitioned `{by}`, a {steps[table.name]} each.")
    if kept:
        yield "\n" + " ".join(kept)


def _column(column: Column[object]) -> str:
    cells = [f"`{column.name}`", _type(column), "null" if column.nullable else "", _default(column)]
    return f"| {' | '.join(cells)} |"


def _type(column: Column[object]) -> str:
    return column.type.compile(_DIALECT).lower().replace("timestamp with time zone", "timestamptz")


def _default(column: Column[object]) -> str:
    if isinstance(column.server_default, Computed):
        return f"= `{column.server_default.sqltext}`"
    if column.identity is not None:
        return "identity"
    if not isinstance(column.server_default, DefaultClause):
        return ""
    argument = column.server_default.arg
    said = argument if isinstance(argument, str) else str(argument.compile(dialect=_DIALECT))
    return f"`{said}`" if said else "`''`"


def _keys(table: Table) -> Iterator[str]:
    yield f"primary key ({_names(table.primary_key.columns)})"
    for unique in sorted((one for one in table.constraints if isinstance(one, UniqueConstraint)), key=_name):
        nulls = ", nulls too" if unique.dialect_options["postgresql"].get("nulls_not_distinct") else ""
        yield f"unique ({_names(unique.columns)}){nulls}"
    for column in table.columns:
        for foreign in sorted(column.foreign_keys, key=lambda one: one.target_fullname):
            yield f"`{column.name}` is one of `{foreign.target_fullname}`" + (
                f", {foreign.ondelete.lower()} when that goes" if foreign.ondelete else ""
            )


def _checks(table: Table) -> Iterator[str]:
    for check in sorted((one for one in table.constraints if isinstance(one, CheckConstraint)), key=_name):
        yield f"check `{check.sqltext}`"


def _indexes(table: Table) -> Iterator[str]:
    for index in table.indexes:
        _, _, said = str(CreateIndex(index).compile(dialect=_DIALECT)).partition(f" ON {table.name} ")
        yield f"{'unique ' if index.unique else ''}index {index.name}: `{' '.join(said.split())}`"


def _names(columns: Iterable[Column[object]]) -> str:
    return ", ".join(f"`{column.name}`" for column in columns)


def _name(one: Index | CheckConstraint | UniqueConstraint) -> str:
    return str(one.name)


if __name__ == "__main__":
    PAGE.write_text(schema_page(), encoding="utf-8")
