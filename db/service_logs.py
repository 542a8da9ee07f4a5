"""Structured log lines of every process, kept for a month."""

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint
from sqlalchemy import Sequence as DatabaseSequence
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Json, Moment, Name, Note, Phrase, Word, user_scoped

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

LOG_IDS = DatabaseSequence("service_logs_id_seq", metadata=Base.metadata)


@user_scoped
class ServiceLogRow(Base):
    """One line. Partitioned by week of `timestamp`. user_id is null for what is nobody's; machine time."""

    __tablename__ = "service_logs"
    __table_args__ = (
        PrimaryKeyConstraint("timestamp", "id"),
        CheckConstraint("level IN " + str(LEVELS), name="level"),
        Index(None, "user_id", "timestamp", "level"),
        Index(None, "execution_id"),
        Index(None, "timestamp", postgresql_where="level IN ('WARNING', 'ERROR', 'CRITICAL')"),
        {"postgresql_partition_by": "RANGE (timestamp)"},
    )

    timestamp: Mapped[Moment]
    id: Mapped[Big] = mapped_column(server_default=LOG_IDS.next_value())
    user_id: Mapped[Big | None]
    level: Mapped[Word]
    module: Mapped[Phrase]
    message: Mapped[Note]
    task_name: Mapped[Name | None]
    execution_id: Mapped[Big | None]
    context: Mapped[Json | None]
