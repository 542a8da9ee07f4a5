"""Closes an account's books of a day: profit and loss, what it is worth, and the record of how that was computed."""

from collections.abc import Mapping
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRow
from db.executions import Execution
from trading.values import Price, Symbol


async def close_books(
    session: AsyncSession, execution: Execution, account: AccountRow, day: date, closes: Mapping[Symbol, Price]
) -> None:
    """Store the day's books in the caller's transaction."""
