"""Each user's service: whether it runs, its last execution and its errors. How it looks from outside: service_looks."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ForeignKey, bindparam, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.audit_logs import AuditLogRepository
from db.base import Base, Big, Created, Id, Line, Moment, Name, user_scoped
from db.claims import SETTLED_CHANNEL
from trading.orders import LIVE


@user_scoped
class ServiceStatusRow(Base):
    """One row a user. last_heartbeat: machine time, when it was looked after last, as far as that is written down.

    While a scheduler runs it is at most a minute old, unless services are more than MANY: then what schedulers say of
    themselves holds for all of them, and this is of the work that was done. `service_looks` joins both.

    generation: counts starts and stops; who began under an older one changes nothing. started_at, stopped_at: machine
    time of the latest of each.
    """

    __tablename__ = "service_status"

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), unique=True)
    service_running: Mapped[bool] = mapped_column(server_default="false", index=True)
    generation: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[Moment | None]
    stopped_at: Mapped[Moment | None]
    changed_by: Mapped[Name | None]
    last_heartbeat: Mapped[Moment | None]
    last_task_execution: Mapped[Moment | None]
    error_count: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[Line | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


# To write so many down each minute would cost more than all they do, and hold up what is due meanwhile.
MANY = 5_000
_ARE_MANY = text("SELECT reltuples > :many FROM pg_class WHERE oid = CAST('service_status' AS regclass)")

_RUNS = select(ServiceStatusRow.service_running).where(ServiceStatusRow.user_id == bindparam("user_id"))

# Those a worker has just settled something for are fresh already. A start or stop that commits meanwhile is looked at
# again under the lock: nobody who saw a service run before its stop says afterwards that it is looked after.
_BEAT = text(
    """
    WITH stale AS MATERIALIZED (
        SELECT id, generation FROM service_status
        WHERE service_running AND (last_heartbeat IS NULL OR last_heartbeat < now() - interval '30 s')
        ORDER BY id LIMIT :chunk FOR UPDATE SKIP LOCKED)
    UPDATE service_status s SET last_heartbeat = now() FROM stale
    WHERE s.id = stale.id AND s.generation = stale.generation
    RETURNING s.id
    """
)

# Who makes executions of services that run shares this lock until his commit, and a stop takes it alone: so a stop sees
# them, or they see the stop. It is asked for before any row is locked, so that no two wait for each other.
_SHARE = text("SELECT pg_advisory_xact_lock_shared(hashtext('services'))")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('services'))")

# Of two at once the second waits and finds nothing left to do.
_SWITCH = text(
    """
    UPDATE service_status
    SET service_running = :running, generation = generation + 1, changed_by = :by, updated_at = now(),
        started_at = CASE WHEN :running THEN clock_timestamp() ELSE started_at END,
        stopped_at = CASE WHEN :running THEN stopped_at ELSE clock_timestamp() END
    WHERE user_id = :user_id AND service_running <> :running
    RETURNING id, generation, CASE WHEN :running THEN started_at ELSE stopped_at END AS since
    """
)

# What a stopped service still begins: what is on its way to a broker or to a person is seen to its end (a submit denies
# buys by itself), and the broker's book is read while an account has live orders.
_GOES_ON = f"""
    (e.task_name IN ('submit', 'notify') OR (e.task_name IN ('order_sync', 'reconcile') AND EXISTS (
        SELECT FROM orders o WHERE o.account_id = e.account_id
          AND o.status IN ({", ".join(f"'{state}'" for state in sorted(LIVE))}))))
"""
# By the parts of what is open, each of which has its index.
_UNBEGUN = f"""
    SELECT e.scheduled_for, e.id FROM service_task_execution e
    WHERE e.user_id = :user_id AND e.status <> 'running'
      AND (e.is_waiting OR e.is_ringable OR e.is_retrying OR (e.is_open AND e.rung_at IS NOT NULL)) AND NOT {_GOES_ON}
