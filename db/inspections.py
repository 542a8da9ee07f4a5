"""What an inspection of the queues reads: executions behind messages, queues, workers, and what was done to them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import RUNNING

Row = Mapping[str, Any]

_BEHIND = """
    e.scheduled_for, e.id, e.generation, e.task_name, e.user_id, u.email, e.account_id, e.subject, e.queue, e.status,
    e.attempt, e.losses, e.worker, e.reason, e.created_at, e.rung_at, e.next_attempt_at, e.useful_until,
    extract(epoch FROM now() - e.created_at)::float8 AS age_seconds
"""
_OF_KEYS = text(
    f"""
    SELECT {_BEHIND}
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[])) AS w(scheduled_for, id)
    CROSS JOIN LATERAL (SELECT * FROM service_task_execution s
                        WHERE s.scheduled_for = w.scheduled_for AND s.id = w.id OFFSET 0) e
    LEFT JOIN users u ON u.id = e.user_id
    """
)
_OF_IDS = text(
    f"""
    SELECT {_BEHIND} FROM unnest(CAST(:ids AS bigint[])) AS w(id)
    CROSS JOIN LATERAL (SELECT * FROM service_task_execution s WHERE s.id = w.id OFFSET 0) e
    LEFT JOIN users u ON u.id = e.user_id
    """
)

# Each part of what is open by its own index: the predicates are theirs.
_MINE = "(CAST(:user_id AS bigint) IS NULL OR user_id = :user_id)"
_QUEUES = text(
    f"""
    SELECT queue, sum(running)::int AS running, sum(rung)::int AS rung, sum(backlog)::int AS backlog,
           sum(retrying)::int AS retrying, sum(waiting)::int AS waiting,
           extract(epoch FROM now() - min(rung_since))::float8 AS rung_seconds,
           extract(epoch FROM now() - min(backlog_since))::float8 AS backlog_seconds,
           extract(epoch FROM now() - min(due_since))::float8 AS overdue_seconds
    FROM (
        SELECT queue, count(*) FILTER (WHERE status = 'running') AS running,
               count(*) FILTER (WHERE status = 'queued') AS rung, 0 AS backlog, 0 AS retrying, 0 AS waiting,
               min(rung_at) FILTER (WHERE status = 'queued') AS rung_since,
               CAST(NULL AS timestamptz) AS backlog_since, CAST(NULL AS timestamptz) AS due_since
        FROM service_task_execution WHERE is_open AND rung_at IS NOT NULL AND {_MINE} GROUP BY queue
        UNION ALL
        SELECT queue, 0, 0, count(*), 0, 0, NULL, min(created_at), NULL
        FROM service_task_execution
        WHERE is_ringable AND scheduled_for <= (SELECT market_now()) AND {_MINE} GROUP BY queue
        UNION ALL
        SELECT queue, 0, 0, 0, count(*), 0, NULL, NULL, min(next_attempt_at)
        FROM service_task_execution WHERE is_retrying AND {_MINE} GROUP BY queue
        UNION ALL
        SELECT queue, 0, 0, 0, 0, count(*), NULL, NULL, NULL
        FROM service_task_execution WHERE is_waiting AND {_MINE} GROUP BY queue) open
    GROUP BY queue ORDER BY queue
    """
)

# One user's by the index that begins with the user; of all, the whole of what is queued.
# One user's by the index that begins with the user; of all, the whole of what is open.
_QUEUED_PARTS = ("e.is_ringable", "e.is_open AND e.rung_at IS NOT NULL AND e.status = 'queued'")
_QUEUED = "SELECT scheduled_for, id, generation FROM service_task_execution e WHERE {part} AND {conditions}"
# In the order of their indexes, a page behind another. A dead letter is kept for a week: what ended before has none.
_MESSAGES = {
    "waiting": """
        SELECT e.queue, e.id, e.generation, e.next_attempt_at AS at FROM service_task_execution e
        WHERE e.is_retrying AND (e.next_attempt_at, e.id) > (:at, :id) AND {conditions}
        ORDER BY e.next_attempt_at, e.id LIMIT :limit""",
    "dead": """
        SELECT e.queue, e.id, e.generation, e.scheduled_for AS at FROM service_task_execution e
        WHERE e.is_failure AND (e.scheduled_for, e.id) > (:at, :id) AND e.finished_at > now() - interval '8 days'
          AND {conditions}
        ORDER BY e.scheduled_for, e.id LIMIT :limit""",
}
_CONDITIONS = {
    "user_id": "e.user_id = :user_id",
    "task": "e.task_name = :task",
    "queue": "e.queue = :queue",
    "error": "position(lower(:error) IN lower(coalesce(e.reason, ''))) > 0",
    "older_seconds": "e.created_at <= now() - make_interval(secs => :older_seconds)",
    "newer_seconds": "e.created_at >= now() - make_interval(secs => :newer_seconds)",
    "after": "e.id > :after",
}
_PAGE = f"""
    SELECT {_BEHIND} FROM service_task_execution e LEFT JOIN users u ON u.id = e.user_id
    WHERE e.is_ringable AND e.scheduled_for <= (SELECT market_now()) AND {{conditions}}
    ORDER BY e.id LIMIT :limit
