"""What each user made of the shared signals: bought, refused, failed for want of money, or let go."""

from collections.abc import Mapping
from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Ticker, Word, user_scoped
from trading.values import Symbol


@user_scoped
class UserSignalStatusRow(Base):
    """What one user made of a shared signal: nobody sees another's."""

    __tablename__ = "user_signal_status"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'expired', 'traded', 'rejected', 'failed')", name="status"),
        UniqueConstraint("user_id", "signal_id"),
        Index(None, "signal_id"),
        Index(None, "user_id", "symbol", "updated_at"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    signal_id: Mapped[Big] = mapped_column(ForeignKey("signals.id"))
    symbol: Mapped[Ticker]
    status: Mapped[Word]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


_REJECTED = text(
    """
    SELECT s.symbol FROM signals s JOIN user_signal_status u ON u.signal_id = s.id
    WHERE s.strategy = :strategy AND s.parameter_hash = :parameter_hash AND s.day = :day
      AND u.user_id = :user_id AND u.status = 'rejected'
    """
)
# A user's own no stays, whatever an account did before or after it.
_MARK = text(
    """
    INSERT INTO user_signal_status (user_id, signal_id, symbol, status)
    SELECT :user_id, s.id, s.symbol, m.status
    FROM unnest(CAST(:symbols AS text[]), CAST(:statuses AS text[])) AS m(symbol, status)
    JOIN signals s ON s.symbol = m.symbol
     AND s.strategy = :strategy AND s.parameter_hash = :parameter_hash AND s.day = :day
    ON CONFLICT (user_id, signal_id) DO UPDATE SET status = excluded.status, updated_at = now()
    WHERE user_signal_status.status NOT IN ('rejected', 'traded')
    """
)
_EXPIRE = text(
    """
    UPDATE user_signal_status u SET status = 'expired', updated_at = now() FROM signals s
    WHERE u.user_id = :user_id AND u.signal_id = s.id AND s.day < :day AND u.status IN ('active', 'failed')
    """
)


class UserSignalRepository:
    """Queries over what one user made of signals."""

    def __init__(self, session: AsyncSession, user_id: int) -> None:
        self.session, self.user_id = session, user_id

    async def rejected(self, strategy: str, parameter_hash: str, day: date) -> set[Symbol]:
        """Return the symbols of a day's signals that the user refused."""
        values = {"user_id": self.user_id, "strategy": strategy, "parameter_hash": parameter_hash, "day": day}
        return {Symbol(symbol) for symbol in (await self.session.execute(_REJECTED, values)).scalars()}

    async def mark(self, strategy: str, parameter_hash: str, day: date, states: Mapping[Symbol, str]) -> None:
        """Record what became of a day's signals. One that was traded for any account, or refused, stays so."""
        if not states:
            return
        values = {"user_id": self.user_id, "strategy": strategy, "parameter_hash": parameter_hash, "day": day}
        marked = {"symbols": list(states), "statuses": list(states.values())}
        await self.session.execute(_MARK, values | marked)

    async def expire(self, day: date) -> None:
        """Let go what was still open of signals older than a day."""
        await self.session.execute(_EXPIRE, {"user_id": self.user_id, "day": day})
