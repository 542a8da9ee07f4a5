"""Takes back what dead workers held, and takes out of the way what kills its worker by itself."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.claims import SETTLED_CHANNEL

# The first loss may be a neighbour's doing, and is not charged as an attempt: from then on an execution runs alone, and
# each further loss is its own. After so many of those it is taken out of the way.
DEATHS_ALONE = 3

_TAKE_BACK = text(
    """
    WITH lost AS MATERIALIZED (
        SELECT scheduled_for, id, user_id, account_id, task_name, subject, attempt, generation, worker, executed_at,
               config_version, losses >= :deaths AS ends
        FROM service_task_execution
        WHERE is_open AND rung_at IS NOT NULL AND status = 'running' AND worker = ANY(CAST(:workers AS text[]))
        -- A frozen worker's open transaction holds its row: the next sweep takes that one.
        ORDER BY id FOR UPDATE SKIP LOCKED),
    noted AS (
        INSERT INTO execution_attempts
            (execution_id, scheduled_for, user_id, attempt, generation, outcome, worker, started_at, error)
        SELECT id, scheduled_for, user_id, attempt, generation, 'lost', worker, executed_at, 'its worker was lost'
        FROM lost),
    told AS (
        INSERT INTO error_logs (user_id, task_name, execution_id, scheduled_for, config_version, fingerprint,
                                error_type, error_message, context)
        SELECT user_id, task_name, id, scheduled_for, config_version, md5('Quarantined|' || task_name), 'Quarantined',
               :reason, jsonb_build_object('account_id', account_id, 'subject', subject, 'attempt', attempt,
                                           'worker', worker)
        FROM lost WHERE ends),
    counted AS (
        UPDATE service_status s SET error_count = s.error_count + ended.errors, last_error = :reason, updated_at = now()
        FROM (SELECT user_id, count(*) AS errors FROM lost WHERE ends GROUP BY user_id) ended
        WHERE s.user_id = ended.user_id)
    UPDATE service_task_execution e
    SET status = CASE WHEN lost.ends THEN 'failed' ELSE 'queued' END, generation = e.generation + 1,
        losses = e.losses + 1, attempt = e.attempt - CASE WHEN e.losses = 0 THEN 1 ELSE 0 END,
        reason = CASE WHEN lost.ends THEN :reason END, finished_at = CASE WHEN lost.ends THEN now() END,
        worker = CASE WHEN lost.ends THEN e.worker END, rung_at = NULL
    FROM lost WHERE e.scheduled_for = lost.scheduled_for AND e.id = lost.id
    RETURNING e.id, lost.ends
    """
)

_LIVING = text("SELECT name FROM worker_processes WHERE ended_at IS NULL")
_ENDED = text("SELECT name FROM worker_processes WHERE name = ANY(CAST(:names AS text[])) AND ended_at IS NOT NULL")


@dataclass(frozen=True, slots=True)
class Taken:
    """Ids of executions taken back from dead workers: those that run again, and those that never will."""

    queued: Sequence[int]
    quarantined: Sequence[int]


class LossRepository:
    """What becomes of executions whose worker is dead. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def take_back(self, workers: Sequence[str]) -> Taken:
        """Queue again, under a new generation, what dead workers held; each lost attempt is recorded.

        What killed its worker while it ran alone, again and again, ends failed instead.
        """
        reason = f"quarantined: its worker died {DEATHS_ALONE} times while nothing else ran in it"
        values = {"workers": list(workers), "deaths": DEATHS_ALONE, "reason": reason}
        rows = (await self.session.execute(_TAKE_BACK, values)).all()
        taken = Taken([row.id for row in rows if not row.ends], [row.id for row in rows if row.ends])
        if taken.quarantined:
            await self.session.execute(text(f"NOTIFY {SETTLED_CHANNEL}"))
        return taken

    async def living(self) -> set[str]:
        """Return the workers in whose name something may still run; a dead one until all of it was taken back."""
        return set((await self.session.execute(_LIVING)).scalars())

    async def ended(self, names: Collection[str]) -> set[str]:
        """Return which of these workers have ended: nothing is left in their name."""
        return set((await self.session.execute(_ENDED, {"names": sorted(names)})).scalars())
