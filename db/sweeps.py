"""What the scheduler looks at again and again: waiting rows, missing syncs, what is too late."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.claims import bell_keys
from db.executions import ANY_DUE, ANY_RETRYING, ANY_RUNG, ANY_WAITING, Bell
from db.halts import may_begin_sql, paused_sql
from db.needs import MET, NEEDS

_NOW = "(SELECT market_now())"
_LIVE = "d.is_open"
# A row that wants the newest answer waits while the account is being asked once more.
_ASKED_AGAIN = f"""
    n.newest AND n.account AND EXISTS (
        SELECT FROM service_task_execution d WHERE d.task_name = n.task AND d.user_id = e.user_id
          AND d.account_id = e.account_id AND d.scheduled_for >= n.after AND d.scheduled_for <= {_NOW}
          AND {_LIVE})
"""

# What belongs to a user is rung within his share, by a later statement; the rest at once.
_READY = text(
    f"""
    UPDATE service_task_execution e
    SET status = 'queued', rung_at = CASE WHEN e.user_id IS NULL AND NOT {paused_sql("e")} THEN now() END
    FROM (
        SELECT e.scheduled_for, e.id FROM service_task_execution e
        WHERE e.is_waiting AND (e.useful_until IS NULL OR e.useful_until >= {_NOW})
          AND NOT EXISTS (SELECT FROM {NEEDS} WHERE NOT {MET.format(status="d.status = 'success'")} OR ({_ASKED_AGAIN}))
        ORDER BY e.id LIMIT :chunk FOR UPDATE OF e SKIP LOCKED) ready
    WHERE e.scheduled_for = ready.scheduled_for AND e.id = ready.id
    RETURNING e.task_name, e.queue, e.scheduled_for, e.id, e.generation, e.user_id, e.rung_at
    """
)

_WAITING = text(
    "SELECT max(id) AS last, count(*) AS seen FROM (SELECT id FROM service_task_execution "
    "WHERE is_waiting AND id > :after ORDER BY id LIMIT :chunk) e"
)

_HOPELESS = text(
    f"""
    UPDATE service_task_execution SET status = 'skipped', finished_at = now(), reason = hopeless.reason
    FROM (
        SELECT e.scheduled_for, e.id, left(CASE WHEN e.useful_until < {_NOW}
                 THEN 'late: at its deadline it still waited for ' ELSE 'it can no longer have ' END
                 || coalesce(missing.tasks, 'its turn'), 512) AS reason
        FROM service_task_execution e
        CROSS JOIN LATERAL (
            SELECT string_agg(concat_ws(' ', n.task, nullif(n.subject, '')), ', ') AS tasks,
                   bool_or(NOT n.repeats AND {MET.format(status="d.status IN ('failed', 'skipped', 'cancelled')")}
                           AND NOT {MET.format(status=_LIVE)}) AS over
            FROM {NEEDS} WHERE NOT {MET.format(status="d.status = 'success'")}) missing
        WHERE e.is_waiting AND e.id > :after AND e.id <= :until AND (e.useful_until < {_NOW} OR missing.over)
        ORDER BY e.id FOR UPDATE OF e SKIP LOCKED) hopeless
    WHERE service_task_execution.scheduled_for = hopeless.scheduled_for AND service_task_execution.id = hopeless.id
    RETURNING service_task_execution.id
    """
)

_LATE = text(
    f"""
    UPDATE service_task_execution e
    SET status = 'skipped', finished_at = now(), reason = 'late: useful until ' || e.useful_until
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
         AS w(scheduled_for, id, generation)
    CROSS JOIN LATERAL (
        SELECT e.scheduled_for, e.id FROM service_task_execution e
        WHERE e.scheduled_for = w.scheduled_for AND e.id = w.id AND e.generation = w.generation
          AND e.status IN ('queued', 'retrying') AND e.useful_until < {_NOW}
        FOR UPDATE OF e SKIP LOCKED) late
    WHERE e.scheduled_for = late.scheduled_for AND e.id = late.id
    RETURNING e.id
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
    WHERE e.is_waiting AND e.id > :after AND e.id <= :until
      AND n.account AND n.task = 'order_sync' AND n.after <= {_NOW}
      AND NOT {MET.format(status="(d.is_open OR d.status = 'success')")}
    GROUP BY e.user_id, e.account_id
    ON CONFLICT DO NOTHING
    RETURNING id
    """
)

# Something is rung, and so it was due, waits for another try, or is due and waits for its turn. What a halt keeps from
# beginning holds no replay up: the clock goes on to the halt's end.
_ANY_TO_BEGIN = f"""
    (SELECT true FROM service_task_execution e
     WHERE e.is_ringable AND e.scheduled_for <= {_NOW} AND {may_begin_sql("e")}
     ORDER BY e.user_id, e.queue, e.id LIMIT 1) IS NOT NULL
