"""Scheduler processes and when each was last seen, on the database's clock."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Created, Moment


class SchedulerRow(Base):
    """A scheduler process. Any number may run; what is due is claimed row by row."""

    __tablename__ = "scheduler_processes"

    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[Created]
    seen_at: Mapped[Created]
    stopped_at: Mapped[Moment | None]


_BEAT = text(
    "INSERT INTO scheduler_processes (name, host, pid) VALUES (:name, :host, :pid) "
    "ON CONFLICT (name) DO UPDATE SET seen_at = now(), stopped_at = NULL"
)
_STOP = text("UPDATE scheduler_processes SET stopped_at = now() WHERE name = :name")


class SchedulerRepository:
    """Queries over scheduler processes."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def beat(self, name: str, host: str, pid: int) -> None:
        """Say that a scheduler is alive, by the database's clock."""
        await self.session.execute(_BEAT, {"name": name, "host": host, "pid": pid})

    async def stop(self, name: str) -> None:
        """Say that a scheduler ended by itself."""
        await self.session.execute(_STOP, {"name": name})
