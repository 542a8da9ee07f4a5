"""What an operator asks first: how today's work goes, what hangs, who is alive. A few statements, all by index."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import OPEN, RUNNING
from db.needs import MET, NEEDS
from db.service_looks import stale_sql, state_sql
from trading.orders import LIVE

_LIVE = "('" + "', '".join(sorted(LIVE)) + "')"
# Every statement takes one user or, with null, all.
_MINE = "(CAST(:user_id AS bigint) IS NULL OR {} = :user_id)"

_MOMENT = text(
    f"""
    SELECT market_now() AS market_now, now() AS machine_now, EXISTS (SELECT FROM market_clock) AS replay,
           (SELECT max(day) FROM price_days WHERE whole) AS prices_until,
           (SELECT count(*) FROM error_logs e WHERE NOT e.resolved AND e.occurred_at > now() - interval '1 day'
            AND {_MINE.format("e.user_id")}) AS errors
    """
)

_TASKS = text(
    f"""
    SELECT task_name, count(*) AS slots,
        count(*) FILTER (WHERE status = 'success') AS done,
        count(*) FILTER (WHERE status IN ('queued', 'running', 'retrying')) AS under_way,
        count(*) FILTER (WHERE status = 'waiting') AS waiting,
        count(*) FILTER (WHERE status = 'failed') AS failed,
        count(*) FILTER (WHERE status = 'skipped' AND reason LIKE 'late:%') AS late,
        count(*) FILTER (WHERE status IN ('skipped', 'cancelled') AND coalesce(reason, '') NOT LIKE 'late:%') AS skipped
    FROM service_task_execution e
    WHERE scheduled_for >= :first AND scheduled_for < :last AND {_MINE.format("e.user_id")}
    GROUP BY task_name ORDER BY min(scheduled_for), task_name
    """
)

_WAITING = text(
    f"""
    SELECT e.task_name, concat_ws(' ', n.task, nullif(split_part(coalesce(n.subject, ''), ':', 1), '')) AS waits_for,
           count(*) AS executions
    FROM service_task_execution e CROSS JOIN LATERAL {NEEDS}
    WHERE e.is_waiting AND {_MINE.format("e.user_id")} AND NOT {MET.format(status="d.status = 'success'")}
    GROUP BY 1, 2 ORDER BY 1, 2
    """
)

_QUEUED = text(
    f"""
    SELECT queue, count(*) AS executions, min(id) AS oldest_id,
           min(coalesce(rung_at, created_at)) AS oldest_since
    FROM service_task_execution e
    WHERE {OPEN.format("e")} AND status IN ('queued', 'retrying') AND scheduled_for <= (SELECT market_now())
      AND {_MINE.format("e.user_id")}
    GROUP BY queue ORDER BY queue
    """
)

_LIVE_ORDERS = text(
    f"""
    SELECT o.status, o.id, o.user_id, o.symbol, o.side, o.quantity, o.updated_at
    FROM orders o WHERE o.status IN {_LIVE} AND {_MINE.format("o.user_id")} ORDER BY o.id
    """
)

_FAILED_ORDERS = text(f"SELECT count(*) FROM orders o WHERE o.status = 'failed' AND {_MINE.format('o.user_id')}")

_SCHEDULERS = text(
    "SELECT name, greatest(extract(epoch FROM now() - seen_at), 0)::float8 AS seconds FROM scheduler_processes "
    "WHERE stopped_at IS NULL AND seen_at > now() - interval '1 hour' ORDER BY name"
)

_FAULTS = text("SELECT name, fault FROM schedules WHERE enabled AND fault IS NOT NULL ORDER BY name LIMIT :most")

_WORKERS = text(
    f"""
    SELECT name, queues, extract(epoch FROM lease_until - now())::float8 AS lease_seconds,
           CASE WHEN gone_at IS NOT NULL
                THEN greatest(extract(epoch FROM now() - gone_at), 0)::float8 END AS gone_seconds,
           coalesce(r.running, 0) AS running
    FROM worker_processes w LEFT JOIN (
        SELECT e.worker, count(*) AS running FROM service_task_execution e
        WHERE {RUNNING.format("e")} GROUP BY e.worker) r ON r.worker = w.name
    WHERE ended_at IS NULL AND lease_until > now() - interval '1 hour' ORDER BY name
    """
)

_ACCOUNTS = text(
    f"""
    SELECT a.id, u.email, a.name, a.mode, a.status, a.cash, {state_sql("s", "a.user_id")} AS service,
        s.last_task_execution, s.error_count,
        (SELECT count(*) FROM positions p WHERE p.account_id = a.id AND p.closed_at IS NULL) AS positions,
        (SELECT count(*) FROM orders o WHERE o.account_id = a.id AND o.status IN {_LIVE}) AS live_orders
    FROM broker_accounts a JOIN users u ON u.id = a.user_id JOIN service_status s ON s.user_id = a.user_id
    WHERE {_MINE.format("a.user_id")} ORDER BY a.id LIMIT :limit
    """
)

_COUNTS = text(
    f"""
    SELECT count(*) AS accounts, count(DISTINCT a.user_id) AS users,
           count(DISTINCT a.user_id) FILTER (WHERE s.service_running) AS running,
           count(DISTINCT a.user_id) FILTER (WHERE {stale_sql("s")}) AS stale,
           count(*) FILTER (WHERE a.status <> 'active') AS blocked
    FROM broker_accounts a JOIN service_status s ON s.user_id = a.user_id WHERE {_MINE.format("a.user_id")}
    """
)

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Moment:
    """Where market and machine time stand. prices_until: the last whole day.

    errors: of one day, unresolved; one user's are his own, without those of shared tasks.
    """

    market_now: datetime
    machine_now: datetime
    replay: bool
    prices_until: Any
    errors: int


class OverviewRepository:
    """Looks over everything, or over one user. Needs the system scope. user_id: None means all."""

    def __init__(self, session: AsyncSession, user_id: int | None = None) -> None:
        self.session, self.user_id = session, user_id

    async def moment(self) -> Moment:
        """Return where time stands, and what is known at it."""
        return Moment(*(await self.session.execute(_MOMENT, {"user_id": self.user_id})).one())

    async def tasks(self, first: datetime, last: datetime) -> Rows:
        """Return the slots of a span per task: done, under way, waiting, failed, late, skipped."""
        return await self._rows(_TASKS, first=first, last=last)

    async def waiting(self) -> Rows:
        """Return what waiting executions still miss."""
        return await self._rows(_WAITING)

    async def queued(self) -> Rows:
        """Return what is due and not begun, per queue, with its oldest."""
        return await self._rows(_QUEUED)

    async def live_orders(self) -> Rows:
        """Return every order that is not final."""
        return await self._rows(_LIVE_ORDERS)

    async def failed_orders(self) -> int:
        """Return how many orders wait to be tried again."""
        return int((await self.session.execute(_FAILED_ORDERS, {"user_id": self.user_id})).scalar_one())

    async def schedulers(self) -> Rows:
        """Return the scheduler processes of the last hour, with the seconds since each was seen."""
        return await self._rows(_SCHEDULERS)

    async def faults(self, most: int) -> Rows:
        """Return the schedules that are on and could not be fired or planned when it was tried last, and why."""
        return [dict(row) for row in (await self.session.execute(_FAULTS, {"most": most})).mappings()]

    async def workers(self) -> Rows:
        """Return the worker processes of the last hour, with what is left of each lease.

        gone_seconds: since its supervisor saw it end; None while it lives.
        """
        return await self._rows(_WORKERS)

    async def accounts(self, limit: int) -> Rows:
        """Return accounts with cash, positions, live orders and their user's service."""
        return await self._rows(_ACCOUNTS, limit=limit)

    async def counts(self) -> Mapping[str, Any]:
        """Return how many accounts and users there are, how many run, are stale, are blocked."""
        return (await self._rows(_COUNTS))[0]

    async def _rows(self, query: Any, **values: object) -> Rows:
        found = await self.session.execute(query, {"user_id": self.user_id, **values})
        return [dict(row) for row in found.mappings()]
