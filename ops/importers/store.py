"""Stores entries together, and by halves when the database refuses: until a bad one stands alone."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from db.import_rows import Rows
from db.imports import ImportRepository
from ops.importers.entry import Entry


async def store(
    session: AsyncSession, rows: ImportRepository, entries: Sequence[Entry], reference: str, now: datetime
) -> None:
    """Store what is new of some entries; one that the database refuses is refused alone. now: market now.

    Raises DBAPIError when the database went away: that is no entry's fault.
    """
    new = [one for one in entries if one.rows is not None or one.tracking is not None]
    if not new:
        return
    try:
        async with session.begin_nested():
            await _store(rows, new, reference, now)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        if len(new) == 1:
            _refuse(new[0], error)
            return
        half = len(new) // 2
        await store(session, rows, new[:half], f"{reference}a", now)
        await store(session, rows, new[half:], f"{reference}b", now)


async def _store(rows: ImportRepository, new: Sequence[Entry], reference: str, now: datetime) -> None:
    together = Rows()
    for entry in new:
        if entry.rows is not None:
            together.add(entry.rows)
    if len(together):
        await rows.store(together, reference, now)
    await rows.track([one.tracking for one in new if one.tracking is not None])


def _refuse(entry: Entry, error: DBAPIError) -> None:
    said = str(error.orig).partition("\n")[0].rpartition(">: ")[2]
    entry.refuse("refused", f"the database does not take it: {said}")
    entry.rows = entry.tracking = None
    for other in entry.others:
        other.refuse("refused", f"with {entry.place}: {entry.reason}")
