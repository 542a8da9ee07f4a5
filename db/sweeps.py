"""What the scheduler looks at again and again: waiting rows, due follow-ups, unanswered bells."""

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import Bell
from db.needs import MET, NEEDS

_BELL = "task_name, queue, scheduled_for, id, generation"

_LIVE = "d.is_open"
# A row that wants the newest answer waits while the account is being asked once more.
_ASKED_AGAIN = f"""
    n.newest AND n.account AND EXISTS (
        SELECT FROM service_task_execution d WHERE d.task_name = n.task AND d.user_id = e.user_id
          AND d.account_id = e.account_id AND d.scheduled_for >= n.after AND d.scheduled_for <= market_now()
          AND {_LIVE})
"""

_READY = text(
    f"""
    UPDATE service_task_execution SET status = 'queued', rung_at = now()
    WHERE (scheduled_for, id) IN (
        SELECT e.scheduled_for, e.id FROM service_task_execution e
        WHERE e.is_waiting AND (e.useful_until IS NULL OR e.useful_until >= market_now())
          AND NOT EXISTS (SELECT FROM {NEEDS} WHERE NOT {MET.format(status="d.status = 'success'")} OR ({_ASKED_AGAIN}))
        ORDER BY e.id LIMIT :chunk FOR UPDATE OF e SKIP LOCKED)
    RETURNING {_BELL}
    """
)

_HOPELESS = text(
    f"""
    UPDATE service_task_execution SET status = 'skipped', finished_at = now(), reason = hopeless.reason
    FROM (
        SELECT e.scheduled_for, e.id, left(CASE WHEN e.useful_until < market_now()
                 THEN 'late: at its deadline it still waited for ' ELSE 'it can no longer have ' END
                 || coalesce(missing.tasks, 'its turn'), 512) AS reason
        FROM service_task_execution e
        CROSS JOIN LATERAL (
            SELECT string_agg(concat_ws(' ', n.task, nullif(n.subject, '')), ', ') AS tasks,
                   bool_or(NOT n.repeats AND {MET.format(status="d.status IN ('failed', 'skipped', 'cancelled')")}
                           AND NOT {MET.format(status=_LIVE)}) AS over
            FROM {NEEDS} WHERE NOT {MET.format(status="d.status = 'success'")}) missing
        WHERE e.is_waiting AND (e.useful_until < market_now() OR missing.over)
        ORDER BY e.id FOR UPDATE OF e SKIP LOCKED) hopeless
    WHERE service_task_execution.scheduled_for = hopeless.scheduled_for AND service_task_execution.id = hopeless.id
    RETURNING service_task_execution.id
    """
)

