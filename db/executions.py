"""Executions: one run of one task for one slot and subject, the truth that a message only rings for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Computed,
    Index,
    PrimaryKeyConstraint,
    UniqueConstraint,
    text,
)
from sqlalchemy import (
    Sequence as DatabaseSequence,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Line, Moment, Name, Prose, Word, user_scoped
from trading.orders import LIVE

STATUSES = ("waiting", "queued", "running", "retrying", "success", "failed", "skipped", "cancelled")
UNFINISHED = ("waiting", "queued", "running", "retrying")

# Conditions on an alias. What is not over is in one of these parts, each of which has an index; `is_open` has none.
OPEN = "({0}.is_waiting OR {0}.is_ringable OR {0}.is_retrying OR ({0}.is_open AND {0}.rung_at IS NOT NULL))"
RUNNING = "{0}.is_open AND {0}.rung_at IS NOT NULL AND {0}.status = 'running'"
# Whether there is any, asked in the order of its index: EXISTS would let the planner look for the first one through all
# that is over, whenever its statistics are of an hour when there were many.
_ANY = "(SELECT true FROM service_task_execution WHERE {} ORDER BY {} LIMIT 1) IS NOT NULL"
ANY_WAITING = _ANY.format("is_waiting", "id")
ANY_RETRYING = _ANY.format("is_retrying", "next_attempt_at, id")
ANY_RUNG = _ANY.format("is_open AND rung_at IS NOT NULL", "user_id, queue, id")
ANY_DUE = _ANY.format("is_ringable AND scheduled_for <= (SELECT market_now())", "user_id, queue, id")

EXECUTION_IDS = DatabaseSequence("service_task_execution_id_seq", metadata=Base.metadata)


class Fenced(Exception):  # noqa: N818 - what happened, not what went wrong
    """Somebody else owns this execution now: the step that meets it changes nothing and is not recorded."""

    def __init__(self, execution_id: int, generation: int) -> None:
        self.execution_id, self.generation = execution_id, generation
        super().__init__(f"execution {execution_id} is no longer held under generation {generation}")


def _is(status: str) -> str:
    """Return a condition as Postgres writes it down: so models and database can be compared."""
    return f"(status)::text = '{status}'::text"


def _one_of(*statuses: str) -> str:
    words = ", ".join(f"'{one}'::text" for one in statuses)
    return f"(status)::text = ANY (ARRAY[{words}])"


@user_scoped
class ExecutionRow(Base):
    """One execution. Partitioned by month of `scheduled_for`; nothing holds a foreign key to it.

    scheduled_for: the slot, market time; for a follow-up, when it is due. as_of: the slot whose data it uses.
    rung_at, next_attempt_at, executed_at, finished_at: machine time. losses: workers that died holding it; from the
    first on it runs alone. config_version: what its first attempt began under. is_*: of its status, for indexes.
    """

    __tablename__ = "service_task_execution"
    __table_args__ = (
        PrimaryKeyConstraint("scheduled_for", "id"),
        UniqueConstraint(
            "task_name", "user_id", "account_id", "subject", "scheduled_for",
            name="uq_service_task_execution_identity", postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint("status IN " + str(STATUSES), name="status"),
        # None looks at a column that a claim changes: it would have to write every index of the table.
        Index(
            "ix_service_task_execution_rung", "user_id", "queue", "id",
            postgresql_where="is_open AND rung_at IS NOT NULL",
        ),
        # These two look at columns that a claim changes as well, but not for a row that was rung: they cost it nothing.
        Index("ix_service_task_execution_ringable", "user_id", "queue", "id", postgresql_where="is_ringable"),
        Index("ix_service_task_execution_retrying", "next_attempt_at", "id", postgresql_where="is_retrying"),
        Index("ix_service_task_execution_waiting", "id", postgresql_where="is_waiting"),
        Index("ix_service_task_execution_failed", "scheduled_for", postgresql_where="is_failure"),
        # Ids grow with time: a few pages tell where one lies, and keeping them costs next to nothing.
        Index("ix_service_task_execution_id", "id", postgresql_using="brin", postgresql_with={"autosummarize": True}),
        Index("ix_service_task_execution_user_id", "user_id", "task_name", "scheduled_for"),
        {"postgresql_partition_by": "RANGE (scheduled_for)"},
    )  # fmt: skip

    scheduled_for: Mapped[Moment]
    id: Mapped[Big] = mapped_column(server_default=EXECUTION_IDS.next_value())
    task_name: Mapped[Name]
    user_id: Mapped[Big | None]
    account_id: Mapped[Big | None]
    subject: Mapped[str] = mapped_column(server_default="")
    schedule_id: Mapped[Big | None]
    queue: Mapped[Word]
    status: Mapped[Word]
    generation: Mapped[int] = mapped_column(server_default="1")
    attempt: Mapped[int] = mapped_column(server_default="0")
    losses: Mapped[int] = mapped_column(server_default="0")
    config_version: Mapped[int | None]
    worker: Mapped[str | None]
    waiting_for: Mapped[list[Any] | None] = mapped_column(JSONB)
    useful_until: Mapped[Moment | None]
    as_of: Mapped[Moment]
    parent_id: Mapped[Big | None]
    rung_at: Mapped[Moment | None]
    rings: Mapped[int] = mapped_column(server_default="0")
    next_attempt_at: Mapped[Moment | None]
    executed_at: Mapped[Moment | None]
    finished_at: Mapped[Moment | None]
    duration_seconds: Mapped[float] = mapped_column(server_default="0")
    reason: Mapped[Line | None]
    details: Mapped[Json | None]
    created_at: Mapped[Created]
    is_open: Mapped[bool] = mapped_column(Computed(_one_of(*UNFINISHED), persisted=True))
    is_waiting: Mapped[bool] = mapped_column(Computed(_is("waiting"), persisted=True))
    is_failure: Mapped[bool] = mapped_column(Computed(_one_of("failed", "cancelled"), persisted=True))
    is_ringable: Mapped[bool] = mapped_column(Computed(f"({_is('queued')}) AND (rung_at IS NULL)", persisted=True))
    is_retrying: Mapped[bool] = mapped_column(Computed(_is("retrying"), persisted=True))


@user_scoped
class ExecutionAttemptRow(Base):
    """An attempt that did not succeed, the lost ones included."""

    __tablename__ = "execution_attempts"
    __table_args__ = (
        CheckConstraint("outcome IN ('failed', 'lost', 'interrupted')", name="outcome"),
        Index(None, "execution_id"),
        Index(None, "user_id"),
    )

    id: Mapped[Id]
    execution_id: Mapped[Big]
    scheduled_for: Mapped[Moment]
    user_id: Mapped[Big | None]
    attempt: Mapped[int]
    generation: Mapped[int]
    outcome: Mapped[Word]
    worker: Mapped[str | None]
    started_at: Mapped[Moment | None]
    error: Mapped[Prose | None]
    created_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class Bell:
    """What a message says: which execution to run, under which generation, and where."""

    task_name: str
    queue: str
    scheduled_for: datetime
    execution_id: int
    generation: int


@dataclass(frozen=True, slots=True)
class Peal:
    """Bells that differ in nothing but their execution: of one task, queue, slot and generation."""

    task_name: str
    queue: str
    scheduled_for: datetime
    execution_ids: Sequence[int]
    generation: int = 1

    def bells(self) -> list[Bell]:
        """Return the bells one by one."""
        rest = self.scheduled_for, self.generation
        return [Bell(self.task_name, self.queue, rest[0], id_, rest[1]) for id_ in self.execution_ids]


@dataclass(frozen=True, slots=True)
class Execution:
    """An execution as its step sees it. market_now: market time at the claim.

    config_version: of its user's configuration, None for shared tasks. calendar_at: when the calendar of the claim was
    stored, None where nobody asked. queue: '' where nobody asked.
    """

    scheduled_for: datetime
    id: int
    generation: int
    task_name: str
    user_id: int | None
    account_id: int | None
    subject: str
    as_of: datetime
    useful_until: datetime | None
    attempt: int
    market_now: datetime
    config_version: int | None = None
    calendar_at: datetime | None = None
    queue: str = ""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Work a step leaves behind as a row of its own transaction. scheduled_for: market time at which it is due."""

    task_name: str
    queue: str
    subject: str
    scheduled_for: datetime
    useful_until: datetime | None


