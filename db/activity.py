"""What happened lately, in one line each: the feed of a user's page."""

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Name, user_scoped


@user_scoped
class ActivityRow(Base):
    """One event. It outlives the user it was about."""

    __tablename__ = "activity"
    __table_args__ = (Index(None, "user_id", "ts"), Index(None, "type", "ref_id"))

    id: Mapped[Id]
    user_id: Mapped[Big | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    type: Mapped[Name]
    ref_id: Mapped[Name | None]
    details_json: Mapped[Json | None]
    ts: Mapped[Created]
