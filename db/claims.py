"""The ledger's statements: claim and settle executions, many rows at a time, on the database's clock."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import EXCHANGE
from db.channels import MORE_UNDER_WAY
from db.channels import SETTLED_CHANNEL as SETTLED_CHANNEL  # noqa: PLC0414 - who claims and settles names it from here
from db.executions import ANY_DUE, ANY_RUNG, ANY_WAITING, Bell, Execution
from db.halts import ANY_PAUSE, paused_sql


@dataclass(slots=True)
class Settlement:
    """How one attempt ended.

    status: success, skipped, failed or retrying. duration_seconds: of the step alone. details: JSON text or None.
    error_type, error, traceback: of a failure. backoff_seconds: until the next attempt of a retrying one.
    """

    execution: Execution
    status: str
    duration_seconds: float
    details: str | None = None
    reason: str | None = None
    error_type: str | None = None
    error: str | None = None
    traceback: str | None = None
    backoff_seconds: float = 0.0


# What a halt keeps from beginning goes back to be rung after it, under a new generation: the message that came is a
# copy then, whenever it is acknowledged. The limits, here and below, are what the planner goes by when it does not know
# how many are asked for: few, so that each is looked up by its key even while the table is small.
_CLAIM = text(
    f"""
    WITH clock AS MATERIALIZED (SELECT market_now() AS market_now),
    lease AS MATERIALIZED (
        -- Holds the sweep off: who is declared dead while this claim is open would keep what it claims.
        SELECT p.name FROM worker_processes p
        WHERE p.name = :worker AND p.ended_at IS NULL AND p.gone_at IS NULL AND p.lease_until > now() FOR KEY SHARE),
    held AS MATERIALIZED (
        SELECT e.*, coalesce(e.useful_until < clock.market_now, false) AS is_late, clock.market_now,
               {paused_sql("e")} AS is_paused
        FROM (SELECT * FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
              AS w(scheduled_for, id, generation) LIMIT :count) w
        CROSS JOIN clock CROSS JOIN LATERAL (
            -- One by one, by key, in the order of the ids: so no two claims can wait for each other.
            SELECT e.scheduled_for, e.id, e.generation, e.useful_until, e.task_name, e.user_id, e.account_id, e.subject
            FROM service_task_execution e
            WHERE e.scheduled_for = w.scheduled_for AND e.id = w.id AND e.generation = w.generation
              AND e.status IN ('queued', 'retrying') AND (e.losses = 0 OR :alone)
            LIMIT 1 FOR UPDATE OF e SKIP LOCKED) e
        WHERE EXISTS (SELECT FROM lease))
    UPDATE service_task_execution e
    SET status = CASE WHEN held.is_late THEN 'skipped' WHEN held.is_paused THEN 'queued' ELSE 'running' END,
        reason = CASE WHEN held.is_late THEN 'late: useful until ' || e.useful_until
                      WHEN held.is_paused THEN e.reason END,
        finished_at = CASE WHEN held.is_late THEN now() END,
        attempt = e.attempt + CASE WHEN held.is_late OR held.is_paused THEN 0 ELSE 1 END,
        generation = e.generation + CASE WHEN held.is_paused AND NOT held.is_late THEN 1 ELSE 0 END,
        worker = CASE WHEN held.is_paused AND NOT held.is_late THEN e.worker ELSE :worker END,
        executed_at = CASE WHEN held.is_paused AND NOT held.is_late THEN e.executed_at ELSE now() END,
        next_attempt_at = NULL,
        rung_at = CASE WHEN held.is_late OR NOT held.is_paused THEN coalesce(e.rung_at, now()) END,
        -- What its first attempt began under; a later change is for the next execution.
        config_version = coalesce(e.config_version,
            (SELECT c.version FROM user_trading_config c WHERE c.user_id = e.user_id))
    FROM held WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id
    RETURNING e.scheduled_for, e.id, held.generation, e.task_name, e.user_id, e.account_id, e.subject, e.as_of,
              e.useful_until, e.attempt, held.market_now, e.config_version,
              (SELECT loaded_at FROM market_calendars WHERE exchange = :exchange) AS calendar_at, e.queue,
              CASE WHEN held.is_late THEN 'late' WHEN held.is_paused THEN 'paused' END AS dropped
    """
)

# Why a message won nothing. One that is still to be claimed was locked for a moment, or may only run alone.
_STANDINGS = text(
    """
    SELECT w.id, w.generation, e.status,
           coalesce(e.generation = w.generation AND e.status IN ('queued', 'retrying'), false) AS is_claimable,
           coalesce(e.losses > 0, false) AS is_suspect
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
         AS w(scheduled_for, id, generation)
    LEFT JOIN service_task_execution e ON e.scheduled_for = w.scheduled_for AND e.id = w.id
    """
)

_SETTLE = text(
    """
    WITH outcome AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]),
            CAST(:statuses AS text[]), CAST(:durations AS float8[]), CAST(:details AS text[]),
            CAST(:reasons AS text[]), CAST(:backoffs AS float8[]))
        AS o(scheduled_for, id, generation, status, duration, details, reason, backoff) LIMIT :count),
    held AS MATERIALIZED (
        SELECT e.scheduled_for, e.id, o.status, o.duration, o.details, o.reason,
               CASE WHEN o.status = 'retrying' THEN
                   CASE WHEN EXISTS (SELECT FROM market_clock) THEN 0 ELSE o.backoff END END AS wait
        FROM outcome o CROSS JOIN LATERAL (
            SELECT e.scheduled_for, e.id FROM service_task_execution e
            WHERE e.scheduled_for = o.scheduled_for AND e.id = o.id AND e.generation = o.generation
              AND e.status = 'running'
            LIMIT 1 FOR UPDATE OF e) e)
    UPDATE service_task_execution e
    SET status = held.status, duration_seconds = held.duration, details = CAST(held.details AS jsonb),
        reason = left(held.reason, 512),
        finished_at = CASE WHEN held.wait IS NULL THEN now() END,
        generation = e.generation + CASE WHEN held.wait IS NULL THEN 0 ELSE 1 END,
        rung_at = CASE WHEN held.wait IS NULL THEN e.rung_at END,
        next_attempt_at = now() + make_interval(secs => held.wait)
    FROM held WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id
    RETURNING e.id, held.wait
    """
)

# A replay's clock goes on when all is done: it is told where more is under way and nobody waits for this. Else somebody
# must be waiting for it, or for a ring. Under a pause most of what is due and not rung waits for its end: whoever ends
# it notifies, and the rest is found by the next poll.
_NOTIFY = text(
    f"""
    SELECT pg_notify('{SETTLED_CHANNEL}',
                     CASE WHEN {ANY_RUNG} AND NOT {ANY_WAITING} AND EXISTS (SELECT FROM market_clock)
                          THEN '{MORE_UNDER_WAY}' ELSE '' END)
    WHERE EXISTS (SELECT FROM market_clock) OR {ANY_WAITING} OR ({ANY_PAUSE} IS NULL AND {ANY_DUE})
    """
)

_ERRORS = text(
    """
    INSERT INTO error_logs
        (user_id, task_name, execution_id, scheduled_for, config_version, fingerprint, error_type, error_message,
         traceback, context)
    SELECT f.user_id, f.task_name, f.id, f.scheduled_for, f.config_version,
           md5(concat_ws('|', f.task_name, f.error_type, regexp_replace(left(f.error, 1024), '[0-9]+', '#', 'g'))),
           f.error_type, left(f.error, 1024), f.traceback,
           jsonb_build_object('account_id', f.account_id, 'subject', f.subject, 'attempt', f.attempt, 'service_running',
                              (SELECT s.service_running FROM service_status s WHERE s.user_id = f.user_id))
    FROM unnest(CAST(:user_ids AS bigint[]), CAST(:tasks AS text[]), CAST(:ids AS bigint[]),
                CAST(:slots AS timestamptz[]), CAST(:types AS text[]), CAST(:errors AS text[]),
                CAST(:tracebacks AS text[]), CAST(:account_ids AS bigint[]),
                CAST(:subjects AS text[]), CAST(:attempts AS int[]), CAST(:versions AS int[]))
         AS f(user_id, task_name, id, scheduled_for, error_type, error, traceback, account_id, subject, attempt,
              config_version)
    """
)

_ATTEMPTS = text(
    """
    INSERT INTO execution_attempts (execution_id, scheduled_for, user_id, attempt, generation, outcome, worker, error)
    SELECT f.id, f.scheduled_for, f.user_id, f.attempt, f.generation, 'failed', :worker, f.error
    FROM unnest(CAST(:ids AS bigint[]), CAST(:slots AS timestamptz[]), CAST(:user_ids AS bigint[]),
                CAST(:attempts AS int[]), CAST(:generations AS int[]), CAST(:errors AS text[]))
         AS f(id, scheduled_for, user_id, attempt, generation, error)
    """
)

# What began before its service was started or stopped last is an error in the log and no longer one of the service.
_FAILED = text(
    """
    WITH seen AS (
        SELECT e.user_id, count(*) AS errors, max(f.error) AS error
        FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:errors AS text[]))
             AS f(scheduled_for, id, error)
        CROSS JOIN LATERAL (
            SELECT e.user_id, e.executed_at FROM service_task_execution e
            WHERE e.scheduled_for = f.scheduled_for AND e.id = f.id LIMIT 1) e
        JOIN service_status s ON s.user_id = e.user_id
        WHERE e.executed_at >= coalesce(greatest(s.started_at, s.stopped_at), '-infinity') GROUP BY e.user_id),
    held AS MATERIALIZED (
        SELECT s.user_id FROM service_status s JOIN seen USING (user_id) ORDER BY s.user_id FOR UPDATE OF s)
    UPDATE service_status s
    SET error_count = s.error_count + seen.errors, last_error = left(seen.error, 512), updated_at = now()
    FROM seen, held WHERE s.user_id = seen.user_id AND s.user_id = held.user_id
    """
)

_SAW = text(
    """
    WITH held AS MATERIALIZED (
        SELECT user_id FROM service_status WHERE user_id = ANY(CAST(:user_ids AS bigint[])) ORDER BY user_id FOR UPDATE)
    UPDATE service_status s
    SET last_task_execution = now(), updated_at = now(),
        -- Work that ends after a stop is its last; nobody looks after it for that.
        last_heartbeat = CASE WHEN s.service_running THEN now() ELSE s.last_heartbeat END
    FROM held WHERE s.user_id = held.user_id
    """
)

_LEASE = text(
    "SELECT EXISTS (SELECT FROM worker_processes "
    "WHERE name = :worker AND ended_at IS NULL AND gone_at IS NULL AND lease_until > now())"
)


class NoLeaseError(Exception):
    """A worker without a live lease asked for work: it may take none until its supervisor renews."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Why a bell won nothing. status: of its execution, None when there is none. is_suspect: it may only run alone."""

    status: str | None
    is_claimable: bool
    is_suspect: bool


