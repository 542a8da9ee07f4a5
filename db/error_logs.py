"""Errors of executions, with their whole traceback, until somebody resolves them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.audit_logs import AuditLogRepository
from db.base import Base, Big, Created, Id, Json, Line, Moment, Name, Note, Phrase, Prose, user_scoped


@user_scoped
class ErrorLogRow(Base):
    """One error. user_id is null for shared tasks. Machine time, but scheduled_for.

    config_version: the configuration the execution ran under. fingerprint: equal for repeats of one error.
    """

    __tablename__ = "error_logs"
    __table_args__ = (
        Index(None, "user_id", "occurred_at", "resolved"),
        Index(None, "error_type"),
        Index(None, "task_name", "id"),
        Index(None, "fingerprint", "occurred_at"),
        Index(None, "occurred_at", postgresql_where="NOT resolved"),
        Index(None, "resolved_at", postgresql_where="resolved"),
        Index(None, "context", postgresql_using="gin"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
    task_name: Mapped[Name | None]
    execution_id: Mapped[Big | None]
    scheduled_for: Mapped[Moment | None]
    config_version: Mapped[int | None]
    fingerprint: Mapped[Name | None]
    error_type: Mapped[Phrase]
    error_message: Mapped[Note]
    traceback: Mapped[Prose | None]
    context: Mapped[Json | None]
    resolved: Mapped[bool] = mapped_column(server_default="false")
    resolved_at: Mapped[Moment | None]
    resolved_by: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
    resolution_notes: Mapped[Line | None]
    occurred_at: Mapped[Created]


_SHORT = "id, user_id, task_name, execution_id, error_type, error_message, fingerprint, resolved, occurred_at"
_FILTERS = {
    "user_id": "user_id = :user_id",
    "task_name": "task_name = :task_name",
    "error_type": "error_type = :error_type",
    "fingerprint": "fingerprint = :fingerprint",
    "before": "id < :before",
}
_REPEATS = text(
    """
    SELECT coalesce(fingerprint, id::text) AS fingerprint, task_name, error_type, count(*) AS errors,
           count(DISTINCT user_id) AS users, min(occurred_at) AS first_at, max(occurred_at) AS last_at,
           max(id) AS newest_id, (array_agg(error_message ORDER BY id DESC))[1] AS error_message
    FROM error_logs
    WHERE NOT resolved AND occurred_at >= :since AND (CAST(:user_id AS bigint) IS NULL OR user_id = :user_id)
    GROUP BY 1, 2, 3 ORDER BY errors DESC, newest_id DESC LIMIT :limit
    """
)
# What of a configuration helps to understand an error; the whole of it stands under its version.
_EXCERPT = ("rsi_oversold", "user_capital", "max_portfolio_size", "ml_enabled")
_SHOW = text(
    f"""
    SELECT e.*, s.service_running, s.error_count, s.last_task_execution,
           jsonb_build_object({", ".join(f"'{name}', v.config -> '{name}'" for name in _EXCERPT)}) AS config
    FROM error_logs e
    LEFT JOIN service_status s ON s.user_id = e.user_id
    LEFT JOIN user_trading_config_versions v ON v.user_id = e.user_id AND v.version = e.config_version
    WHERE e.id = :id
    """
)
_ACTS = text(
    """
    SELECT a.timestamp, a.actor, a.action, a.resource_type, a.resource_id, a.changes FROM error_logs e
    CROSS JOIN LATERAL (SELECT * FROM audit_logs WHERE user_id = e.user_id AND timestamp <= e.occurred_at
                        ORDER BY timestamp DESC, id DESC LIMIT 5) a
    WHERE e.id = :id
    """
)
_RESOLVE = text(
    """
    UPDATE error_logs SET resolved = true, resolved_at = now(), resolved_by = :user_id, resolution_notes = :notes
    WHERE (id = ANY(CAST(:ids AS bigint[])) OR fingerprint = ANY(CAST(:fingerprints AS text[]))) AND NOT resolved
    RETURNING id
    """
)

Rows = Sequence[Mapping[str, Any]]


class ErrorLogRepository:
    """Queries over errors. What is shared, and errors of several users, need the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def newest(self, limit: int, *, unresolved: bool = False, **wanted: object) -> Rows:
        """Return errors without their tracebacks, newest first.

        wanted: user_id, task_name, error_type, fingerprint, before (the last id of the page before).
        """
        asked = {name: value for name, value in wanted.items() if value is not None}
        conditions = [*(_FILTERS[name] for name in asked), *(["NOT resolved"] if unresolved else [])]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        query = text(f"SELECT {_SHORT} FROM error_logs {where} ORDER BY id DESC LIMIT :limit")
        return [dict(row) for row in (await self.session.execute(query, {"limit": limit, **asked})).mappings()]

    async def repeats(self, since: datetime, limit: int, user_id: int | None = None) -> Rows:
        """Return the unresolved errors, one row for all repeats of one: how many, of how many users, the newest."""
        values = {"since": since, "limit": limit, "user_id": user_id}
        return [dict(row) for row in (await self.session.execute(_REPEATS, values)).mappings()]

    async def show(self, error_id: int) -> dict[str, Any] | None:
        """Return an error with what surrounded it: configuration excerpt, the user's service, the last acts before."""
        row = (await self.session.execute(_SHOW, {"id": error_id})).mappings().one_or_none()
        if row is None:
            return None
        acts = (await self.session.execute(_ACTS, {"id": error_id})).mappings()
        return {**row, "acts": [dict(act) for act in acts]}

    async def resolve(
        self,
        actor: str,
        notes: str,
        *,
        ids: Sequence[int] = (),
        fingerprints: Sequence[str] = (),
        user_id: int | None = None,
    ) -> list[int]:
        """Resolve errors, or all repeats of some, and audit it. Returns those that were not; there is no way back.

        user_id: of the actor, where the actor is a user.
        """
        values = {"ids": list(ids), "fingerprints": list(fingerprints), "notes": notes, "user_id": user_id}
        resolved = sorted((await self.session.execute(_RESOLVE, values)).scalars())
        if resolved:
            told = {"errors": resolved, "fingerprints": list(fingerprints), "notes": notes}
            await AuditLogRepository(self.session).record(actor, "resolve", "error", changes=told)
        return resolved
