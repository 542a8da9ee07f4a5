"""Executions that a living process gives back before they ended: what it never began, and what it cannot finish.

They come back with `rung_at` empty: who rings them next does so within their user's share.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.claims import bell_keys, execution_keys
from db.executions import Bell, Execution

_HAND_BACK = text(
    """
    UPDATE service_task_execution e
    SET status = 'queued', generation = e.generation + 1, attempt = e.attempt - 1, worker = NULL, rung_at = NULL
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
         AS w(scheduled_for, id, generation)
    CROSS JOIN LATERAL (
        -- One by one, by key, in the order of the ids, as everywhere: so no two can wait for each other.
        SELECT e.scheduled_for, e.id FROM service_task_execution e
        WHERE e.scheduled_for = w.scheduled_for AND e.id = w.id AND e.generation = w.generation
          AND e.status = 'running' AND e.worker = :worker
        FOR UPDATE OF e) held
    WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id
    """
)

# A step that did not end in the time its process had left: it is not its doing, and costs no attempt.
_INTERRUPT = text(
    """
    WITH held AS MATERIALIZED (
        SELECT e.scheduled_for, e.id, e.user_id, e.attempt, e.generation, e.executed_at FROM service_task_execution e
        JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
             AS w(scheduled_for, id, generation) ON e.scheduled_for = w.scheduled_for AND e.id = w.id
        WHERE e.generation = w.generation AND e.status = 'running' AND e.worker = :worker
        ORDER BY e.id FOR UPDATE OF e SKIP LOCKED),
    noted AS (
        INSERT INTO execution_attempts
            (execution_id, scheduled_for, user_id, attempt, generation, outcome, worker, started_at, error)
        SELECT id, scheduled_for, user_id, attempt, generation, 'interrupted', :worker, executed_at,
               'its process was told to end'
        FROM held)
    UPDATE service_task_execution e
    SET status = 'queued', generation = e.generation + 1, attempt = e.attempt - 1, worker = NULL, rung_at = NULL
    FROM held WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id
    RETURNING e.id
    """
)


class HandBackRepository:
    """What a process gives back by itself. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def hand_back(self, bells: Sequence[Bell], worker: str) -> None:
        """Return what a worker claimed and never began, under a new generation and without counting an attempt.

        Bells that it did not win are left alone, so a claim of unknown outcome may be handed back.
        """
        await self.session.execute(_HAND_BACK, {**bell_keys(bells), "worker": worker})

    async def interrupt(self, executions: Sequence[Execution], worker: str) -> set[int]:
        """Queue again what a process that ends began and did not finish. Returns the ids of those no longer running.

        One whose step is inside a transaction at this moment is left out.
        """
        rows = await self.session.execute(_INTERRUPT, {**execution_keys(executions), "worker": worker})
        return set(rows.scalars())