class LedgerRepository:
    """The statements of claim and settle. All need the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def claim(
        self, bells: Sequence[Bell], worker: str, *, alone: bool = False
    ) -> tuple[list[Execution], dict[str, str]]:
        """Take the executions that are still due under the bell's generation; late ones end skipped.

        What a halt keeps from beginning is queued again, to be rung after it. alone: also what was with a dead worker
        before. Returns what was won, and by their keys what was dropped, as `late` or `paused`; copies and locked rows
        are in neither. Raises NoLeaseError.
        """
        values = {**bell_keys(bells), "worker": worker, "alone": alone, "exchange": EXCHANGE}
        rows = (await self.session.execute(_CLAIM, values)).all()
        if not rows and not (await self.session.execute(_LEASE, {"worker": worker})).scalar_one():
            raise NoLeaseError(f"worker {worker} has no live lease")
        dropped = {f"{row.id}.{row.generation}": row.dropped for row in rows if row.dropped is not None}
        return [Execution(*row[:14]) for row in rows if row.dropped is None], dropped

    async def standings(self, bells: Sequence[Bell]) -> dict[str, Standing]:
        """Return how the executions of bells stand, by key."""
        rows = await self.session.execute(_STANDINGS, bell_keys(bells))
        return {f"{row[0]}.{row[1]}": Standing(*row[2:]) for row in rows}

    async def settle(self, settlements: Sequence[Settlement], worker: str) -> dict[int, float | None]:
        """Record the end of attempts held under their generation; the others change nothing.

        Returns the ids that were settled, each with the seconds until its next attempt where there is one.
        """
        settlements = sorted(settlements, key=lambda one: one.execution.id)  # in which rows are locked everywhere
        executions = [one.execution for one in settlements]
        held = await self.session.execute(
            _SETTLE,
            {
                **execution_keys(executions),
                "statuses": [one.status for one in settlements],
                "durations": [one.duration_seconds for one in settlements],
                "details": [one.details for one in settlements],
                "reasons": [one.reason for one in settlements],
                "backoffs": [one.backoff_seconds for one in settlements],
            },
        )
        settled: dict[int, float | None] = {row[0]: row[1] for row in held}
        failures = [one for one in settlements if one.error_type is not None and one.execution.id in settled]
        if failures:
            await self._record_failures(failures, worker)
        return settled

    async def saw(self, user_ids: Collection[int]) -> None:
        """Note that work of users was done just now."""
        await self.session.execute(text("SET LOCAL synchronous_commit = off"))  # lost in a crash it is said again
        await self.session.execute(_SAW, {"user_ids": sorted(user_ids)})

    async def notify(self) -> None:
        """Wake the schedulers at the commit, if anything may wait for what was settled."""
        await self.session.execute(_NOTIFY)

    async def _record_failures(self, failures: Sequence[Settlement], worker: str) -> None:
        executions = [one.execution for one in failures]
        shared: dict[str, Any] = {
            **execution_keys(executions),
            "user_ids": [one.user_id for one in executions],
            "attempts": [one.attempt for one in executions],
            "errors": [one.error for one in failures],
        }
        await self.session.execute(_ATTEMPTS, {**shared, "worker": worker})
        shared.pop("generations")
        await self.session.execute(
            _ERRORS,
            {
                **shared,
                "tasks": [one.task_name for one in executions],
                "account_ids": [one.account_id for one in executions],
                "subjects": [one.subject for one in executions],
                "versions": [one.config_version for one in executions],
                "types": [one.error_type for one in failures],
                "tracebacks": [one.traceback for one in failures],
            },
        )

        if users := [one for one in failures if one.execution.user_id is not None]:
            keys = execution_keys([one.execution for one in users])
            values = {"slots": keys["slots"], "ids": keys["ids"], "errors": [one.error for one in users]}
            await self.session.execute(_FAILED, values)


def bell_keys(bells: Sequence[Bell]) -> dict[str, Any]:
    """Return the parameters by which a statement finds the executions of bells, in the order of their ids."""
    bells = sorted(bells, key=attrgetter("execution_id"))
    slots: list[datetime] = [bell.scheduled_for for bell in bells]
    return {
        "slots": slots,
        "ids": [bell.execution_id for bell in bells],
        "generations": [bell.generation for bell in bells],
        "count": len(bells),
    }


def execution_keys(executions: Sequence[Execution]) -> dict[str, Any]:
    """Return the parameters by which a statement finds executions under the generation they are held."""
    return {
        "slots": [one.scheduled_for for one in executions],
        "ids": [one.id for one in executions],
        "generations": [one.generation for one in executions],
        "count": len(executions),
    }
