"""What happened lately, in one line each: the feed of a user's page."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Name, user_scoped

_NEWEST = 2**63 - 1  # no id is greater


@user_scoped
class ActivityRow(Base):
    """One event. It outlives the user it was about. ts: when it happened, of orders and positions market time."""

    __tablename__ = "activity"
    __table_args__ = (Index(None, "user_id", "ts"), Index(None, "user_id", "id"), Index(None, "type", "ref_id"))

    id: Mapped[Id]
    user_id: Mapped[Big | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    type: Mapped[Name]
    ref_id: Mapped[Name | None]
    details_json: Mapped[Json | None]
    ts: Mapped[Created]


_RECORD_DAY = text(
    """
    INSERT INTO activity (user_id, type, ref_id, details_json, ts)
    SELECT :user_id, e.type, e.ref_id, e.details, e.ts FROM (
        SELECT 'order_filled' AS type, o.id::text AS ref_id, f.ts,
               jsonb_build_object('account_id', o.account_id, 'symbol', o.symbol, 'side', o.side,
                                  'quantity', o.filled_quantity, 'price', o.avg_price) AS details
        FROM (SELECT order_id, max(filled_at) AS ts FROM fills
              WHERE user_id = :user_id AND account_id = :account_id AND filled_at >= :first AND filled_at < :end
              GROUP BY order_id) f
        JOIN orders o ON o.id = f.order_id AND o.user_id = :user_id WHERE o.status = 'filled'
        UNION ALL
        SELECT 'position_closed', p.id::text, p.closed_at,
               jsonb_build_object('account_id', p.account_id, 'symbol', p.symbol, 'realized_pnl', p.realized_pnl,
                                  'realized_pnl_pct', p.realized_pnl_pct, 'exit_reason', p.exit_reason)
        FROM positions p
        WHERE p.user_id = :user_id AND p.account_id = :account_id AND p.closed_at >= :first AND p.closed_at < :end) e
    WHERE NOT EXISTS (
        SELECT FROM activity a WHERE a.type = e.type AND a.ref_id = e.ref_id AND a.user_id = :user_id)
    ORDER BY e.ts, e.type, e.ref_id
    """
)
_PAGE = (
    select(ActivityRow)
    .where(ActivityRow.user_id == bindparam("user_id"), ActivityRow.id < bindparam("before"))
    .order_by(ActivityRow.id.desc())
    .limit(bindparam("limit"))
)


class ActivityRepository:
    """Queries over the feed."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def record_day(self, user_id: int, account_id: int, first: datetime, end: datetime) -> None:
        """Add an account's filled orders and closed positions of a span, end excluded, each once.

        Call it under the account's lock.
        """
        span = {"user_id": user_id, "account_id": account_id, "first": first, "end": end}
        await self.session.execute(_RECORD_DAY, span)

    async def page(self, user_id: int, limit: int, before: int | None = None) -> list[ActivityRow]:
        """Return a user's feed, newest first. before: the last id of the page before."""
        values = {"user_id": user_id, "limit": limit, "before": _NEWEST if before is None else before}
        return list((await self.session.execute(_PAGE, values)).scalars())
