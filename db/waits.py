"""What an execution may wait for: prerequisites, its turn, a worker, its time, a scheduler, a switch."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.halts import halt_sql
from db.needs import MET, NEEDS

Row = Mapping[str, Any]

_MOST = 20
_STANDING = f"""
    e.scheduled_for, e.id, e.generation, e.task_name, e.user_id, e.account_id, e.subject, e.queue, e.status, e.attempt,
    e.losses, e.worker, e.useful_until, e.rung_at, e.next_attempt_at, e.executed_at, e.finished_at, e.reason,
    e.created_at, e.waiting_for IS NOT NULL AS has_needs, market_now() AS market_now, now() AS now,
    e.scheduled_for <= market_now() AS is_due, coalesce(e.useful_until < market_now(), false) AS is_late,
    extract(epoch FROM e.next_attempt_at - now())::float8 AS wait_seconds,
    (SELECT s.service_running FROM service_status s WHERE s.user_id = e.user_id) AS service_running,
    (SELECT a.status FROM broker_accounts a WHERE a.id = e.account_id) AS account_status, {halt_sql("e")} AS halt_id
"""
_BY_ID = text(f"SELECT {_STANDING} FROM service_task_execution e WHERE e.id = :id")
# The newest of each: a user's by their own index, shared ones among the few that belong to no user.
_OF_TASK = """
    SELECT {standing} FROM service_task_execution e
    WHERE {owner} AND e.task_name = :task AND {conditions} ORDER BY e.scheduled_for DESC, e.id DESC LIMIT {most}
"""
_OWNERS = {True: "e.user_id = :user_id", False: "e.user_id IS NULL"}

_NEEDS = text(
    f"""
    SELECT n.task, n.subject, n.account, n.after, n.repeats, n.ends,
           {MET.format(status="d.status = 'success'")} AS is_met,
           l.id, l.status, l.scheduled_for, l.worker, l.executed_at, l.next_attempt_at
    FROM service_task_execution e CROSS JOIN LATERAL {NEEDS}
    LEFT JOIN LATERAL (
        SELECT d.* FROM service_task_execution d
        WHERE d.task_name = n.task AND d.scheduled_for >= n.after
          AND CASE WHEN n.account THEN d.user_id = e.user_id ELSE d.user_id IS NULL END
          AND CASE WHEN n.account THEN d.account_id = e.account_id ELSE d.subject = n.subject END
        ORDER BY d.is_open DESC, d.scheduled_for DESC, d.id DESC LIMIT 1) l ON true
    WHERE e.scheduled_for = :slot AND e.id = :id
    """
)
_SHARE = text(
    """
    SELECT (SELECT count(*) FROM service_task_execution e
            WHERE e.user_id = :user_id AND e.queue = :queue AND e.is_open AND e.rung_at IS NOT NULL) AS rung,
           (SELECT count(*) FROM service_task_execution e
            WHERE e.user_id = :user_id AND e.queue = :queue AND e.is_ringable AND e.id < :id
              AND e.scheduled_for <= (SELECT market_now())) AS ahead
    """
)
_WORKERS = text(
    """
    SELECT w.name, w.queues, extract(epoch FROM w.lease_until - now())::float8 AS lease_seconds,
           extract(epoch FROM now() - w.gone_at)::float8 AS gone_seconds,
           extract(epoch FROM now() - w.ended_at)::float8 AS ended_seconds
    FROM worker_processes w WHERE w.ended_at IS NULL OR w.name = :name ORDER BY w.name
    """
)
_CLOCK = text(
    """
    SELECT market_now() AS market_now, now() AS now, c.at IS NOT NULL AS is_replay, coalesce(c.paused, false) AS paused,
           coalesce(c.at >= c.ends_at, false) AS is_over,
           (SELECT min(extract(epoch FROM now() - seen_at))::float8 FROM scheduler_processes WHERE stopped_at IS NULL)
               AS scheduler_seconds
    FROM (SELECT 1) one LEFT JOIN market_clock c ON true
    """
)
_SCHEDULES = text(
    """
    SELECT d.name, d.scope, d.condition, d.trigger, d.enabled, d.firing_slot,
           CASE WHEN isfinite(d.next_due_at) THEN d.next_due_at END AS next_due_at,
           coalesce(d.firing_slot, d.next_due_at) <= market_now() AS is_due,
           (SELECT count(*) FROM schedule_subscriptions s
            WHERE s.schedule_id = d.id AND s.user_id = :user_id AND s.enabled) AS subscribed
    FROM schedules d WHERE d.task_name = :task ORDER BY d.next_due_at, d.name
    """
)
_USER = text(
    """
    SELECT u.id, u.email, s.service_running, c.strategy || ':' || c.parameter_hash AS parameters,
           (SELECT count(*) FROM broker_accounts a WHERE a.user_id = u.id AND a.status = 'active') AS accounts
    FROM users u LEFT JOIN service_status s ON s.user_id = u.id LEFT JOIN user_trading_config c ON c.user_id = u.id
    WHERE u.id = :user_id
    """
)


class WaitRepository:
    """Queries that explain. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def execution(self, execution_id: int) -> Row | None:
        """Return how an execution stands."""
        return await self._one(_BY_ID, id=execution_id)

    async def of_task(self, task: str, user_id: int | None, subject: str | None, slot: datetime | None) -> list[Row]:
        """Return how a task's executions stand, newest slot first, 20 at most.

        user_id: None for shared ones. subject: None for any. slot: None for those that are open.
        """
        conditions = ["e.scheduled_for = :slot" if slot is not None else "e.is_open"]
        values: dict[str, object] = {"task": task, "slot": slot, "user_id": user_id, "subject": subject}
        if subject is not None:
            conditions.append("e.subject = :subject")
        query = _OF_TASK.format(
            standing=_STANDING, owner=_OWNERS[user_id is not None], conditions=" AND ".join(conditions), most=_MOST
        )
        return await self._all(text(query), **{name: value for name, value in values.items() if value is not None})

    async def needs(self, slot: datetime, execution_id: int) -> list[Row]:
        """Return an execution's prerequisites, whether each is met, and the newest execution that may meet it."""
        return await self._all(_NEEDS, slot=slot, id=execution_id)

    async def share(self, user_id: int, queue: str, execution_id: int) -> Row:
        """Return how many of a user's executions of a queue are rung, and how many wait before this one."""
        found = await self._one(_SHARE, user_id=user_id, queue=queue, id=execution_id)
        return found or {}

    async def workers(self, name: str | None = None) -> list[Row]:
        """Return processes that have not ended, and one by its name, ended or not."""
        return await self._all(_WORKERS, name=name)

    async def clock(self) -> Row:
        """Return where time stands, who moves it, and how long ago a scheduler was seen, None without any."""
        return await self._one(_CLOCK) or {}

    async def schedules(self, task: str, user_id: int | None) -> list[Row]:
        """Return the schedules of a task, the next one first, with how many of a user's accounts each fires for."""
        return await self._all(_SCHEDULES, task=task, user_id=user_id)

    async def user(self, user_id: int) -> Row | None:
        """Return what decides whether anything of a user is scheduled."""
        return await self._one(_USER, user_id=user_id)

    async def _one(self, query: Any, **values: object) -> Row | None:
        found = await self._all(query, **values)
        return found[0] if found else None

    async def _all(self, query: Any, **values: object) -> list[Row]:
        return [dict(row) for row in (await self.session.execute(query, values)).mappings()]
