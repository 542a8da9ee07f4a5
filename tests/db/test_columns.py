"""Rows sent as a text a column are the same rows to Postgres."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from db.columns import Columns
from db.transaction import Database

_SENT = Columns(name="text", count="int", price="numeric", day="date", at="timestamptz", never="timestamptz")


async def _back(database: Database, **columns: list[Any]) -> list[tuple[Any, ...]]:
    async with database.reading(None) as session:
        rows = await session.execute(text(f"SELECT r.* FROM {_SENT.rows('r')}"), _SENT.values(**columns))
        return [tuple(row) for row in rows]


async def test_every_value_comes_back_as_it_was_sent_moments_to_the_microsecond(database: Database) -> None:
    moments = [
        datetime(1990, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2100, 12, 31, 18, 29, 59, 999999, tzinfo=UTC),
        datetime(2024, 2, 29, 3, 45, 0, 1, tzinfo=UTC),
        None,
    ]
    columns: dict[str, list[Any]] = {
        "name": ["INFY", "M&M", None, "a b", '{x,"y"}'],
        "count": [1, 0, -1, None, 5],
        "price": [Decimal("0.0001"), None, Decimal("99999999.5"), Decimal(0), Decimal("1E+2")],
        "day": [date(1990, 1, 1), date(2024, 2, 29), None, date(2100, 12, 31), date(2024, 2, 29)],
        "at": moments,
        "never": [None] * 5,
    }
    assert await _back(database, **columns) == list(zip(*columns.values(), strict=True))


async def test_a_moment_of_another_zone_is_the_same_moment(database: Database) -> None:
    there = datetime(2024, 1, 9, 9, 15, 11, tzinfo=UTC).astimezone(tz=None) + timedelta(microseconds=7)
    nothing: list[Any] = [None]
    [row] = await _back(
        database, name=["A"], count=nothing, price=nothing, day=nothing, at=[there], never=nothing
    )  # fmt: skip
    assert row[4] == there
