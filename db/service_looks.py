"""How services stand, as people look at them: their state, what is in flight, and what a start would need."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import OPEN, RUNNING
from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))
# A heartbeat is written once a minute; of three that are missing one must have come.
STALE_SECONDS = 180
# A replay's services have no heartbeat: its days pass faster than any machine's minute.
_IS_REPLAY = "(SELECT true FROM market_clock WHERE speed IS NULL LIMIT 1) IS NOT NULL"
_LOOKED = "(SELECT max(seen_at) FROM scheduler_processes WHERE stopped_at IS NULL)"
_LIVE_ORDER = f"EXISTS (SELECT FROM orders o WHERE o.user_id = {{user}} AND o.status IN ({_LIVE}))"
# Nothing of a stopped service waits, and what of it is tried again has an order that lives.
_IN_FLIGHT = """
    (EXISTS (SELECT FROM service_task_execution e WHERE e.user_id = {user} AND e.is_open AND e.rung_at IS NOT NULL)
     OR EXISTS (SELECT FROM service_task_execution e WHERE e.user_id = {user} AND e.is_ringable))
"""


def state_sql(service: str, user: str) -> str:
    """Return an expression for a service's state: running, stale (nobody looks after it), stopping or stopped.

    service: the alias of its row. user: an expression for its user. Stopping: something of it is still under way.
    """
    under_way = f"{_LIVE_ORDER.format(user=user)} OR {_IN_FLIGHT.format(user=user)}"
    return f"""
    CASE WHEN {stale_sql(service)} THEN 'stale' WHEN {service}.service_running THEN 'running'
         WHEN {under_way} THEN 'stopping' ELSE 'stopped' END
    """


def heartbeat_sql(service: str) -> str:
    """Return an expression for when a service was looked after last; null: never. service: the alias of its row.

    Whichever scheduler runs looks after all that are switched on.
    """
    return f"""
    CASE WHEN {service}.service_running THEN greatest({service}.last_heartbeat, {_LOOKED})
         ELSE {service}.last_heartbeat END
    """


def stale_sql(service: str) -> str:
    """Return a condition: a service is switched on and nobody looks after it. service: the alias of its row."""
    seen = f"greatest({heartbeat_sql(service)}, {service}.started_at)"
    fresh = f"coalesce({seen} > now() - interval '{STALE_SECONDS} s', false)"
    return f"({service}.service_running AND NOT ({fresh} OR {_IS_REPLAY}))"


_SERVICE = f"""
    SELECT u.id, u.email, {state_sql("s", "u.id")} AS state, s.generation,
           CASE WHEN s.service_running THEN s.started_at ELSE s.stopped_at END AS since, s.changed_by AS by,
           s.started_at, s.stopped_at, h.last_heartbeat,
           CASE WHEN h.last_heartbeat IS NOT NULL
                THEN greatest(extract(epoch FROM now() - h.last_heartbeat), 0)::float8 END AS heartbeat_seconds,
           s.last_task_execution, s.error_count, s.last_error,
           (SELECT count(*) FROM service_task_execution e WHERE e.user_id = u.id AND {RUNNING.format("e")}) AS running,
           (SELECT count(*) FROM orders o WHERE o.user_id = u.id AND o.status IN ({_LIVE})) AS live_orders
    FROM users u JOIN service_status s ON s.user_id = u.id
    CROSS JOIN LATERAL (SELECT {heartbeat_sql("s")} AS last_heartbeat) h
