"""What users are told: rows of the transaction they tell of, delivered by executions of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.audit_logs import AuditLogRepository
from db.base import Base, Big, Created, Id, Label, Moment, Name, Note, Phrase, Ticker, Word, user_scoped
from db.preferences import DEFAULT_PREFERENCES, Preferences, PreferencesRow, check_changes

_NEWEST = 2**63 - 1  # no id is greater


@user_scoped
class NotificationRow(Base):
    """One thing a user is told. Written in the transaction of what it tells of; delivered by an execution of its own.

    event: the kind that preferences know. dedupe_key: equal for one thing seen twice, so that it is told once.
    in_app_delivered: it was shown as new; what was not stands on the user's page all the same. Machine time.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        CheckConstraint("type IN ('service', 'trading', 'system', 'error')", name="type"),
        CheckConstraint("level IN ('info', 'warning', 'error', 'critical')", name="level"),
        UniqueConstraint("user_id", "dedupe_key"),
        Index(None, "user_id", "read", "created_at"),
        Index(None, "user_id", "id"),
        Index(None, "read_at", postgresql_where="read"),
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
        if self.event == "system_error":
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
_DELIVER = text(
    "UPDATE notifications SET in_app_delivered = true WHERE user_id = :user_id AND id = :id AND NOT in_app_delivered "
    "RETURNING id"
)
_MINE = NotificationRow.user_id == bindparam("user_id")
_GET = select(NotificationRow).where(_MINE, NotificationRow.id == bindparam("id"))
_PAGE = (
    select(NotificationRow)
    .where(_MINE, NotificationRow.id < bindparam("before"))
    .order_by(NotificationRow.id.desc())
    .limit(bindparam("limit"))
)
_UNREAD = select(func.count()).where(_MINE, ~NotificationRow.read)
_READ = text(
    "UPDATE notifications SET read = true, read_at = now() WHERE user_id = :user_id AND NOT read AND id <= :until "
    "AND (CAST(:ids AS bigint[]) IS NULL OR id = ANY(CAST(:ids AS bigint[]))) RETURNING id"
)
_PREFERENCES = select(PreferencesRow).where(PreferencesRow.user_id == bindparam("user_id"))


class NotificationRepository:
    """Queries over notifications and over how users want to be told."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def tell(self, notices: Sequence[Notice], parent: int, queue: str, useful_seconds: float) -> None:
        """Store what was not told before, and queue its delivery. parent: the execution that tells."""
        columns = ("user_id", "type", "event", "level", "title", "message", "dedupe_key")
        values = {f"{name}s": [getattr(notice, name) for notice in notices] for name in columns}
        await self.session.execute(_TELL, values | {"parent": parent, "queue": queue, "useful_seconds": useful_seconds})

    async def get(self, user_id: int, notification_id: int) -> NotificationRow | None:
        """Return a notification, if it is there."""
        values = {"user_id": user_id, "id": notification_id}
        return (await self.session.execute(_GET, values)).scalar_one_or_none()

    async def deliver_in_app(self, user_id: int, notification_id: int) -> bool:
        """Show a notification in the app as new. Returns whether it was not yet."""
        values = {"user_id": user_id, "id": notification_id}
        return (await self.session.execute(_DELIVER, values)).scalar_one_or_none() is not None

    async def page(self, user_id: int, limit: int, before: int | None = None) -> list[NotificationRow]:
        """Return a user's notifications, newest first. before: the last id of the page before."""
        values = {"user_id": user_id, "limit": limit, "before": _NEWEST if before is None else before}
        return list((await self.session.execute(_PAGE, values)).scalars())

    async def unread(self, user_id: int) -> int:
        """Return how many notifications a user has not read."""
        return (await self.session.execute(_UNREAD, {"user_id": user_id})).scalar_one()

    async def mark_read(self, user_id: int, ids: Sequence[int] | None = None, until: int | None = None) -> int:
        """Mark notifications as read: those named, or all up to an id that was seen. Returns how many were not."""
        values = {"user_id": user_id, "ids": None if ids is None else list(ids)}
        rows = await self.session.execute(_READ, values | {"until": _NEWEST if until is None else until})
        return len(rows.all())

    async def preferences(self, user_id: int) -> Preferences:
        """Return how a user wants to be told, read anew each time; the defaults for who has said nothing."""
        row = (await self.session.execute(_PREFERENCES, {"user_id": user_id})).scalar_one_or_none()
        return DEFAULT_PREFERENCES if row is None else row.value()

    async def change_preferences(self, user_id: int, changes: Mapping[str, object], by: str) -> Preferences:
        """Change some preferences; the change is audited, a token never shown. Raises PreferenceError."""
        found = await self.session.execute(_PREFERENCES.with_for_update(), {"user_id": user_id})
        row = found.scalar_one_or_none()
        before = DEFAULT_PREFERENCES if row is None else row.value()
        values = check_changes(before, changes)
        differs = {name: value for name, value in values.items() if value != getattr(before, name)}
        if not differs:
            return before
        if row is None:
            self.session.add(row := PreferencesRow(user_id=user_id))
            await self.session.flush()
        await self.session.execute(
            update(PreferencesRow).where(PreferencesRow.user_id == user_id).values(**differs, updated_at=func.now())
        )
        told = {name: [_shown(name, getattr(before, name)), _shown(name, value)] for name, value in differs.items()}
        await AuditLogRepository(self.session).record(
            by, "update", "notification_preferences", row.id, user_id=user_id, changes=told
        )
        return replace(before, **differs)


def _shown(name: str, value: object) -> object:
    if value is None or isinstance(value, bool):
        return value
    return "set" if name == "telegram_bot_token" else str(value)
