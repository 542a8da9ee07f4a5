"""Who subscribes to which schedule, and which tasks a user wants."""

from collections.abc import Mapping

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Line, Moment, Name, user_scoped


@user_scoped
class SubscriptionRow(Base):
    """An account that a schedule fires for.

    base_id: the schedule whose time the user replaced by this one's; None: this one as it came. paused_until: market
    time, infinity until somebody resumes it.
    """

    __tablename__ = "schedule_subscriptions"
    __table_args__ = (
        UniqueConstraint("schedule_id", "account_id"),
        Index(None, "schedule_id", "id"),
        Index(None, "user_id"),
    )

    id: Mapped[Id]
    schedule_id: Mapped[Big] = mapped_column(ForeignKey("schedules.id"))
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"))
    base_id: Mapped[Big | None] = mapped_column(ForeignKey("schedules.id"))
    enabled: Mapped[bool] = mapped_column(server_default="true")
    paused_until: Mapped[Moment | None]
    paused_by: Mapped[Name | None]
    pause_reason: Mapped[Line | None]
    created_at: Mapped[Created]


# A task that the user switched off is off for a later account too.
_SUBSCRIBE = text(
    """
    INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id, enabled)
    SELECT d.id, :user_id, :account_id, coalesce(CAST(c.task_schedule ->> d.task_name AS bool), true)
    FROM schedules d LEFT JOIN user_trading_config c ON c.user_id = :user_id
    WHERE d.scope = 'account' ON CONFLICT DO NOTHING
    """
)
_TASKS_OF = text(
    """
    SELECT d.task_name, bool_or(s.enabled) AS fires
    FROM schedule_subscriptions s JOIN schedules d ON d.id = s.schedule_id
    WHERE s.user_id = :user_id GROUP BY d.task_name ORDER BY d.task_name
    """
)
_SWITCH_TASKS = text(
    """
    UPDATE schedule_subscriptions s SET enabled = CASE WHEN CAST(:all AS bool) THEN true ELSE w.enabled END
    FROM schedules d LEFT JOIN unnest(CAST(:tasks AS text[]), CAST(:on AS bool[])) AS w(task_name, enabled)
         ON w.task_name = d.task_name
    WHERE d.id = s.schedule_id AND s.user_id = :user_id AND (CAST(:all AS bool) OR w.task_name IS NOT NULL)
    """
)


class SubscriptionRepository:
    """Queries over subscriptions."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def subscribe(self, user_id: int, account_id: int) -> None:
        """Subscribe an account to every schedule made for accounts, as the user's configuration wishes."""
        await self.session.execute(_SUBSCRIBE, {"user_id": user_id, "account_id": account_id})

    async def tasks_of(self, user_id: int) -> dict[str, bool]:
        """Return which tasks a user's accounts are subscribed to, and whether they fire for them."""
        return {row.task_name: row.fires for row in await self.session.execute(_TASKS_OF, {"user_id": user_id})}

    async def switch_tasks(self, user_id: int, wanted: Mapping[str, bool] | None) -> None:
        """Switch tasks on and off for all accounts of a user; those not named stay. None: all on, as at sign-up.

        While an account has live orders its sync fires whatever is switched.
        """
        tasks = {
            "user_id": user_id,
            "all": wanted is None,
            "tasks": list(wanted or {}),
            "on": list((wanted or {}).values()),
        }
        await self.session.execute(_SWITCH_TASKS, tasks)
