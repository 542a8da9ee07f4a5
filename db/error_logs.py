"""Errors of executions, with their whole traceback, until somebody resolves them."""

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Line, Moment, Name, Prose, user_scoped


@user_scoped
class ErrorLogRow(Base):
    """One error. user_id is null for shared tasks."""

    __tablename__ = "error_logs"
    __table_args__ = (Index(None, "user_id", "occurred_at", "resolved"), Index(None, "error_type"))

    id: Mapped[Id]
    user_id: Mapped[Big | None]
    task_name: Mapped[Name | None]
    execution_id: Mapped[Big | None]
    scheduled_for: Mapped[Moment | None]
    error_type: Mapped[str] = mapped_column(String(128))
    error_message: Mapped[str] = mapped_column(String(1024))
    traceback: Mapped[Prose | None]
    context: Mapped[Json | None]
    resolved: Mapped[bool] = mapped_column(server_default="false")
    resolved_at: Mapped[Moment | None]
    resolved_by: Mapped[Big | None]
    resolution_notes: Mapped[Line | None]
    occurred_at: Mapped[Created]
