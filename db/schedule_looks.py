"""What people ask about schedules: which there are, who subscribes, what of it fires, what stands against it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.fan_outs import _CONDITIONS as CONDITIONS
from db.schedules import ScheduleRow
from trading.orders import LIVE


@dataclass(frozen=True, slots=True)
class Load:
    """How many executions a slot of a schedule makes. since: from when on, a pause's end; None, now."""

    executions: int
    since: datetime | None = None


_COUNTS = text("SELECT schedule_id, count(*) AS n FROM schedule_subscriptions WHERE enabled GROUP BY schedule_id")
_SUBSCRIBERS = text(
    """
    SELECT count(*) AS subscribed, count(*) FILTER (WHERE NOT s.enabled) AS off,
           count(*) FILTER (WHERE s.enabled AND s.paused_until > market_now()) AS paused,
           count(*) FILTER (WHERE s.enabled AND NOT v.service_running) AS stopped,
           count(*) FILTER (WHERE s.enabled AND v.service_running AND c.user_id IS NOT NULL
                                  AND coalesce(s.paused_until <= market_now(), true)) AS fires,
           count(*) FILTER (WHERE s.base_id IS NOT NULL) AS own_times
    FROM schedule_subscriptions s JOIN service_status v ON v.user_id = s.user_id
    LEFT JOIN user_trading_config c ON c.user_id = s.user_id
    WHERE s.schedule_id = :schedule_id
    """
)
# One count a schedule, as its fan-out chooses; pauses that end within the span are told apart, to the minute.
_LOADS = {
    "account": """
        SELECT CASE WHEN s.paused_until > :first THEN date_trunc('minute', s.paused_until - interval '1 microsecond')
                         + interval '1 minute' END AS since, count(*) AS n
        FROM schedule_subscriptions s JOIN service_status v ON v.user_id = s.user_id
        LEFT JOIN user_trading_config c ON c.user_id = s.user_id
        WHERE s.schedule_id = :schedule_id AND {condition} AND coalesce(s.paused_until < :last, true)
          AND ((s.enabled AND v.service_running AND c.user_id IS NOT NULL) OR {regardless})
        GROUP BY 1 ORDER BY 1 NULLS FIRST""",
    "parameters": """
        SELECT NULL::timestamptz AS since, count(DISTINCT (c.strategy, c.parameter_hash)) AS n
        FROM user_trading_config c JOIN service_status v ON v.user_id = c.user_id AND v.service_running
        WHERE {condition}""",
    "shared": "SELECT NULL::timestamptz AS since, 1 AS n",
}
# Those of everybody and of the user himself; which of his accounts one is for is the caller's to see.
_HALTS = text(
    """
    SELECT h.id, h.account_id, h.task_name, h.reason, h.created_by, h.until
    FROM halts h
    WHERE h.ended_at IS NULL AND h.tasks AND h.symbol IS NULL AND (h.until IS NULL OR h.until > market_now())
      AND (h.user_id IS NULL OR h.user_id = :user_id)
      AND (h.account_id IS NULL
           OR h.account_id IN (SELECT a.id FROM broker_accounts a WHERE a.user_id = :user_id))
      AND (h.strategy IS NULL
           OR h.strategy = (SELECT c.strategy FROM user_trading_config c WHERE c.user_id = :user_id))
    ORDER BY h.id
    """
)


_LIVE_ACCOUNTS = text(
    f"""
    SELECT DISTINCT account_id FROM orders
    WHERE user_id = :user_id AND status IN ({", ".join(f"'{state}'" for state in sorted(LIVE))})
    """
)
# In a replay bars are daily; a rehearsal has a clock of its own and live days.
_DAILY = text("SELECT EXISTS (SELECT FROM market_clock WHERE speed IS NULL)")


class ScheduleLookRepository:
    """Reads schedules for people. Under a user's scope it sees that user's subscriptions only."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def all(self) -> list[ScheduleRow]:
        """Return every schedule, by the order in which they were made."""
        return list((await self.session.execute(select(ScheduleRow).order_by(ScheduleRow.id))).scalars())

    async def named(self, name: str) -> ScheduleRow | None:
        """Return a schedule by its name; None: there is none."""
        query = select(ScheduleRow).where(ScheduleRow.name == name)
        return (await self.session.execute(query)).scalar_one_or_none()

    async def daily_bars(self) -> bool:
        """Tell whether repeating triggers fire only as finely as daily bars show anything new, as in a replay."""
        return bool((await self.session.execute(_DAILY)).scalar_one())

    async def counts(self) -> dict[int, int]:
        """Return how many accounts subscribe to each schedule that has any."""
        return {row.schedule_id: row.n for row in await self.session.execute(_COUNTS)}

    async def subscribers(self, schedule_id: int) -> dict[str, int]:
        """Return how many accounts subscribe to a schedule, and how many of them are off, paused, stopped, or fire."""
        row = (await self.session.execute(_SUBSCRIBERS, {"schedule_id": schedule_id})).mappings().one()
        return dict(row)

    async def loads(self, row: ScheduleRow, first: datetime, last: datetime) -> list[Load]:
        """Return how many executions a slot makes by what subscribers and conditions are now. Needs the system scope.

        Those whose pause ends between the two moments come by themselves; who is paused longer is left out.
        """
        values: dict[str, Any] = {}
        if row.scope == "account":
            values = {"schedule_id": row.id, "first": first, "last": last}
        # Whether the day's prices are whole is not known of days to come.
        condition = "true" if row.condition == "prices_missing" else CONDITIONS[row.condition]
        regardless = CONDITIONS["has_live_order"] if row.task_name == "order_sync" else "false"
        statement = text(_LOADS[row.scope].format(condition=condition, regardless=regardless))
        found = await self.session.execute(statement, values)
        return [Load(one.n, one.since) for one in found if one.n]

    async def live_accounts(self, user_id: int) -> frozenset[int]:
        """Return a user's accounts with orders that are not final: their sync fires whatever stops."""
        return frozenset((await self.session.execute(_LIVE_ACCOUNTS, {"user_id": user_id})).scalars())

    async def halts(self, user_id: int | None) -> Sequence[Any]:
        """Return the halts in force that keep executions from beginning: everybody's, and those that one user meets."""
        return (await self.session.execute(_HALTS, {"user_id": user_id})).all()
