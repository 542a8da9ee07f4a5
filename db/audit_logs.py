"""Who changed what: every act of a person, with what was before and after."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ForeignKey, Index, String, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Line, Name, Ticker, user_scoped


@user_scoped
class AuditLogRow(Base):
    """One act. user_id: whose things were changed, null for what is shared. actor: who did it."""

    __tablename__ = "audit_logs"
    __table_args__ = (
        Index(None, "user_id", "timestamp", "resource_type"),
        Index(None, "resource_type", "resource_id"),
        Index(None, "action"),
        Index(None, "timestamp"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
    actor: Mapped[Name]
    action: Mapped[Ticker]
    resource_type: Mapped[Name]
    resource_id: Mapped[Big | None]
    changes: Mapped[Json | None]
    ip_address: Mapped[str | None] = mapped_column(String(45))
    user_agent: Mapped[Line | None]
    timestamp: Mapped[Created]


class AuditLogRepository:
    """Queries over the audit log. What is shared needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def record(
        self,
        actor: str,
        action: str,
        resource_type: str,
        resource_id: int | None = None,
        *,
        user_id: int | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        """Record an act in the transaction that does it. changes: JSON values, per field before and after."""
        self.session.add(
            AuditLogRow(
                user_id=user_id,
                actor=actor,
                action=action,
                resource_type=resource_type,
                resource_id=resource_id,
                changes=dict(changes) if changes is not None else None,
            )
        )
        await self.session.flush()

    async def newest(self, limit: int, user_id: int | None = None) -> list[AuditLogRow]:
        """Return the latest acts, of one user's things or of everybody's."""
        query = select(AuditLogRow).order_by(AuditLogRow.timestamp.desc(), AuditLogRow.id.desc()).limit(limit)
        if user_id is not None:
            query = query.where(AuditLogRow.user_id == user_id)
        return list((await self.session.execute(query)).scalars())
