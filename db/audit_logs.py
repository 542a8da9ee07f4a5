"""Who changed what: every act of a person, with what was before and after."""

from sqlalchemy import ForeignKey, Index, String
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