_LATE = text(
    """
    UPDATE service_task_execution
    SET status = 'skipped', finished_at = now(), reason = 'late: useful until ' || useful_until
    WHERE (scheduled_for, id) IN (
        SELECT scheduled_for, id FROM service_task_execution
        WHERE is_open AND status IN ('queued', 'retrying') AND useful_until < market_now()
        ORDER BY id FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)

# A missing sync of an account is made at once, so that nobody waits for a schedule that will not come.
_SYNC = text(
    f"""
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, account_id, subject, queue, status, useful_until, as_of, parent_id)
    SELECT market_now(), 'order_sync', e.user_id, e.account_id, '', 'orders', 'queued', min(e.useful_until),
           market_now(), min(e.id)
    FROM service_task_execution e CROSS JOIN LATERAL {NEEDS}
    WHERE e.is_waiting AND n.account AND n.task = 'order_sync' AND n.after <= market_now()
      AND NOT {MET.format(status="(d.is_open OR d.status = 'success')")}
    GROUP BY e.user_id, e.account_id
    ON CONFLICT DO NOTHING
    RETURNING id
    """
)

_DUE = text(
    f"""
    UPDATE service_task_execution SET rung_at = now()
    WHERE (scheduled_for, id) IN (
        SELECT scheduled_for, id FROM service_task_execution
        WHERE is_open AND rung_at IS NULL AND status IN ('queued', 'retrying') AND scheduled_for <= market_now()
          AND coalesce(next_attempt_at, '-infinity') <= now()
        ORDER BY id LIMIT :chunk FOR UPDATE SKIP LOCKED)
    RETURNING {_BELL}
    """
)

# The same message is rung again, which is nothing while it is still there. Now and then it gets a new generation: its
# first message may be caught in the claims of a worker that lives and lost sight of it.
_UNANSWERED = text(
    f"""
    UPDATE service_task_execution
    SET rung_at = now(), rings = rings + 1, generation = generation + CASE WHEN rings % 6 = 5 THEN 1 ELSE 0 END
    WHERE (scheduled_for, id) IN (
        SELECT scheduled_for, id FROM service_task_execution
        WHERE is_open AND status IN ('queued', 'retrying') AND rung_at < now() - make_interval(secs => :seconds)
        ORDER BY id LIMIT :chunk FOR UPDATE SKIP LOCKED)
    RETURNING {_BELL}
    """
)

_BUSY = text(
    """
    SELECT EXISTS (SELECT FROM service_task_execution
                   WHERE is_open AND NOT is_waiting AND scheduled_for <= market_now())
        OR EXISTS (SELECT FROM schedules WHERE enabled
                   AND (firing_slot IS NOT NULL OR next_due_at IS NULL OR next_due_at <= market_now()))
    """
)


# What a scheduler needs to know before it does anything: most wake-ups end here.
_OUTLOOK = text(
    """
    SELECT c.at IS NOT NULL AND c.speed IS NULL AS replay,
        EXISTS (SELECT FROM schedules WHERE enabled AND next_due_at IS NULL) AS unplanned,
        EXISTS (SELECT FROM schedules
                WHERE enabled AND (firing_slot IS NOT NULL OR next_due_at <= market_now())) AS due,
        EXISTS (SELECT FROM service_task_execution WHERE is_waiting) AS waiting,
        EXISTS (SELECT FROM service_task_execution
                WHERE is_open AND rung_at IS NULL AND status IN ('queued', 'retrying') AND scheduled_for <= market_now()
                  AND coalesce(next_attempt_at, '-infinity') <= now()) AS unrung,
        EXISTS (SELECT FROM service_task_execution
                WHERE is_open AND NOT is_waiting AND scheduled_for <= market_now()) AS busy
    FROM (SELECT 1) one LEFT JOIN market_clock c ON true
    """
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What there may be to do. busy: something due is queued, running or retrying."""

    replay: bool
    unplanned: bool
    due: bool
    waiting: bool
    unrung: bool
    busy: bool


class SweepRepository:
    """The statements of the sweep. All need the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def outlook(self) -> Outlook:
        """Return what there may be to do at market now."""
        return Outlook(*(await self.session.execute(_OUTLOOK)).one())

    async def make_ready(self, chunk: int) -> list[Bell]:
        """Queue waiting executions whose prerequisites are all met. Returns their bells."""
        return [Bell(*row) for row in await self.session.execute(_READY, {"chunk": chunk})]

    async def make_syncs(self) -> int:
        """Insert the order syncs that waiting executions need and nobody has scheduled. Returns how many."""
        return len((await self.session.execute(_SYNC)).all())

    async def give_up(self) -> int:
        """End what is past its deadline, and what waits for something that failed for good. Returns how many."""
        return len((await self.session.execute(_HOPELESS)).all()) + len((await self.session.execute(_LATE)).all())

    async def due(self, chunk: int) -> list[Bell]:
        """Mark and return what is due and was never rung: follow-ups, retries, work taken back."""
        return [Bell(*row) for row in await self.session.execute(_DUE, {"chunk": chunk})]

    async def unanswered(self, seconds: float, chunk: int) -> list[Bell]:
        """Return what was rung longer ago than that and is still queued: its message may be gone."""
        rows = await self.session.execute(_UNANSWERED, {"seconds": seconds, "chunk": chunk})
        return [Bell(*row) for row in rows]

    async def hold_clock(self) -> None:
        """Keep a replay's clock from moving until the transaction ends; live there is none to hold."""
        await self.session.execute(text("SELECT 1 FROM market_clock FOR SHARE"))

    async def busy(self) -> bool:
        """Tell whether anything due at market now is still to be done; what waits does not count."""
        return bool((await self.session.execute(_BUSY)).scalar_one())
