"""Tables that grow with time: which they are, how wide a partition is, and the partitions made ahead."""

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table partitioned by time. step: what one partition holds, `month` or `week`, in UTC.

    machine_time: its moments are this machine's, whatever time the market has.
    """

    table: str
    step: str
    machine_time: bool = False


EXECUTIONS = "service_task_execution"
PARTITIONED = (
    Partitioned(EXECUTIONS, "month"),
    Partitioned("decisions", "month"),
    Partitioned("service_logs", "week", machine_time=True),
)

_TODAY = text("SELECT market_now()::date AS market, now()::date AS machine")
_MAKE = text("SELECT make_partitions(:table, :step, CAST(:first AS date), CAST(:last AS date))")
_DROP = text("SELECT drop_partitions(:table, :step, CAST(:before AS date))")


class PartitionRepository:
    """Makes and drops partitions. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def make(self, first: date, last: date) -> int:
        """Make the missing partitions of every table over a range of days, both included. Returns how many."""
        return sum([await self._make(one, first, last) for one in PARTITIONED])

    async def make_ahead(self, days: int, behind: int = 0) -> int:
        """Make the missing partitions from today on, the market's day and the machine's. Returns how many.

        behind: days before today, of the executions alone: what was missed then is still to be recorded.
        """
        today = (await self.session.execute(_TODAY)).one()
        ahead = timedelta(days=days)
        wanted = [(one, day) for one in PARTITIONED for day in sorted({today.market, today.machine})]
        # In a replay, retention would drop what is made here for log lines that nobody will write.
        needed = [(one, day) for one, day in wanted if day == today.machine or not one.machine_time]
        first = {one: timedelta(days=behind if one.table == EXECUTIONS else 0) for one in PARTITIONED}
        return sum([await self._make(one, day - first[one], day + ahead) for one, day in needed])

    async def _make(self, one: Partitioned, first: date, last: date) -> int:
        values = {"table": one.table, "step": one.step, "first": first, "last": last}
        made: int = (await self.session.execute(_MAKE, values)).scalar_one()
        return made

    async def drop(self, table: Partitioned, before: date) -> int:
        """Drop a table's partitions that hold nothing from that day on. Returns how many."""
        values = {"table": table.table, "step": table.step, "before": before}
        dropped: int = (await self.session.execute(_DROP, values)).scalar_one()
        return dropped
