"""Each user's service: whether it runs, its last execution and its errors."""

from datetime import datetime

from sqlalchemy import ForeignKey, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.audit_logs import AuditLogRepository
from db.base import Base, Big, Created, Id, Line, Moment, Name, user_scoped


@user_scoped
class ServiceStatusRow(Base):
    """One row a user. last_heartbeat: machine time, at most a minute old while a scheduler runs.

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


_RUNS = select(ServiceStatusRow.service_running).where(ServiceStatusRow.user_id == bindparam("user_id"))

# Those a worker has just settled something for are fresh already.
_BEAT = text(
    """
    WITH stale AS MATERIALIZED (
        SELECT id FROM service_status
        WHERE service_running AND (last_heartbeat IS NULL OR last_heartbeat < now() - interval '30 s')
        ORDER BY id LIMIT :chunk FOR UPDATE SKIP LOCKED)
    UPDATE service_status s SET last_heartbeat = now() FROM stale WHERE s.id = stale.id
    RETURNING s.id
    """
)


class ServiceStatusRepository:
    """Queries over services."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def start(self, user_id: int, at: datetime) -> None:
        """Let a user's schedules fire from now on."""
        await self._set(user_id, at, running=True)

    async def stop(self, user_id: int, at: datetime) -> None:
        """Let nothing new start for a user."""
        await self._set(user_id, at, running=False)

    async def _set(self, user_id: int, at: datetime, *, running: bool) -> None:
        await self.session.execute(
            update(ServiceStatusRow)
            .where(ServiceStatusRow.user_id == user_id)
            .values(service_running=running, last_heartbeat=at, updated_at=func.now())
        )

    async def beat(self, chunk: int) -> bool:
        """Say of some services that are switched on that somebody looks after them, market day or not.

        Returns whether there may be more of them. Needs the system scope.
        """
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
