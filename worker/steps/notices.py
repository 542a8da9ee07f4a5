"""How steps tell users something: rows of their own transaction, delivered by executions that follow."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import Execution
from db.notifications import Notice, NotificationRepository
from worker.messages import TASKS

# What is an hour old is read on the page, not sent after people.
USEFUL_SECONDS = 3600.0


async def tell(session: AsyncSession, execution: Execution, notices: Sequence[Notice]) -> None:
    """Tell users what they were not told before. It is undone with the caller's transaction."""
    if notices:
        await NotificationRepository(session).tell(notices, execution.id, TASKS["notify"].queue, USEFUL_SECONDS)
