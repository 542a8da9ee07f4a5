"""Each user's service: whether it runs, its last execution and its errors."""

from datetime import datetime

from sqlalchemy import ForeignKey, bindparam, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Line, Moment, user_scoped


@user_scoped
class ServiceStatusRow(Base):
    """One row a user."""

    __tablename__ = "service_status"

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), unique=True)
    service_running: Mapped[bool] = mapped_column(server_default="false", index=True)
    last_heartbeat: Mapped[Moment | None]
    last_task_execution: Mapped[Moment | None]
    error_count: Mapped[int] = mapped_column(server_default="0")
    last_error: Mapped[Line | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


_RUNS = select(ServiceStatusRow.service_running).where(ServiceStatusRow.user_id == bindparam("user_id"))


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

    async def runs(self, user_id: int) -> bool:
        """Tell whether a user's service runs: the gate of every purchase. Read it after the account's lock."""
        return (await self.session.execute(_RUNS, {"user_id": user_id})).scalar_one()

    async def get(self, user_id: int) -> ServiceStatusRow:
        """Return a user's service."""
        query = select(ServiceStatusRow).where(ServiceStatusRow.user_id == user_id)
        return (await self.session.execute(query)).scalar_one()
