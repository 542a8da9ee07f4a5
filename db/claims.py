"""The ledger's statements: claim and settle executions, many rows at a time, on the database's clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import EXCHANGE
from db.executions import Bell, Execution

# Schedulers wait on this channel; a notification carries nothing, the rows say it all.
SETTLED_CHANNEL = "muhurat_settled"


@dataclass(frozen=True, slots=True)
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


_CLAIM = text(
    """
    WITH lease AS MATERIALIZED (
        -- Holds the sweep off: who is declared dead while this claim is open would keep what it claims.
        SELECT p.name FROM worker_processes p
        WHERE p.name = :worker AND p.ended_at IS NULL AND p.gone_at IS NULL AND p.lease_until > now() FOR KEY SHARE),
    held AS MATERIALIZED (
        SELECT e.scheduled_for, e.id, market_now() AS market_now
        FROM service_task_execution e
        JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
             AS w(scheduled_for, id, generation) ON e.scheduled_for = w.scheduled_for AND e.id = w.id
        WHERE e.generation = w.generation AND e.status IN ('queued', 'retrying')
          AND EXISTS (SELECT FROM lease) AND (e.losses = 0 OR :alone)
        ORDER BY e.id FOR UPDATE OF e SKIP LOCKED)
    UPDATE service_task_execution e
    SET status = CASE WHEN e.useful_until < held.market_now THEN 'skipped' ELSE 'running' END,
        reason = CASE WHEN e.useful_until < held.market_now THEN 'late: useful until ' || e.useful_until END,
        finished_at = CASE WHEN e.useful_until < held.market_now THEN now() END,
        attempt = e.attempt + CASE WHEN e.useful_until < held.market_now THEN 0 ELSE 1 END,
        worker = :worker, executed_at = now(), next_attempt_at = NULL,
        -- What its first attempt began under; a later change is for the next execution.
        config_version = coalesce(e.config_version,
            (SELECT c.version FROM user_trading_config c WHERE c.user_id = e.user_id))
    FROM held WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id
    RETURNING e.scheduled_for, e.id, e.generation, e.task_name, e.user_id, e.account_id, e.subject, e.as_of,
              e.useful_until, e.attempt, held.market_now, e.config_version,
              (SELECT loaded_at FROM market_calendars WHERE exchange = :exchange) AS calendar_at, e.status
    """
)

_SETTLE = text(
    """
    WITH outcome AS MATERIALIZED (
        SELECT * FROM unnest(
            CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]),
            CAST(:statuses AS text[]), CAST(:durations AS float8[]), CAST(:details AS text[]),
            CAST(:reasons AS text[]), CAST(:backoffs AS float8[]))
        AS o(scheduled_for, id, generation, status, duration, details, reason, backoff)),
    held AS MATERIALIZED (
        SELECT e.scheduled_for, e.id FROM service_task_execution e JOIN outcome o USING (scheduled_for, id)
        WHERE e.generation = o.generation AND e.status = 'running' ORDER BY e.id FOR UPDATE OF e)
    UPDATE service_task_execution e
    SET status = o.status, duration_seconds = o.duration, details = CAST(o.details AS jsonb),
        reason = left(o.reason, 512),
        finished_at = CASE WHEN o.status = 'retrying' THEN NULL ELSE now() END,
        generation = e.generation + CASE WHEN o.status = 'retrying' THEN 1 ELSE 0 END,
        rung_at = CASE WHEN o.status = 'retrying' THEN NULL ELSE e.rung_at END,
        next_attempt_at = CASE WHEN o.status = 'retrying' THEN now() + make_interval(secs =>
            CASE WHEN EXISTS (SELECT FROM market_clock) THEN 0 ELSE o.backoff END) END
    FROM outcome o, held
    WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id AND o.scheduled_for = e.scheduled_for AND o.id = e.id
    RETURNING e.id
    """
)

_FOLLOWED = text(
    """
    UPDATE service_task_execution SET rung_at = now()
    WHERE status = 'queued' AND parent_id = ANY(CAST(:ids AS bigint[])) AND rung_at IS NULL
      AND scheduled_for <= market_now()
    RETURNING task_name, queue, scheduled_for, id, generation
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

