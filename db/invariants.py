"""Statements that must return no row, whatever crashed: run by tests, every night and by `muhurat doctor`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.order_invariants import ORDER_INVARIANTS
from db.work_invariants import WORK_INVARIANTS

_ROWS_NAMED = 10


@dataclass(frozen=True, slots=True)
class Invariant:
    """One statement. sentence: what it means that it returned rows, and what to do."""

    name: str
    sentence: str
    query: str


@dataclass(frozen=True, slots=True)
class Finding:
    """An invariant that does not hold: how many rows say so, and the first of them."""

    name: str
    sentence: str
    rows: Sequence[Mapping[str, Any]]
    count: int


@dataclass(frozen=True, slots=True)
class Span:
    """How far back what is final is looked at. days: of market time. executions: the newest ones. None: all."""

    days: int | None
    executions: int | None


# What is older was looked at every night since.
RECENT = Span(days=10, executions=200_000)
EVERYTHING = Span(days=None, executions=None)

INVARIANTS = tuple(Invariant(*one) for one in (*ORDER_INVARIANTS, *WORK_INVARIANTS))

_BOUNDS = text(
    "SELECT market_now() AS now, (market_now() AT TIME ZONE 'Asia/Kolkata')::date AS today, last_value "
    "FROM service_task_execution_id_seq"
)
_STATEMENTS = {
    one.name: text(f"SELECT count(*) OVER () AS rows_found, broken.* FROM ({one.query}) broken LIMIT {_ROWS_NAMED}")
    for one in INVARIANTS
}


async def check(session: AsyncSession, span: Span = RECENT) -> list[Finding]:
    """Return the invariants that do not hold; none when all do. Needs the system scope, and only reads."""
    values = await _values(session, span)
    found = []
    for one in INVARIANTS:
        statement = _STATEMENTS[one.name]
        asked = {name: values[name] for name in statement.compile().params}
        rows = [dict(row) for row in (await session.execute(statement, asked)).mappings()]
        if rows:
            count = max(row.pop("rows_found") for row in rows)
            found.append(Finding(one.name, one.sentence, rows, count))
    return found


async def _values(session: AsyncSession, span: Span) -> dict[str, Any]:
    """Return what the statements are asked with."""
    bounds = (await session.execute(_BOUNDS)).one()
    first = date.min if span.days is None else date.fromordinal(bounds.today.toordinal() - span.days)
    return {
        "since": first,
        "since_at": datetime(first.year, first.month, first.day, tzinfo=UTC),
        "first_id": 0 if span.executions is None else bounds.last_value - span.executions,
    }
