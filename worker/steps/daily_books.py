"""Closes an account's books of a day: profit and loss, what it is worth, and the record of how that was computed."""

import time as timer
from collections.abc import Mapping
from datetime import date, time, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRow
from db.activity import ActivityRepository
from db.pnl import PnlRepository
from trading.books import day_books
from trading.calendar import ist
from trading.values import Price, Symbol


async def close_books(session: AsyncSession, account: AccountRow, day: date, closes: Mapping[Symbol, Price]) -> None:
    """Store the day's books in the caller's transaction, under the account's lock; again is in their place.

    closes: of what is held; a share without one counts at cost, and the record of the computation says so.
    """
    began = timer.perf_counter()
    first, end = ist(day, time.min), ist(day + timedelta(days=1), time.min)
    pnl = PnlRepository(session, account.user_id, account.id)
    trades = await pnl.trades(first, end)
    books = day_books(trades.fills, first, closes)
    created = await pnl.store(day, trades, books)
    await ActivityRepository(session).record_day(account.user_id, account.id, first, end)
    await pnl.audit(day, trades, books, timer.perf_counter() - began, created=created)
