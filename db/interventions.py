"""What people change of executions, many rows at a time: an act locks its rows, changes them and is audited at once."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.halts import halt_sql


@dataclass(frozen=True, slots=True)
class Held:
    """An execution as it stands, locked until the transaction ends.

    wait_seconds: until its next attempt. is_due, is_late: by market now. service_running, account_status: None for a
    shared task and without account. is_replay: a clock of its own says what the market's time is. halt_id: of the halt
    that keeps it from beginning.
    """

    scheduled_for: datetime
    id: int
    generation: int
    task_name: str
    user_id: int | None
    account_id: int | None
    subject: str
    queue: str
    status: str
    attempt: int
    worker: str | None
    waiting_for: list[Any] | None
    useful_until: datetime | None
    as_of: datetime
    rung_at: datetime | None
    next_attempt_at: datetime | None
    executed_at: datetime | None
    wait_seconds: float | None
    is_due: bool
    is_late: bool
    market_now: datetime
    now: datetime
    is_replay: bool
    service_running: bool | None
    account_status: str | None
    halt_id: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of a held execution, under its next generation.

    delay_seconds: until its next attempt, of a retrying one. reason: None keeps the one it has. is_rung: a message for
    it is about to be put on Redis.
    """

    held: Held
    status: str
    queue: str
    attempt: int
    delay_seconds: float = 0.0
    reason: str | None = None
    is_rung: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """A new execution of what has ended. subject, scheduled_for: by which it differs from the ended one."""

    of: Held
    subject: str
    scheduled_for: datetime
    is_rung: bool


@dataclass(frozen=True, slots=True)
class Made:
    """A new execution: of which ended one, and its key."""

    of: int
    id: int
    scheduled_for: datetime
    generation: int
    status: str


@dataclass(frozen=True, slots=True)
class Family:
    """The executions that share an ended one's work. open_id: one that is under way. number: the next again's.

    scheduled_for: the first slot at which none of them stands, not before market now. done_by: the newest that did it
    again already.
    """

    open_id: int | None
    open_status: str | None
    number: int
    scheduled_for: datetime
    done_by: int | None


@dataclass(frozen=True, slots=True)
class Act:
    """Who did what to an execution. changes: field -> before and after, JSON values."""

    execution_id: int
    user_id: int | None
    changes: Mapping[str, Any]