"""

_WORKERS = text(
    f"""
    SELECT w.name, w.host, w.pid, w.queues, w.started_at,
           extract(epoch FROM w.lease_until - now())::float8 AS lease_seconds,
           extract(epoch FROM now() - w.gone_at)::float8 AS gone_seconds,
           extract(epoch FROM now() - w.ended_at)::float8 AS ended_seconds, coalesce(r.running, 0) AS running
    FROM worker_processes w LEFT JOIN (
        SELECT e.worker, count(*) AS running FROM service_task_execution e
        WHERE {RUNNING.format("e")} GROUP BY e.worker) r ON r.worker = w.name
    WHERE w.ended_at IS NULL OR w.ended_at > now() - make_interval(secs => :seconds) ORDER BY w.started_at, w.name
    """
)
_KNOWN = text("SELECT name FROM worker_processes WHERE name = ANY(CAST(:names AS text[]))")
_RUNNING = text(
    f"""
    SELECT {_BEHIND}, extract(epoch FROM now() - e.executed_at)::float8 AS running_seconds
    FROM service_task_execution e LEFT JOIN users u ON u.id = e.user_id
    WHERE {RUNNING.format("e")} AND e.worker = :worker
      AND (CAST(:user_id AS bigint) IS NULL OR e.user_id = :user_id) ORDER BY e.executed_at, e.id LIMIT :limit
    """
)
_ACTS = text(
    "SELECT timestamp, actor, action, changes FROM audit_logs "
    "WHERE resource_type = 'execution' AND resource_id = :id ORDER BY id LIMIT 200"
)


class InspectionRepository:
    """Reads across users, for operators and for one user's own things. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def of_keys(self, keys: Sequence[tuple[datetime, int]]) -> dict[int, Row]:
        """Return the executions of slots and ids, by id; those that are gone are left out."""
        values = {"slots": [slot for slot, _ in keys], "ids": [id_ for _, id_ in keys]}
        return {row["id"]: row for row in await self._all(_OF_KEYS, **values)}

    async def of_ids(self, ids: Sequence[int]) -> dict[int, Row]:
        """Return executions by their ids alone; those that are not there are left out."""
        return {row["id"]: row for row in await self._all(_OF_IDS, ids=list(ids))}

    async def queues(self, user_id: int | None) -> dict[str, Row]:
        """Return what is open per queue, of one user or of all.

        rung: queued, with a message; backlog: queued, behind its user's share. *_seconds: of the oldest, overdue ones
        above nought.
        """
        return {row["queue"]: row for row in await self._all(_QUEUES, user_id=user_id)}

    async def queued(self, **wanted: object) -> AsyncIterator[tuple[datetime, int, int]]:
        """Yield slot, id and generation of what is queued. wanted: fields of a wish; None asks for all."""
        asked = {name: value for name, value in wanted.items() if value is not None}
        conditions = " AND ".join(_CONDITIONS[name] for name in asked) or "true"
        query = " UNION ALL ".join(_QUEUED.format(part=part, conditions=conditions) for part in _QUEUED_PARTS)
        rows = await self.session.stream(text(query), asked, execution_options={"yield_per": 1000})
        async for row in rows:
            yield row.scheduled_for, row.id, row.generation

    async def messages(self, kind: str, limit: int, behind: tuple[datetime, int], **wanted: object) -> list[Row]:
        """Return queue, id, generation and place (at, id) of what may have a message that waits or is dead, in order.

        kind: waiting or dead. behind: at and id of the last one of the page before. wanted: user_id, task and queue of
        a wish; None asks for all.
        """
        asked = {name: value for name, value in wanted.items() if value is not None}
        conditions = " AND ".join(_CONDITIONS[name] for name in asked) or "true"
        values = {"at": behind[0], "id": behind[1], "limit": limit, **asked}
        return await self._all(text(_MESSAGES[kind].format(conditions=conditions)), **values)

    async def backlog(self, limit: int, **wanted: object) -> list[Row]:
        """Return what is due and waits for its user's share, in turn. wanted: fields of a wish; after: an id."""
        asked = {name: value for name, value in wanted.items() if value is not None}
        conditions = " AND ".join(_CONDITIONS[name] for name in asked) or "true"
        return await self._all(text(_PAGE.format(conditions=conditions)), limit=limit, **asked)

    async def workers(self, seconds: float) -> list[Row]:
        """Return worker processes, those that ended at most so long ago too, with how much each runs."""
        return await self._all(_WORKERS, seconds=seconds)

    async def known_workers(self, names: Sequence[str]) -> set[str]:
        """Return which names belong to worker processes of ours, ended ones too."""
        return set((await self.session.execute(_KNOWN, {"names": list(names)})).scalars())

    async def running(self, worker: str, limit: int, user_id: int | None = None) -> list[Row]:
        """Return what a worker runs, the longest first."""
        return await self._all(_RUNNING, worker=worker, limit=limit, user_id=user_id)

    async def acts(self, execution_id: int) -> list[Row]:
        """Return what people did to an execution, in order."""
        return await self._all(_ACTS, id=execution_id)

    async def _all(self, query: Any, **values: object) -> list[Row]:
        return [dict(row) for row in (await self.session.execute(query, values)).mappings()]
