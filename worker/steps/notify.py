"""Delivers one notification through the channels its user wants, each once."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from adapters.notices.rules import CHANNELS, IN_APP, Decision, decide
from db.executions import Execution, ServiceTaskRepository
from db.notifications import NotificationRepository, NotificationRow
from worker.outcome import Json, Outcome, done, skipped
from worker.resources import Resources


async def notify(resources: Resources, execution: Execution) -> Outcome:
    """Deliver the notification that is the execution's subject; delivering it again is nothing.

    What a user has switched on and this platform cannot do yet is named in the details.
    """
    if execution.user_id is None or not execution.subject.isdigit():
        raise ValueError(f"notify: execution {execution.id} names no user's notification")
    async with resources.database.transaction(execution.user_id) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        row = await NotificationRepository(session).get(execution.user_id, int(execution.subject))
        if row is None:
            return skipped("the notification is gone")
        return done(notification=row.id, **await _deliver(session, row, now))


async def _deliver(session: AsyncSession, row: NotificationRow, now: datetime) -> dict[str, Json]:
    """Return what became of it on each channel."""
    notifications = NotificationRepository(session)
    preferences = await notifications.preferences(row.user_id)
    found = {one: decide(one, preferences, row.type, row.event, row.level, now) for one in CHANNELS}
    told: dict[str, Json] = {channel: str(decision) for channel, decision in found.items()}
    if found[IN_APP] is Decision.DELIVER:
        new = await notifications.deliver_in_app(row.user_id, row.id)
        told[IN_APP] = "delivered" if new else "delivered before"
    return told