_HOLD = text(
    f"""
    WITH clock AS MATERIALIZED (SELECT market_now() AS at, EXISTS (SELECT FROM market_clock) AS is_replay)
    SELECT e.scheduled_for, e.id, e.generation, e.task_name, e.user_id, e.account_id, e.subject, e.queue, e.status,
           e.attempt, e.worker, e.waiting_for, e.useful_until, e.as_of, e.rung_at, e.next_attempt_at, e.executed_at,
           extract(epoch FROM e.next_attempt_at - now())::float8, e.scheduled_for <= clock.at,
           coalesce(e.useful_until < clock.at, false), clock.at, now(), clock.is_replay,
           (SELECT s.service_running FROM service_status s WHERE s.user_id = e.user_id),
           (SELECT a.status FROM broker_accounts a WHERE a.id = e.account_id), {halt_sql("e")}
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[])) AS w(scheduled_for, id)
    CROSS JOIN clock CROSS JOIN LATERAL (
        -- One by one, by key, in the order of the ids, as everybody who locks several does.
        SELECT * FROM service_task_execution s WHERE s.scheduled_for = w.scheduled_for AND s.id = w.id
        FOR UPDATE OF s SKIP LOCKED) e
    """
)
# A row that was written between the beginning of a statement and its lock is looked at anew. Where partitions are
# chosen while the statement runs Postgres 18 crashes at that, all of it, unless the lock is part of a statement that
# writes.
_EVERY_PARTITION = text("SELECT set_config('enable_partition_pruning', 'off', true)")
_THERE = text(
    """
    SELECT e.id FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[])) AS w(scheduled_for, id)
    CROSS JOIN LATERAL (SELECT s.id FROM service_task_execution s
                        WHERE s.scheduled_for = w.scheduled_for AND s.id = w.id OFFSET 0) e
    """
)
_CHANGE = text(
    """
    WITH wish AS MATERIALIZED (
        SELECT *, w.status IN ('failed', 'cancelled') AS ends
        FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:statuses AS text[]),
                    CAST(:queues AS text[]), CAST(:attempts AS int[]), CAST(:delays AS float8[]),
                    CAST(:reasons AS text[]), CAST(:rung AS bool[]))
             AS w(scheduled_for, id, status, queue, attempt, delay, reason, rung)),
    told AS (
        INSERT INTO execution_attempts
            (execution_id, scheduled_for, user_id, attempt, generation, outcome, worker, started_at, error)
        SELECT e.id, e.scheduled_for, e.user_id, e.attempt, e.generation, 'interrupted', e.worker, e.executed_at,
               w.reason
        FROM wish w JOIN service_task_execution e ON e.scheduled_for = w.scheduled_for AND e.id = w.id
        WHERE e.status = 'running'),
    forgone AS (
        -- Attempts that are taken away are told of too: each that is counted has its end.
        INSERT INTO execution_attempts (execution_id, scheduled_for, user_id, attempt, generation, outcome, error)
        SELECT e.id, e.scheduled_for, e.user_id, n, e.generation, 'interrupted', :forgone
        FROM wish w JOIN service_task_execution e ON e.scheduled_for = w.scheduled_for AND e.id = w.id
        CROSS JOIN LATERAL generate_series(e.attempt + 1, w.attempt) n)
    UPDATE service_task_execution e
    SET status = w.status, generation = e.generation + 1, queue = w.queue, attempt = w.attempt,
        next_attempt_at = CASE WHEN w.status = 'retrying' THEN now() + make_interval(secs => w.delay) END,
        rung_at = CASE WHEN w.ends THEN e.rung_at WHEN w.rung THEN now() END,
        reason = left(coalesce(w.reason, e.reason), 512), finished_at = CASE WHEN w.ends THEN now() END
    FROM wish w WHERE e.scheduled_for = w.scheduled_for AND e.id = w.id
    RETURNING e.id
    """
)
_FAMILIES = text(
    """
    WITH clock AS MATERIALIZED (SELECT market_now() AS at)
    SELECT o.id, f.open_id, (SELECT status FROM service_task_execution s
                             WHERE s.id = f.open_id AND s.scheduled_for = f.open_slot) AS open_status,
           f.number, greatest(clock.at, f.newest + interval '1 microsecond') AS scheduled_for, f.done_by
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:keeps AS bool[]))
         AS w(scheduled_for, id, keeps)
    CROSS JOIN clock
    JOIN service_task_execution o ON o.scheduled_for = w.scheduled_for AND o.id = w.id
    CROSS JOIN LATERAL (
        SELECT max(m.id) FILTER (WHERE m.is_open) AS open_id,
               max(m.scheduled_for) FILTER (WHERE m.is_open) AS open_slot,
               coalesce(max(CAST(substring(m.subject FROM '^again:([0-9]{1,9})$') AS int)), 0) + 1 AS number,
               max(m.scheduled_for) FILTER (WHERE m.subject = o.subject) AS newest,
               max(m.id) FILTER (WHERE m.parent_id = o.id) AS done_by
        FROM service_task_execution m
        WHERE m.task_name = o.task_name AND (m.user_id = o.user_id OR (m.user_id IS NULL AND o.user_id IS NULL))
          AND m.account_id IS NOT DISTINCT FROM o.account_id AND m.scheduled_for >= o.scheduled_for
          AND m.scheduled_for <= CASE WHEN w.keeps THEN 'infinity' ELSE o.scheduled_for END
          AND (m.subject = o.subject OR (NOT w.keeps AND (m.subject = '' OR m.subject LIKE 'again:%')))) f
    """
)
_AGAIN = text(
    """
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, account_id, subject, schedule_id, queue, status, waiting_for, useful_until,
         as_of, parent_id, rung_at)
    SELECT w.scheduled_for, o.task_name, o.user_id, o.account_id, w.subject, o.schedule_id, o.queue,
           CASE WHEN o.waiting_for IS NULL THEN 'queued' ELSE 'waiting' END, o.waiting_for, o.useful_until, o.as_of,
           o.id, CASE WHEN w.rung AND o.waiting_for IS NULL THEN now() END
    FROM unnest(CAST(:old_slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:slots AS timestamptz[]),
                CAST(:subjects AS text[]), CAST(:rung AS bool[]))
         AS w(old_slot, id, scheduled_for, subject, rung)
    JOIN service_task_execution o ON o.scheduled_for = w.old_slot AND o.id = w.id
    ORDER BY o.id
    ON CONFLICT DO NOTHING
    RETURNING parent_id, id, scheduled_for, generation, status
    """
)
_AUDIT = text(
    """
    INSERT INTO audit_logs (user_id, actor, action, resource_type, resource_id, changes)
    SELECT a.user_id, :actor, :action, 'execution', a.id, CAST(a.changes AS jsonb)
    FROM unnest(CAST(:user_ids AS bigint[]), CAST(:ids AS bigint[]), CAST(:changes AS text[]))
         AS a(user_id, id, changes)
    """
)


