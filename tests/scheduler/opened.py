"""What fires schedules, as a scheduler opens it, and one schedule for it to fire."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from db.transaction import Database
from scheduler.due import Due
from scheduler.ringer import Ringer
from worker.bells.ringing import Bells

NAME = "hourly look"
FIRST = datetime(2024, 1, 2, 4, tzinfo=UTC)  # 09:30 IST
HOUR = timedelta(hours=1)


async def open_due(database: Database, bells: Bells, name: str = "s1", share: int = 8) -> Due:
    """Return what fires schedules. share: of one user in one queue."""
    return Due(database, Ringer(bells), name, share)


async def set_policies(database: Database, **policies: object) -> None:
    """Leave one hourly schedule with these policies, to which every account subscribes."""
    values: dict[str, object] = {"task_name": "position_monitor", "useful_seconds": 86_400, **policies}
    columns = "".join(f", {name}" for name in values)
    async with database.transaction(None) as session:
        await session.execute(text("UPDATE schedules SET enabled = false"))
        await session.execute(
            text(
                f"INSERT INTO schedules (name, scope, trigger, next_due_at{columns}) VALUES "
                f"('{NAME}', 'account', 'every 1h from open+15m until close', :first"
                f"{''.join(f', :{name}' for name in values)})"
            ),
            {"first": FIRST, **values},
        )
        await session.execute(
            text(
                "INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id) SELECT d.id, a.user_id, a.id "
                "FROM schedules d, broker_accounts a WHERE d.name = :name"
            ),
            {"name": NAME},
        )