_FENCE = text(
    "SELECT market_now() FROM service_task_execution WHERE scheduled_for = :scheduled_for AND id = :id "
    "AND generation = :generation AND status = 'running' FOR SHARE"
)

_FOLLOW_UP = text(
    """
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, account_id, subject, queue, status, useful_until, as_of, parent_id)
    SELECT f.scheduled_for, f.task_name, :user_id, :account_id, f.subject, f.queue, 'queued', f.useful_until, :as_of,
           :parent
    FROM unnest(CAST(:scheduled_for AS timestamptz[]), CAST(:task_name AS text[]), CAST(:subject AS text[]),
                CAST(:queue AS text[]), CAST(:useful_until AS timestamptz[]))
         AS f(scheduled_for, task_name, subject, queue, useful_until)
    ON CONFLICT DO NOTHING
    """
)

_SYNC_QUEUED = text(
    "SELECT 1 FROM service_task_execution WHERE task_name = 'order_sync' AND user_id = :user_id "
    "AND account_id = :account_id AND subject = '' AND scheduled_for BETWEEN :first AND :last "
    "AND is_open AND status = 'queued' LIMIT 1"
)

_UNFINISHED_SUBJECTS = text(
    "SELECT subject FROM service_task_execution WHERE task_name = :task_name AND user_id = :user_id "
    "AND account_id = :account_id AND is_open"
)