"""
_ANY_UNFINISHED = f"({ANY_RUNG} OR {ANY_RETRYING} OR {ANY_DUE})"
_BUSY = f"({ANY_RUNG} OR {ANY_RETRYING} OR {_ANY_TO_BEGIN})"
_IS_BUSY = text(
    f"""
    SELECT {_BUSY} OR EXISTS (SELECT FROM schedules WHERE enabled AND fault IS NULL
                   AND (firing_slot IS NOT NULL OR next_due_at IS NULL OR next_due_at <= {_NOW}))
    """
)

_NOT_PUT_OFF = "(claim_until IS NULL OR claim_until < now())"
# What a scheduler needs to know before it does anything: most wake-ups end here.
_OUTLOOK = text(
    f"""
    SELECT c.at IS NOT NULL AND c.speed IS NULL AS replay,
        EXISTS (SELECT FROM schedules WHERE enabled AND next_due_at IS NULL AND {_NOT_PUT_OFF}) AS unplanned,
        EXISTS (SELECT FROM schedules WHERE enabled AND next_due_at <= {_NOW} AND {_NOT_PUT_OFF}) AS due,
        EXISTS (SELECT FROM schedules WHERE enabled AND firing_slot IS NOT NULL AND {_NOT_PUT_OFF}) AS wide,
        {ANY_WAITING} AS waiting, {ANY_DUE} AS unrung,
        -- Only a replay must know it exactly: all that a halt keeps from beginning may be looked at for it.
        CASE WHEN c.at IS NOT NULL AND c.speed IS NULL THEN {_BUSY} ELSE {_ANY_UNFINISHED} END AS busy,
        extract(epoch FROM (SELECT min(next_due_at) FROM schedules WHERE enabled AND next_due_at > {_NOW}
                            AND next_due_at < {_NOW} + interval '1 day') - {_NOW})::float8
            / coalesce(nullif(c.speed, 0), 1) AS next_seconds
    FROM (SELECT 1) one LEFT JOIN market_clock c ON true
    """
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What there may be to do. unrung: something due is not rung. busy: something due is not over.

    wide: a fan-out is under way. next_seconds: of machine time, until the next schedule is due; None: not within a day.

    A replay is not busy with what a halt keeps from beginning.
    """

    replay: bool
    unplanned: bool
    due: bool
    wide: bool
    waiting: bool
    unrung: bool
    busy: bool
    next_seconds: float | None = None

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way: what is to be healed of executions is not there."""
        return not (self.waiting or self.unrung or self.busy or self.due)


@dataclass(frozen=True, slots=True)
class Span:
    """Executions by their ids, the first excluded and the last included. seen: how many waiting ones it was made of."""

    after: int
    until: int
    seen: int = 0


LAST_ID = 2**63 - 1
ALL = Span(0, LAST_ID)


@dataclass(frozen=True, slots=True)
class Ready:
    """What waits no longer. bells: of what belongs to no user, rung. places: users and queues of the rest.

    paused: how many belong to no user and are not rung before a halt has ended.
    """

    bells: list[Bell]
    places: set[tuple[int, str]]
    paused: int = 0

    def __len__(self) -> int:
        return len(self.bells) + len(self.places) + self.paused


class SweepRepository:
    """The statements of the sweep. All need the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def outlook(self) -> Outlook:
        """Return what there may be to do at market now."""
        return Outlook(*(await self.session.execute(_OUTLOOK)).one())

    async def make_ready(self, chunk: int) -> Ready:
        """Queue waiting executions whose prerequisites are all met."""
        rows = (await self.session.execute(_READY, {"chunk": chunk})).all()
        shared = [Bell(*row[:5]) for row in rows if row.rung_at is not None]
        places = {(row.user_id, row.queue) for row in rows if row.user_id is not None}
        return Ready(shared, places, sum(row.user_id is None and row.rung_at is None for row in rows))

    async def waiting(self, after: int, chunk: int) -> Span:
        """Return the span of ids that the next so many waiting executions behind an id lie in."""
        row = (await self.session.execute(_WAITING, {"after": after, "chunk": chunk})).one()
        return Span(after, row.last if row.seen == chunk else LAST_ID, row.seen)

    async def make_syncs(self, span: Span = ALL) -> int:
        """Insert the order syncs that waiting executions need and nobody has scheduled. Returns how many."""
        return len((await self.session.execute(_SYNC, {"after": span.after, "until": span.until})).all())

    async def give_up(self, span: Span = ALL) -> int:
        """End what waits past its deadline, or for something that failed for good. Returns how many."""
        return len((await self.session.execute(_HOPELESS, {"after": span.after, "until": span.until})).all())

    async def end_late(self, bells: Sequence[Bell]) -> list[int]:
        """End of these what nobody has begun by its deadline. Returns the ids."""
        return list((await self.session.execute(_LATE, bell_keys(bells))).scalars())

    async def hold_clock(self) -> None:
        """Keep a replay's clock from moving until the transaction ends; live there is none to hold."""
        await self.session.execute(text("SELECT 1 FROM market_clock FOR SHARE"))

    async def busy(self) -> bool:
        """Tell whether anything due at market now is still to be done; what waits does not count."""
        return bool((await self.session.execute(_IS_BUSY)).scalar_one())
