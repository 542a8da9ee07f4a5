"""Who subscribes to which schedule, which tasks a user wants, and who pauses. Times of their own: own_times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

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


# A task that the user switched off is off for a later account too, and one with a time of its own has it there.
_SUBSCRIBE = text(
    """
    INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id, base_id, enabled)
    SELECT coalesce(own.schedule_id, d.id), :user_id, :account_id, own.base_id,
           coalesce(CAST(c.task_schedule ->> d.task_name AS bool), true)
    FROM schedules d LEFT JOIN user_trading_config c ON c.user_id = :user_id
    LEFT JOIN LATERAL (
        SELECT s.schedule_id, s.base_id FROM schedule_subscriptions s
        WHERE s.user_id = :user_id AND s.base_id = d.id ORDER BY s.id LIMIT 1) own ON true
    WHERE d.scope = 'account' AND d.base_id IS NULL ON CONFLICT DO NOTHING
    """
)
_EVERYONE = text(
    """
    INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id, enabled)
    SELECT d.id, a.user_id, a.id, coalesce(CAST(c.task_schedule ->> d.task_name AS bool), true)
    FROM schedules d CROSS JOIN broker_accounts a LEFT JOIN user_trading_config c ON c.user_id = a.user_id
    WHERE d.id = :schedule_id AND a.id > :after AND a.id <= :after + :chunk
      -- Who has an own time of it has that alone.
      AND NOT EXISTS (SELECT FROM schedule_subscriptions s
                      WHERE s.user_id = a.user_id AND s.account_id = a.id AND s.base_id = d.id)
    ON CONFLICT DO NOTHING
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
_OF_USER = text(
    """
    SELECT s.id, s.schedule_id, d.name AS schedule, b.name AS own_time_of, s.base_id, s.account_id,
           a.name AS account, s.enabled AND d.enabled AS fires, s.enabled, s.paused_by, s.pause_reason,
           coalesce(s.paused_until > market_now(), false) AS paused,
           CASE WHEN isfinite(s.paused_until) THEN s.paused_until END AS paused_until,
           CASE WHEN isfinite(d.next_due_at) AND d.enabled THEN d.next_due_at END AS next_due_at
    FROM schedule_subscriptions s JOIN schedules d ON d.id = s.schedule_id
    JOIN broker_accounts a ON a.id = s.account_id LEFT JOIN schedules b ON b.id = s.base_id
    WHERE s.user_id = :user_id ORDER BY d.id, s.account_id
    """
)
# The rows of a schedule and of the own times that were made of it. In the order of their ids, as all who lock several.
_FAMILY = """
    SELECT s.id FROM schedule_subscriptions s
    WHERE s.user_id = :user_id AND :base_id IN (s.schedule_id, s.base_id)
      AND (CAST(:account_id AS bigint) IS NULL OR s.account_id = :account_id)
    ORDER BY s.id FOR UPDATE
"""
_ENROLL = text(
    """
    INSERT INTO schedule_subscriptions (schedule_id, user_id, account_id)
    SELECT :base_id, a.user_id, a.id FROM broker_accounts a
    WHERE a.user_id = :user_id AND (CAST(:account_id AS bigint) IS NULL OR a.id = :account_id)
      AND NOT EXISTS (SELECT FROM schedule_subscriptions s
                      WHERE s.user_id = :user_id AND s.account_id = a.id AND s.base_id = :base_id)
    ON CONFLICT DO NOTHING RETURNING id
    """
)
_SET_ENABLED = text(
    f"""
    UPDATE schedule_subscriptions u SET enabled = :on FROM ({_FAMILY}) f
    WHERE u.id = f.id AND u.enabled <> :on RETURNING u.id
    """
)
_PAUSE = text(
    f"""
    UPDATE schedule_subscriptions u
    SET paused_until = coalesce(CAST(:until AS timestamptz), 'infinity'), paused_by = :by, pause_reason = :reason
    FROM ({_FAMILY}) f WHERE u.id = f.id RETURNING u.id
    """
)
_RESUME = text(
    """
    UPDATE schedule_subscriptions SET paused_until = NULL, paused_by = NULL, pause_reason = NULL
    WHERE id = ANY(CAST(:ids AS bigint[])) AND paused_until IS NOT NULL RETURNING id
    """
)


@dataclass(frozen=True, slots=True)
class Part:
    """A user's part in a schedule and the own times made of it. account_id: None, all accounts."""

    user_id: int
    base_id: int
    account_id: int | None = None

    def values(self) -> dict[str, Any]:
        """Return it as statements take it."""
        return {"user_id": self.user_id, "base_id": self.base_id, "account_id": self.account_id}


class SubscriptionRepository:
    """Queries over subscriptions. Who changes some holds the schedule first, so that no firing passes between."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def subscribe(self, user_id: int, account_id: int) -> None:
        """Subscribe an account to every schedule made for accounts, as the user's configuration wishes."""
        await self.session.execute(_SUBSCRIBE, {"user_id": user_id, "account_id": account_id})

    async def subscribe_everyone(self, schedule_id: int, after: int, chunk: int) -> int:
        """Subscribe the accounts of a range of ids to a schedule. Returns how many are new. Needs the system scope."""
        values = {"schedule_id": schedule_id, "after": after, "chunk": chunk}
        return int((await self.session.execute(_EVERYONE, values)).rowcount)  # type: ignore[attr-defined]  # an INSERT's

    async def last_account(self) -> int:
        """Return the highest id of an account, 0 without one. Needs the system scope."""
        highest = text("SELECT coalesce(max(id), 0) FROM broker_accounts")
        return int((await self.session.execute(highest)).scalar_one())

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

    async def of_user(self, user_id: int) -> list[dict[str, Any]]:
        """Return a user's subscriptions. paused_until: None also for a pause until somebody resumes."""
        return [dict(row) for row in (await self.session.execute(_OF_USER, {"user_id": user_id})).mappings()]

    async def enroll(self, part: Part) -> list[int]:
        """Let a schedule fire for a user's accounts, by their own time where they have one. Returns what changed."""
        made = list((await self.session.execute(_ENROLL, part.values())).scalars())
        return made + await self._set_enabled(part, on=True)

    async def withdraw(self, part: Part) -> list[int]:
        """Let a schedule fire no more for a user's accounts. Returns the ids of the subscriptions that changed."""
        return await self._set_enabled(part, on=False)

    async def pause(self, part: Part, until: datetime | None, by: str, reason: str | None) -> list[int]:
        """Let a schedule not fire for a user until a moment of market time; None: until somebody resumes."""
        values = {**part.values(), "until": until, "by": by, "reason": reason}
        return list((await self.session.execute(_PAUSE, values)).scalars())

    async def resume(self, ids: Sequence[int]) -> list[int]:
        """End pauses. Returns the ids of the subscriptions that had one."""
        return list((await self.session.execute(_RESUME, {"ids": list(ids)})).scalars())

    async def _set_enabled(self, part: Part, *, on: bool) -> list[int]:
        return list((await self.session.execute(_SET_ENABLED, {**part.values(), "on": on})).scalars())