_SYNC_ENDED = text(
    f"""
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, account_id, subject, queue, status, useful_until, as_of, parent_id)
    SELECT CAST(:at AS timestamptz), 'order_sync', o.user_id, o.account_id, '', :queue, 'queued',
           CAST(:useful_until AS timestamptz), CAST(:at AS timestamptz), :parent
    FROM orders o WHERE o.status IN ({", ".join(f"'{state}'" for state in sorted(LIVE))}) AND o.session_day <= :day
    GROUP BY o.user_id, o.account_id
    ON CONFLICT DO NOTHING
    RETURNING id
    """
)

_REQUEST = text(
    """
    INSERT INTO service_task_execution (scheduled_for, task_name, user_id, subject, queue, status, useful_until, as_of)
    VALUES (:at, :task_name, :user_id, :subject, :queue, 'queued', :useful_until, :at)
    ON CONFLICT DO NOTHING
    """
)


class ServiceTaskRepository:
    """Queries a step needs over executions."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def fence(self, execution: Execution) -> datetime:
        """Lock the execution FOR SHARE under its generation, first in every transaction of a step.

        Returns market now, by which the transaction's gates are judged. Raises Fenced.
        """
        key = {"scheduled_for": execution.scheduled_for, "id": execution.id, "generation": execution.generation}
        now: datetime | None = (await self.session.execute(_FENCE, key)).scalar_one_or_none()
        if now is None:
            raise Fenced(execution.id, execution.generation)
        return now

    async def follow_up(self, execution: Execution, follow_ups: Sequence[FollowUp]) -> None:
        """Insert follow-ups for the same user and account; one that exists already is left alone."""
        if not follow_ups:
            return
        columns = ("scheduled_for", "task_name", "subject", "queue", "useful_until")
        arrays: Mapping[str, list[Any]] = {name: [getattr(one, name) for one in follow_ups] for name in columns}
        await self.session.execute(
            _FOLLOW_UP,
            {
                "user_id": execution.user_id,
                "account_id": execution.account_id,
                "as_of": execution.as_of,
                "parent": execution.id,
                **arrays,
            },
        )

    async def sync_ended(
        self, execution: Execution, queue: str, day: date, at: datetime, useful_until: datetime
    ) -> int:
        """Queue a sync of every account with a live order for a session up to a day. Returns how many were queued.

        Needs the system scope.
        """
        values = {"at": at, "queue": queue, "useful_until": useful_until, "parent": execution.id, "day": day}
        return len((await self.session.execute(_SYNC_ENDED, values)).all())

    async def sync_is_queued(self, execution: Execution, first: datetime, last: datetime) -> bool:
        """Tell whether a sync of the account due in a range is still unclaimed; call under the account's lock."""
        keys = {"user_id": execution.user_id, "account_id": execution.account_id, "first": first, "last": last}
        return (await self.session.execute(_SYNC_QUEUED, keys)).scalar_one_or_none() is not None

    async def unfinished_subjects(self, execution: Execution, task_name: str) -> set[str]:
        """Return what a task is still to look at for the account; call under the account's lock."""
        keys = {"user_id": execution.user_id, "account_id": execution.account_id, "task_name": task_name}
        return set((await self.session.execute(_UNFINISHED_SUBJECTS, keys)).scalars())

    async def request(
        self,
        task_name: str,
        queue: str,
        subject: str,
        at: datetime,
        useful_until: datetime | None,
        user_id: int | None = None,
    ) -> None:
        """Queue one execution on request. at: market time. useful_until: None, it is never too late."""
        values = {"task_name": task_name, "queue": queue, "subject": subject, "at": at, "useful_until": useful_until}
        await self.session.execute(_REQUEST, {**values, "user_id": user_id})
