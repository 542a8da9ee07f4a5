"""Errors of executions, with their whole traceback, until somebody resolves them."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Line, Moment, Name, Note, Phrase, Prose, user_scoped


@user_scoped
class ErrorLogRow(Base):
    """One error. user_id is null for shared tasks.

    config_version: the configuration the execution ran under. fingerprint: equal for repeats of one error.
    """

    __tablename__ = "error_logs"
    __table_args__ = (
        Index(None, "user_id", "occurred_at", "resolved"),
        Index(None, "error_type"),
        Index(None, "fingerprint", "occurred_at"),
        Index(None, "occurred_at", postgresql_where="NOT resolved"),
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
