"""Scheduler processes and when each was last seen, on the database's clock."""

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
