"""Stores entries together, and by halves when the database refuses: until a bad one stands alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from db.import_rows import Rows
from db.imports import ImportRepository, Prepared, new_ids, prepare
from ops.importers.entry import Entry


@dataclass(slots=True)
class Chunk:
    """Some entries. prepared: their rows as they are sent, if all of them are stored."""

    entries: Sequence[Entry]
    prepared: Prepared | None = None
    new: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether everything that was prepared is still to be stored."""
        return self.prepared is not None and self.new == len(new_of(self.entries))


def new_of(entries: Sequence[Entry]) -> list[Entry]:
    """Return the entries that have rows to store."""
    return [one for one in entries if one.rows is not None]


def rows_of(entries: Sequence[Entry]) -> Rows:
    """Return the rows of entries together."""
    together = Rows()
    for entry in entries:
        if entry.rows is not None:
            together.add(entry.rows)
    return together


async def store(session: AsyncSession, rows: ImportRepository, chunk: Chunk, reference: str, now: datetime) -> None:
    """Store what is new of a chunk; an entry that the database refuses is refused alone. now: market now.

    Raises DBAPIError when the database went away: that is no entry's fault.
    """
    new = [one for one in chunk.entries if one.rows is not None or one.tracking is not None]
    if not new:
        return
    try:
        async with session.begin_nested():
            prepared = chunk.prepared if chunk.is_whole else None
            await _store(session, rows, new, prepared, reference, now)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        if len(new) == 1:
            _refuse(new[0], error)
            return
        half = len(new) // 2
        await store(session, rows, Chunk(new[:half]), f"{reference}a", now)
        await store(session, rows, Chunk(new[half:]), f"{reference}b", now)


async def _store(
    session: AsyncSession,
    rows: ImportRepository,
    new: Sequence[Entry],
    prepared: Prepared | None,
    reference: str,
    now: datetime,
) -> None:
    if prepared is None and len(together := rows_of(new)):
        prepared = prepare(together, await new_ids(session, together), rows.target)
    if prepared is not None:
        await rows.store(prepared, reference, now)
    await rows.track([one.tracking for one in new if one.tracking is not None])


def _refuse(entry: Entry, error: DBAPIError) -> None:
    said = str(error.orig).partition("\n")[0].rpartition(">: ")[2]
    entry.refuse("refused", f"the database does not take it: {said}")
    entry.rows = entry.tracking = None
    for other in entry.others:
        other.refuse("refused", f"with {entry.place}: {entry.reason}")
