"""How long each kind of row is kept, and the statements that end it, some rows at a time."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped

from db.base import Base, Big, Created, Id, Name, Word, user_scoped
from db.partitions import PARTITIONED, PartitionRepository


@user_scoped
class ExecutionCountRow(Base):
    """What is left of a day's routine executions: how many there were. day: exchange date of their slots."""

    __tablename__ = "execution_counts"
    __table_args__ = (
        CheckConstraint("executions > 0", name="executions"),
        UniqueConstraint("day", "task_name", "user_id", "account_id", "status", postgresql_nulls_not_distinct=True),
        Index(None, "user_id", "day"),
    )

    id: Mapped[Id]
    day: Mapped[date]
    task_name: Mapped[Name]
    user_id: Mapped[Big | None]
    account_id: Mapped[Big | None]
    status: Mapped[Word]
    executions: Mapped[int]
    updated_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Days after which rows go. Unresolved errors and unread notifications never do.

    routine_executions: of market time by their slot, and of machine time by their end: a replay keeps what it has just
    made. Everything else is machine time.
    """

    service_logs: int = 30
    resolved_errors: int = 90
    read_notifications: int = 90
    healings: int = 30
    ended_processes: int = 7
    routine_executions: int = 3


KEPT_FOR = RetentionPolicy()

# What a success says that did nothing, besides how much it looked at. Any other word keeps the execution.
ROUTINE: tuple[tuple[str, str], ...] = (
    ("order_sync", '{"orders": 0, "fills": 0, "positions_opened": 0, "positions_closed": 0}'),
    ("sell_monitor", '{"planned": 0, "to_market": 0, "resized": 0}'),
    ("sell_monitor", '{"planned": 0, "to_market": 0, "resized": 0, "without_price": []}'),
    (
        "position_monitor",
        '{"summary": {"alerts_sent": 0, "exit_imminent": 0, "averaging_opportunities": 0}, "without_price": []}',
    ),
)
_LOOKED_AT = "'{positions,hour}'::text[] #- '{summary,monitored}'"
_ROUTINE = ", ".join(f"('{task}', '{nothing}'::jsonb)" for task, nothing in ROUTINE)

_SERVICE_LOGS = next(one for one in PARTITIONED if one.table == "service_logs")
# Dropping a partition waits for whoever reads the table, and everybody behind waits for it.
_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', '5s', true)")
_DAYS_AGO = text("SELECT (now() - make_interval(days => :days))::date")

_ERRORS = text(
    """
    DELETE FROM error_logs WHERE id IN (
        SELECT id FROM error_logs WHERE resolved AND resolved_at < now() - make_interval(days => :days)
        ORDER BY resolved_at LIMIT :chunk FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)
_NOTIFICATIONS = text(
    """
    DELETE FROM notifications WHERE id IN (
        SELECT id FROM notifications WHERE read AND read_at < now() - make_interval(days => :days)
        ORDER BY read_at LIMIT :chunk FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)
_HEALINGS = text(
    """
    DELETE FROM healings WHERE id IN (
        SELECT id FROM healings WHERE at < now() - make_interval(days => :days)
        ORDER BY at LIMIT :chunk FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)
_PROCESSES = text(
    """
    WITH workers AS (
        DELETE FROM worker_processes WHERE ended_at < now() - make_interval(days => :days) RETURNING name),
    schedulers AS (
        DELETE FROM scheduler_processes WHERE coalesce(stopped_at, seen_at) < now() - make_interval(days => :days)
        RETURNING name)
    SELECT (SELECT count(*) FROM workers) + (SELECT count(*) FROM schedulers)
    """
)
_THINNED_UNTIL = text("SELECT max(day) FROM execution_counts")
_OLDEST = text("SELECT min(scheduled_for) FROM service_task_execution")
# An execution that needed a second attempt is no routine: its first one is told elsewhere by its id.
_THIN = text(
    f"""
    WITH routine AS MATERIALIZED (
        SELECT e.scheduled_for, e.id FROM service_task_execution e
        WHERE e.scheduled_for >= :first AND e.scheduled_for < :end AND e.status = 'success' AND e.attempt = 1
          AND e.losses = 0 AND e.finished_at < now() - make_interval(days => :days)
          AND EXISTS (SELECT FROM (VALUES {_ROUTINE}) AS r(task_name, nothing)
                      WHERE r.task_name = e.task_name AND e.details - {_LOOKED_AT} = r.nothing)
        ORDER BY e.scheduled_for, e.id LIMIT :chunk FOR UPDATE OF e SKIP LOCKED),
    gone AS (
        DELETE FROM service_task_execution e USING routine
        WHERE e.scheduled_for = routine.scheduled_for AND e.id = routine.id
        RETURNING e.scheduled_for, e.task_name, e.user_id, e.account_id, e.status),
    counted AS (
        INSERT INTO execution_counts (day, task_name, user_id, account_id, status, executions)
        SELECT :day, task_name, user_id, account_id, status, count(*) FROM gone
        GROUP BY task_name, user_id, account_id, status
        ON CONFLICT (day, task_name, user_id, account_id, status)
        DO UPDATE SET executions = execution_counts.executions + excluded.executions, updated_at = now())
    SELECT count(*) AS executions, max(scheduled_for) AS last FROM gone
    """
)


@dataclass(frozen=True, slots=True)
class Thinned:
    """One bite of a day. last: the slot of its last execution, None without any."""

    executions: int
    last: datetime | None


class RetentionRepository:
    """What ends rows that were kept long enough. Needs the system scope. days: how long they are kept."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def drop_service_logs(self, days: int) -> int:
        """Drop the weeks of log lines that are wholly older, waiting 5 s at most for readers. Returns how many."""
        await self.session.execute(_LOCK_TIMEOUT)
        before: date = (await self.session.execute(_DAYS_AGO, {"days": days})).scalar_one()
        return await PartitionRepository(self.session).drop(_SERVICE_LOGS, before)

    async def delete_resolved_errors(self, days: int, chunk: int) -> int:
        """Delete errors that were resolved so long ago. Returns how many."""
        return len((await self.session.execute(_ERRORS, {"days": days, "chunk": chunk})).all())

    async def delete_read_notifications(self, days: int, chunk: int) -> int:
        """Delete notifications that were read so long ago. Returns how many."""
        return len((await self.session.execute(_NOTIFICATIONS, {"days": days, "chunk": chunk})).all())

    async def delete_healings(self, days: int, chunk: int) -> int:
        """Delete what the sweep put right so long ago. Returns how many."""
        return len((await self.session.execute(_HEALINGS, {"days": days, "chunk": chunk})).all())

    async def delete_ended_processes(self, days: int) -> int:
        """Forget processes that ended, or were last seen, so long ago. Returns how many."""
        return int((await self.session.execute(_PROCESSES, {"days": days})).scalar_one())

    async def thinned_until(self) -> date | None:
        """Return the newest day that has counts in place of executions."""
        day: date | None = (await self.session.execute(_THINNED_UNTIL)).scalar_one()
        return day

    async def oldest_slot(self) -> datetime | None:
        """Return the slot of the oldest execution."""
        at: datetime | None = (await self.session.execute(_OLDEST)).scalar_one()
        return at

    async def thin(self, day: date, first: datetime, end: datetime, days: int, chunk: int) -> Thinned:
        """Count some routine executions of a day and delete them, oldest slot first.

        first, end: of their slots, end excluded. days: since their end, of machine time.
        """
        values = {"day": day, "first": first, "end": end, "days": days, "chunk": chunk}
        return Thinned(*(await self.session.execute(_THIN, values)).one())