"""
_PAGE = text(f"{_SERVICE} WHERE u.id > :after AND u.deleted_at IS NULL ORDER BY u.id LIMIT :limit")
_ONE = text(f"{_SERVICE} WHERE u.id = :user_id")

_FLIGHT = text(
    f"""
    SELECT e.id, e.task_name, e.account_id, e.subject, e.status, e.scheduled_for, e.attempt, e.executed_at, e.worker
    FROM service_task_execution e WHERE e.user_id = :user_id AND {OPEN.format("e")}
    ORDER BY e.id LIMIT :limit
    """
)
_ORDERS = text(
    f"""
    SELECT o.id, o.account_id, o.side, o.symbol, o.quantity, o.filled_quantity, o.status, o.session_day,
           (SELECT max(e.finished_at) FROM service_task_execution e
            WHERE e.user_id = o.user_id AND e.task_name = 'order_sync' AND e.account_id = o.account_id
              AND e.status = 'success' AND e.scheduled_for > now() - interval '7 days') AS last_sync
    FROM orders o WHERE o.user_id = :user_id AND o.status IN ({_LIVE}) ORDER BY o.id LIMIT :limit
    """
)
_NEWEST = text(
    """
    SELECT id, task_name, status, scheduled_for, finished_at, reason FROM service_task_execution
    WHERE user_id = :user_id AND task_name = ANY(CAST(:tasks AS text[])) AND status IN ('success', 'failed', 'skipped')
    ORDER BY scheduled_for DESC, id DESC LIMIT 1
    """
)

_USER = text("SELECT email, is_active, deleted_at IS NOT NULL AS is_deleted FROM users WHERE id = :user_id")
_ACCOUNTS = text(
    """
    SELECT a.id, a.name, a.mode, a.venue, a.status, a.credentials_sealed IS NOT NULL AS has_credentials,
           coalesce(a.egress, '') <> '' AS has_egress,
           (SELECT count(*) FROM schedule_subscriptions s JOIN schedules d ON d.id = s.schedule_id AND d.enabled
            WHERE s.user_id = a.user_id AND s.account_id = a.id AND s.enabled) AS schedules
    FROM broker_accounts a WHERE a.user_id = :user_id ORDER BY a.id
    """
)
_PROCESSES = text(
    """
    SELECT EXISTS (SELECT FROM scheduler_processes
                   WHERE stopped_at IS NULL AND seen_at > now() - interval '2 min') AS has_scheduler,
           EXISTS (SELECT FROM worker_processes WHERE ended_at IS NULL AND lease_until > now()) AS has_worker
    """
)

Row = Mapping[str, Any]


class ServiceLookRepository:
    """Looks at services. Needs the system scope to see more than one user's."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def page(self, limit: int, after_user: int = 0) -> list[Row]:
        """Return services by user, those after a user, each with its state; by one statement."""
        return await self._all(_PAGE, limit=limit, after=after_user)

    async def one(self, user_id: int) -> Row:
        """Return a user's service with its state."""
        return (await self._all(_ONE, user_id=user_id))[0]

    async def in_flight(self, user_id: int, limit: int) -> list[Row]:
        """Return a user's executions that are not over, oldest first."""
        return await self._all(_FLIGHT, user_id=user_id, limit=limit)

    async def live_orders(self, user_id: int, limit: int) -> list[Row]:
        """Return a user's orders that are not final, each with the end of its account's last sync."""
        return await self._all(_ORDERS, user_id=user_id, limit=limit)

    async def last_execution(self, user_id: int, tasks: Sequence[str]) -> Row | None:
        """Return the newest of a user's executions of some tasks that came to an end of its own, None without one."""
        found = await self._all(_NEWEST, user_id=user_id, tasks=list(tasks))
        return found[0] if found else None

    async def user(self, user_id: int) -> Row:
        """Return what a start asks of a user."""
        return (await self._all(_USER, user_id=user_id))[0]

    async def accounts(self, user_id: int) -> list[Row]:
        """Return what a start asks of a user's accounts. schedules: those that fire for it."""
        return await self._all(_ACCOUNTS, user_id=user_id)

    async def processes(self) -> Row:
        """Return whether there is anybody to fire schedules, and anybody to work."""
        return (await self._all(_PROCESSES))[0]

    async def _all(self, query: Any, **values: object) -> list[Row]:
        return [dict(row) for row in (await self.session.execute(query, values)).mappings()]
