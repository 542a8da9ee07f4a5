"""How far behind the queue is, as Postgres knows it: a few numbers that are nought when all is well."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import RUNNING

_SECONDS = "greatest(extract(epoch FROM now() - {}), 0)::float8"

_READY = text(
    f"""
    SELECT queue, {_SECONDS.format("min(rung_at)")} AS seconds FROM service_task_execution
    WHERE is_open AND rung_at IS NOT NULL AND status = 'queued' GROUP BY queue ORDER BY queue
    """
)
_BEHIND = text(
    """
    SELECT queue, count(*) AS executions FROM service_task_execution
    WHERE is_ringable AND scheduled_for <= (SELECT market_now()) GROUP BY queue ORDER BY queue
    """
)
_OVERDUE = text(
    f"SELECT {_SECONDS.format('next_attempt_at')} FROM service_task_execution "
    "WHERE is_retrying AND next_attempt_at < now() ORDER BY next_attempt_at, id LIMIT 1"
)
_RUNNING = text(
    f"""
    SELECT count(*) FILTER (WHERE w.name IS NULL OR w.gone_at IS NOT NULL OR w.lease_until <= now()) AS orphans,
           count(*) FILTER (WHERE e.executed_at < now() - make_interval(secs => t.seconds)) AS past_limit,
           count(*) FILTER (WHERE w.name IS NULL OR w.ended_at IS NOT NULL) AS ended
    FROM service_task_execution e LEFT JOIN worker_processes w ON w.name = e.worker
    LEFT JOIN unnest(CAST(:tasks AS text[]), CAST(:seconds AS float8[])) AS t(task_name, seconds) USING (task_name)
    WHERE {RUNNING.format("e")}
    """
)
_COUNTS = text(
    "SELECT (SELECT count(*) FROM service_task_execution WHERE is_waiting) AS waiting, "
    "(SELECT count(*) FROM service_task_execution WHERE is_retrying) AS retrying"
)


@dataclass(frozen=True, slots=True)
class RowGauges:
    """What the rows say. Ages in seconds of machine time.

    oldest_ready: of the oldest that was rung and not begun, by queue. oldest_overdue: since the earliest retry was due,
    0 when none is. orphans: running without a live lease. past_limit: running for longer than their task may.
    of_ended: running in the name of a worker that ended or is not known. behind: due and not rung, beyond their users'
    shares, by queue. retrying: with those that are not due yet.
    """

    oldest_ready: Mapping[str, float]
    oldest_overdue: float
    orphans: int
    past_limit: int
    of_ended: int
    behind: Mapping[str, int]
    waiting: int
    retrying: int


class GaugeRepository:
    """Reads gauges; each reads all that is open. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def read(self, limits: Mapping[str, float]) -> RowGauges:
        """Return the gauges now. limits: task -> seconds."""
        values: dict[str, Any] = {"tasks": list(limits), "seconds": list(limits.values())}
        ready = {row.queue: row.seconds for row in await self.session.execute(_READY)}
        overdue = (await self.session.execute(_OVERDUE)).scalar_one_or_none() or 0.0
        running = (await self.session.execute(_RUNNING, values)).one()
        behind = {row.queue: row.executions for row in await self.session.execute(_BEHIND)}
        counts = (await self.session.execute(_COUNTS)).one()
        return RowGauges(
            ready, overdue, running.orphans, running.past_limit, running.ended, behind, counts.waiting, counts.retrying
        )