"""
# Under another generation, so that the message of one is a copy. Whoever claims one of them now is not waited for: he
# may wait for the service's row, which we hold.
_CANCEL = text(
    f"""
    WITH unbegun AS MATERIALIZED ({_UNBEGUN}),
    held AS MATERIALIZED (
        SELECT e.scheduled_for, e.id FROM unbegun u CROSS JOIN LATERAL (
            SELECT e.scheduled_for, e.id FROM service_task_execution e
            WHERE e.scheduled_for = u.scheduled_for AND e.id = u.id
              AND e.status IN ('waiting', 'queued', 'retrying')
            FOR UPDATE OF e SKIP LOCKED) e)
    UPDATE service_task_execution e
    SET status = 'cancelled', generation = e.generation + 1, reason = :reason, finished_at = now(),
        next_attempt_at = NULL
    FROM held WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id
    RETURNING e.id
    """
)
_LEFT = text(f"SELECT count(*) FROM ({_UNBEGUN}) left_over")
_WAKE = text(f"SELECT pg_notify('{SETTLED_CHANNEL}', '')")


class ServiceBusyError(Exception):
    """Somebody was claiming or changing what a stop has to cancel: roll back, and stop again in a moment."""

    def __init__(self, user_id: int, executions: int) -> None:
        self.user_id, self.executions = user_id, executions
        super().__init__(
            f"{executions} executions of user {user_id} were being claimed or changed: nothing is stopped, try again"
        )


@dataclass(frozen=True, slots=True)
class Switched:
    """How a service stands after a start or a stop. changed: whether this one did it, else it was so already.

    since: machine time, with by: of the change that made it so. cancelled: executions that will not begin.
    """

    id: int
    running: bool
    changed: bool
    generation: int
    since: datetime | None
    by: str | None
    cancelled: int = 0


class ServiceStatusRepository:
    """Queries over services."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def start(self, user_id: int, by: str) -> Switched:
        """Let a user's schedules fire from now on; schedulers hear of it. Of one that runs nothing changes.

        What starting needs is not looked at here, and nothing is audited: `worker/services.py` does both.
        """
        return await self._switch(user_id, by, running=True) or await self._as_it_is(user_id)

    async def stop(self, user_id: int, by: str) -> Switched:
        """Let nothing new begin for a user. Of one that is stopped nothing changes.

        What runs goes on. What has not begun ends cancelled, but for submits, notices, and looks at the broker's book
        while there are live orders. Raises ServiceBusyError: then nothing may be committed.
        """
        await self.session.execute(_ALONE)
        return await self._switch(user_id, by, running=False) or await self._as_it_is(user_id)

    async def hold_switches(self) -> None:
        """Let no service be stopped until the transaction ends: first thing of whoever makes executions of many."""
        await self.session.execute(_SHARE)

    async def _switch(self, user_id: int, by: str, *, running: bool) -> Switched | None:
        values = {"user_id": user_id, "by": by, "running": running}
        row = (await self.session.execute(_SWITCH, values)).one_or_none()
        if row is None:
            return None
        cancelled = 0 if running else await self._cancel(user_id, by)
        await self.session.execute(_WAKE)
        return Switched(row.id, running, True, row.generation, row.since, by, cancelled)

    async def _cancel(self, user_id: int, by: str) -> int:
        reason = f"the service was stopped by {by} before it began"
        found = await self.session.execute(_CANCEL, {"user_id": user_id, "reason": reason})
        cancelled = len(found.all())
        # By a statement of its own: it sees what others have made since.
        left = (await self.session.execute(_LEFT, {"user_id": user_id})).scalar_one()
        if left:
            raise ServiceBusyError(user_id, left)
        return cancelled

    async def _as_it_is(self, user_id: int) -> Switched:
        row = await self.get(user_id)
        since = row.started_at if row.service_running else row.stopped_at
        return Switched(row.id, row.service_running, False, row.generation, since, row.changed_by)

    async def beat(self, chunk: int) -> bool:
        """Say of some services that are switched on that somebody looks after them, market day or not.

        Returns whether there may be more of them; of more than MANY none. Needs the system scope.
        """
        if (await self.session.execute(_ARE_MANY, {"many": MANY})).scalar_one():
            return False
        return len((await self.session.execute(_BEAT, {"chunk": chunk})).all()) == chunk

    async def runs(self, user_id: int) -> bool:
        """Tell whether a user's service runs: the gate of every purchase. Read it after the account's lock."""
        return (await self.session.execute(_RUNS, {"user_id": user_id})).scalar_one()

    async def get(self, user_id: int) -> ServiceStatusRow:
        """Return a user's service."""
        query = select(ServiceStatusRow).where(ServiceStatusRow.user_id == user_id)
        return (await self.session.execute(query)).scalar_one()

    async def page(self, limit: int, after_user: int = 0) -> list[ServiceStatusRow]:
        """Return services by user, those after a user. Needs the system scope."""
        query = select(ServiceStatusRow).where(ServiceStatusRow.user_id > after_user)
        return list((await self.session.execute(query.order_by(ServiceStatusRow.user_id).limit(limit))).scalars())

    async def reset_errors(self, user_id: int, by: str) -> int:
        """Count a user's errors from nought again, and audit it. Returns how many were counted; the errors stay."""
        query = select(ServiceStatusRow).where(ServiceStatusRow.user_id == user_id).with_for_update()
        row = (await self.session.execute(query)).scalar_one()
        counted = row.error_count
        if counted or row.last_error is not None:
            row.error_count, row.last_error, row.updated_at = 0, None, func.now()
            await AuditLogRepository(self.session).record(
                by, "reset_errors", "service", row.id, user_id=user_id, changes={"error_count": [counted, 0]}
            )
        return counted
