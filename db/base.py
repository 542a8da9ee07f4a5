"""The declarative base of every table: one naming scheme, one set of column types, no relationships."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from sqlalchemy import BigInteger, DateTime, Identity, Index, MetaData, Numeric, String, Text, func
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

Id = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
Big = Annotated[int, mapped_column(BigInteger)]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Created = Annotated[datetime, mapped_column(DateTime(timezone=True), server_default=func.now())]
Rupees = Annotated[Decimal, mapped_column(Numeric(14, 2))]
ExactPrice = Annotated[Decimal, mapped_column(Numeric(18, 4))]
Name = Annotated[str, mapped_column(String(64))]
Word = Annotated[str, mapped_column(String(16))]
Ticker = Annotated[str, mapped_column(String(32))]
Phrase = Annotated[str, mapped_column(String(128))]
Label = Annotated[str, mapped_column(String(255))]
Line = Annotated[str, mapped_column(String(512))]
Note = Annotated[str, mapped_column(String(1024))]
Prose = Annotated[str, mapped_column(Text)]
Json = Annotated[dict[str, Any], mapped_column(JSONB)]
# As it was written, to the letter, and read only where it is asked for by name.
Kept = Annotated[dict[str, Any], mapped_column(JSON, deferred=True, deferred_raiseload=True)]


class Base(DeclarativeBase):
    """The base of all rows."""

    metadata = MetaData(naming_convention=NAMING)


def page_index(column: str, where: str | None = None) -> Index:
    """Return an index of what grows with the rows: it says of each few pages between what values theirs lie.

    A row more costs it next to nothing. The newest pages are read whole, until a vacuum has looked at them.
    """
    options: dict[str, Any] = {"pages_per_range": 16, "autosummarize": True}
    return Index(None, column, postgresql_using="brin", postgresql_with=options, postgresql_where=where)


USER_SCOPED: dict[str, str] = {}
"""Table name -> the column that names its user, for every table under row-level security."""

Row = TypeVar("Row", bound=type[Base])


def user_scoped(row: Row) -> Row:
    """Put a row class under row-level security by its `user_id` (the table `users`: by its `id`)."""
    table = row.__table__
    USER_SCOPED[str(table.name)] = "id" if table.name == "users" else "user_id"  # type: ignore[attr-defined]  # a Table
    return row
