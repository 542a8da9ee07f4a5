"""What users are told, and through which channels they want to hear it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Label, Moment, Name, Note, Phrase, Ticker, Word, user_scoped


@user_scoped
class PreferencesRow(Base):
    """One user's channels, quiet hours (exchange time) and the events that reach them."""

    __tablename__ = "user_notification_preferences"

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), unique=True)
    telegram_enabled: Mapped[bool] = mapped_column(server_default="false")
    telegram_chat_id: Mapped[Name | None]
    telegram_bot_token: Mapped[Phrase | None]
    email_enabled: Mapped[bool] = mapped_column(server_default="false")
    email_address: Mapped[Label | None]
    in_app_enabled: Mapped[bool] = mapped_column(server_default="true")
    notify_service_events: Mapped[bool] = mapped_column(server_default="true")
    notify_trading_events: Mapped[bool] = mapped_column(server_default="true")
    notify_system_events: Mapped[bool] = mapped_column(server_default="true")
    notify_errors: Mapped[bool] = mapped_column(server_default="true")
    quiet_hours_start: Mapped[time | None]
    quiet_hours_end: Mapped[time | None]
    notify_order_placed: Mapped[bool] = mapped_column(server_default="true")
    notify_order_rejected: Mapped[bool] = mapped_column(server_default="true")
    notify_order_executed: Mapped[bool] = mapped_column(server_default="true")
    notify_order_cancelled: Mapped[bool] = mapped_column(server_default="true")
    notify_order_modified: Mapped[bool] = mapped_column(server_default="true")
    notify_retry_queue_added: Mapped[bool] = mapped_column(server_default="true")
    notify_retry_queue_updated: Mapped[bool] = mapped_column(server_default="true")
    notify_retry_queue_removed: Mapped[bool] = mapped_column(server_default="true")
    notify_retry_queue_retried: Mapped[bool] = mapped_column(server_default="true")
    notify_partial_fill: Mapped[bool] = mapped_column(server_default="true")
    notify_balance_shortfall: Mapped[bool] = mapped_column(server_default="true")
    notify_system_errors: Mapped[bool] = mapped_column(server_default="true")
    notify_system_warnings: Mapped[bool] = mapped_column(server_default="false")
    notify_system_info: Mapped[bool] = mapped_column(server_default="false")
    notify_service_started: Mapped[bool] = mapped_column(server_default="false")
    notify_service_stopped: Mapped[bool] = mapped_column(server_default="false")
    notify_service_execution_completed: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


@user_scoped
class NotificationRow(Base):
    """One thing a user is told. Written in the transaction of what it tells of; delivered by an execution of its own.

    event: the kind that preferences know. dedupe_key: equal for one thing seen twice, so that it is told once.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        CheckConstraint("type IN ('service', 'trading', 'system', 'error')", name="type"),
        CheckConstraint("level IN ('info', 'warning', 'error', 'critical')", name="level"),
        UniqueConstraint("user_id", "dedupe_key"),
        Index(None, "user_id", "read", "created_at"),
        Index(None, "type"),
        Index(None, "created_at"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    type: Mapped[Ticker]
    event: Mapped[Name]
    level: Mapped[Word]
    title: Mapped[Label]
    message: Mapped[Note]
    dedupe_key: Mapped[Phrase]
    read: Mapped[bool] = mapped_column(server_default="false")
    read_at: Mapped[Moment | None]
    telegram_sent: Mapped[bool] = mapped_column(server_default="false")
    email_sent: Mapped[bool] = mapped_column(server_default="false")
    in_app_delivered: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class Notice:
    """What a user is to be told. event: the kind that preferences know. dedupe_key: equal for one thing seen twice."""

    user_id: int
    event: str
    level: str
    title: str
    message: str
    dedupe_key: str

    @property
    def type(self) -> str:
        """The kind of events it belongs to."""
        if self.event == "system_errors":
            return "error"
        head = self.event.partition("_")[0]
        return head if head in ("service", "system") else "trading"


# Each new notification brings the execution that delivers it. One that was told before brings nothing.
_TELL = text(
    """
    WITH told AS (
        INSERT INTO notifications (user_id, type, event, level, title, message, dedupe_key)
        SELECT * FROM unnest(CAST(:user_ids AS bigint[]), CAST(:types AS text[]), CAST(:events AS text[]),
                             CAST(:levels AS text[]), CAST(:titles AS text[]), CAST(:messages AS text[]),
                             CAST(:dedupe_keys AS text[]))
        ON CONFLICT (user_id, dedupe_key) DO NOTHING
        RETURNING id, user_id)
    INSERT INTO service_task_execution
        (scheduled_for, task_name, user_id, subject, queue, status, useful_until, as_of, parent_id)
    SELECT market_now(), 'notify', told.user_id, told.id::text, :queue, 'queued',
           market_now() + make_interval(secs => :useful_seconds), market_now(), :parent
    FROM told
    """
)


class NotificationRepository:
    """Queries over notifications."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def tell(self, notices: Sequence[Notice], parent: int, queue: str, useful_seconds: float) -> None:
        """Store what was not told before, and queue its delivery. parent: the execution that tells."""
        columns = ("user_id", "type", "event", "level", "title", "message", "dedupe_key")
        values = {f"{name}s": [getattr(notice, name) for notice in notices] for name in columns}
        await self.session.execute(_TELL, values | {"parent": parent, "queue": queue, "useful_seconds": useful_seconds})
