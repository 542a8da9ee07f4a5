"""Structured log lines of every process, kept for a month."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, text
from sqlalchemy import Sequence as DatabaseSequence
from sqlalchemy.ext.asyncio import AsyncSession
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


_STORE = text(
    """
    INSERT INTO service_logs (timestamp, user_id, level, module, message, task_name, execution_id, context)
    SELECT l.at, l.user_id, l.level, l.module, l.message, l.task, l.execution_id, CAST(l.context AS jsonb)
    FROM unnest(CAST(:at AS timestamptz[]), CAST(:user_id AS bigint[]), CAST(:level AS text[]),
                CAST(:module AS text[]), CAST(:message AS text[]), CAST(:task AS text[]),
                CAST(:execution_id AS bigint[]), CAST(:context AS text[]))
         AS l(at, user_id, level, module, message, task, execution_id, context)
    """
)

_FILTERS = {
    "user_id": "user_id = :user_id",
    "level": "level = :level",
    "module": "module = :module",
    "execution_id": "execution_id = :execution_id",
    "words": "message ILIKE '%' || :words || '%'",
    "until": "timestamp < :until",
}


class ServiceLogRepository:
    """Queries over log lines. Storing needs the system scope: a line may be of any user, or of none."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def store(self, lines: Sequence[Any]) -> None:
        """Insert lines, one statement for all. lines: with the attributes of `LogLine`."""
        columns = ("at", "user_id", "level", "module", "message", "task", "execution_id")
        values: dict[str, list[Any]] = {name: [getattr(line, name) for line in lines] for name in columns}
        values["context"] = [None if line.context is None else json.dumps(line.context) for line in lines]
        await self.session.execute(_STORE, values)

    async def newest(self, since: datetime, limit: int, **wanted: object) -> list[dict[str, Any]]:
        """Return the latest lines from a moment on. wanted: user_id, level, module, execution_id, words, until."""
        asked = {name: value for name, value in wanted.items() if value is not None}
        conditions = " AND ".join(["timestamp >= :since", *(_FILTERS[name] for name in asked)])
        query = text(f"SELECT * FROM service_logs WHERE {conditions} ORDER BY timestamp DESC, id DESC LIMIT :limit")
        rows = await self.session.execute(query, {"since": since, "limit": limit, **asked})
        return [dict(row) for row in rows.mappings()]