class InterventionRepository:
    """Changes executions by hand. Needs the system scope; who may change whose is asked before."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def hold(self, keys: Sequence[tuple[datetime, int]]) -> dict[int, Held]:
        """Return executions, locked; those that somebody else is changing at this moment are left out."""
        await self.session.execute(_EVERY_PARTITION)
        rows = await self.session.execute(_HOLD, _values(keys))
        return {row[1]: Held(*row) for row in rows}

    async def there(self, keys: Sequence[tuple[datetime, int]]) -> set[int]:
        """Return the ids of those that exist, locked or not."""
        return set((await self.session.execute(_THERE, _values(keys))).scalars())

    async def change(self, changes: Sequence[Change], by: str) -> None:
        """Write what becomes of held executions. by: who does it; a killed attempt and forgone ones are told of."""
        await self.session.execute(
            _CHANGE,
            {
                "slots": [one.held.scheduled_for for one in changes],
                "ids": [one.held.id for one in changes],
                "statuses": [one.status for one in changes],
                "queues": [one.queue for one in changes],
                "attempts": [one.attempt for one in changes],
                "delays": [one.delay_seconds for one in changes],
                "reasons": [one.reason for one in changes],
                "rung": [one.is_rung for one in changes],
                "forgone": f"given up by {by}",
            },
        )

    async def families(self, ended: Sequence[tuple[Held, bool]]) -> dict[int, Family]:
        """Return what else there is of the work of ended executions that are held, by their ids.

        With each, whether another run of it keeps its subject and has a slot of its own; else it has its slot, and a
        subject of its own.
        """
        values = {
            "slots": [one.scheduled_for for one, _ in ended],
            "ids": [one.id for one, _ in ended],
            "keeps": [keeps for _, keeps in ended],
        }
        return {row[0]: Family(*row[1:]) for row in await self.session.execute(_FAMILIES, values)}

    async def again(self, wanted: Sequence[Again]) -> list[Made]:
        """Insert executions of what has ended; one whose place is taken by now is left out."""
        rows = await self.session.execute(
            _AGAIN,
            {
                "old_slots": [one.of.scheduled_for for one in wanted],
                "ids": [one.of.id for one in wanted],
                "slots": [one.scheduled_for for one in wanted],
                "subjects": [one.subject for one in wanted],
                "rung": [one.is_rung for one in wanted],
            },
        )
        return [Made(*row) for row in rows]

    async def audit(self, actor: str, action: str, acts: Sequence[Act]) -> None:
        """Record one act on many executions, in the transaction that does it."""
        await self.session.execute(
            _AUDIT,
            {
                "actor": actor,
                "action": action,
                "user_ids": [one.user_id for one in acts],
                "ids": [one.execution_id for one in acts],
                "changes": [json.dumps(one.changes) for one in acts],
            },
        )


def _values(keys: Sequence[tuple[datetime, int]]) -> dict[str, list[Any]]:
    ordered = sorted(keys, key=lambda key: key[1])
    return {"slots": [slot for slot, _ in ordered], "ids": [id_ for _, id_ in ordered]}
