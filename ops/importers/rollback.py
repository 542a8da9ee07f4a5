"""Takes a batch back: exactly the rows that name it, and only where nothing was built on them."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from db.import_batches import ImportBatchRepository
from db.import_undo import UndoRepository
from db.imports import Target


class BuiltUponError(Exception):
    """Live trading has built on what an import made. rows: which rows, in words."""

    def __init__(self, batch_id: int, rows: Sequence[str]) -> None:
        named = "; ".join(rows[:10]) + (f" and {len(rows) - 10} more" if len(rows) > 10 else "")
        super().__init__(f"batch {batch_id} cannot be rolled back: trading has gone on from it: {named}")
        self.rows = rows


async def take_back(session: AsyncSession, target: Target, batch_id: int) -> int:
    """Delete what a batch made and give its money back. Returns how many rows. Raises BuiltUponError.

    Call it under the account's lock.
    """
    undo = UndoRepository(session, target, batch_id)
    built = await undo.built_upon()
    if built:
        raise BuiltUponError(batch_id, built)
    return await undo.take_back()


async def roll_back(session: AsyncSession, target: Target, batch_id: int, actor: str) -> int:
    """Take a finished batch back and say so in it. Returns how many rows went. Raises BuiltUponError."""
    gone = await take_back(session, target, batch_id)
    await ImportBatchRepository(session).rolled_back(batch_id, actor)
    return gone