_STATUS = text(
    """
    WITH seen AS (
        SELECT user_id, count(*) FILTER (WHERE error IS NOT NULL) AS errors, max(error) AS error
        FROM unnest(CAST(:user_ids AS bigint[]), CAST(:errors AS text[])) AS f(user_id, error) GROUP BY user_id),
    held AS MATERIALIZED (
        SELECT s.user_id FROM service_status s JOIN seen USING (user_id) ORDER BY s.user_id FOR UPDATE OF s)
    UPDATE service_status s
    SET last_task_execution = now(), last_heartbeat = now(), error_count = s.error_count + seen.errors,
        last_error = coalesce(left(seen.error, 512), s.last_error), updated_at = now()
    FROM seen, held WHERE s.user_id = seen.user_id AND s.user_id = held.user_id
    """
)

# What was with a dead worker before: it runs alone, so that a death is its own doing or nobody's.
_SUSPECTS = text(
    """
    SELECT e.task_name, e.queue, e.scheduled_for, e.id, e.generation FROM service_task_execution e
    JOIN unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
         AS w(scheduled_for, id, generation) ON e.scheduled_for = w.scheduled_for AND e.id = w.id
    WHERE e.generation = w.generation AND e.status IN ('queued', 'retrying') AND e.losses > 0
    """
)

_LEASE = text(
    "SELECT EXISTS (SELECT FROM worker_processes "
    "WHERE name = :worker AND ended_at IS NULL AND gone_at IS NULL AND lease_until > now())"
)


class NoLeaseError(Exception):
    """A worker without a live lease asked for work: it may take none until its supervisor renews."""


class LedgerRepository:
    """The statements of claim and settle. All need the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def claim(self, bells: Sequence[Bell], worker: str, *, alone: bool = False) -> list[Execution]:
        """Take the executions that are still due under the bell's generation; late ones end skipped.

        alone: also what was with a dead worker before. Copies and locked rows are left out of the answer. Raises
        NoLeaseError.
        """
        values = {**bell_keys(bells), "worker": worker, "alone": alone, "exchange": EXCHANGE}
        rows = (await self.session.execute(_CLAIM, values)).all()
        if not rows and not (await self.session.execute(_LEASE, {"worker": worker})).scalar_one():
            raise NoLeaseError(f"worker {worker} has no live lease")
        return [Execution(*row[:13]) for row in rows if row.status == "running"]

    async def suspects(self, bells: Sequence[Bell]) -> list[Bell]:
        """Return which of the bells ring for executions that may only run alone."""
        return [Bell(*row) for row in await self.session.execute(_SUSPECTS, bell_keys(bells))]

    async def settle(self, settlements: Sequence[Settlement], worker: str) -> list[Bell]:
        """Record the end of attempts held under their generation; the others change nothing.

        Returns the bells of follow-ups that are due, to ring after the commit.
        """
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
        settled = set(held.scalars())
        mine = [one for one in settlements if one.execution.id in settled]
        await self._record_failures([one for one in mine if one.error_type is not None], worker)
        await self._count(mine)
        followed = await self.session.execute(_FOLLOWED, {"ids": [one.execution.id for one in mine]})
        bells = [Bell(*row) for row in followed]
        await self.session.execute(text(f"NOTIFY {SETTLED_CHANNEL}"))
        return bells

    async def _record_failures(self, failures: Sequence[Settlement], worker: str) -> None:
        if not failures:
            return
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

    async def _count(self, settlements: Sequence[Settlement]) -> None:
        users = [one for one in settlements if one.execution.user_id is not None]
        if users:
            values = {"user_ids": [one.execution.user_id for one in users], "errors": [one.error for one in users]}
            await self.session.execute(_STATUS, values)


def bell_keys(bells: Sequence[Bell]) -> dict[str, list[Any]]:
    """Return the parameters by which a statement finds the executions of bells."""
    slots: list[datetime] = [bell.scheduled_for for bell in bells]
    return {
        "slots": slots,
        "ids": [bell.execution_id for bell in bells],
        "generations": [bell.generation for bell in bells],
    }


def execution_keys(executions: Sequence[Execution]) -> dict[str, list[Any]]:
    """Return the parameters by which a statement finds executions under the generation they are held."""
    return {
        "slots": [one.scheduled_for for one in executions],
        "ids": [one.id for one in executions],
        "generations": [one.generation for one in executions],
    }
