"""Broker accounts: one user's account at one broker, its cash, and the lock that every gate is judged under."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Moment, Name, Rupees, Word, user_scoped
from db.paper import PaperBookRow
from trading.values import Money


@user_scoped
class AccountRow(Base):
    """An account. `cash` is the sum of its cash entries; what live orders reserve is still in it."""

    __tablename__ = "broker_accounts"
    __table_args__ = (
        CheckConstraint("mode IN ('paper', 'broker')", name="mode"),
        CheckConstraint("status IN ('active', 'blocked')", name="status"),
        UniqueConstraint("user_id", "name"),
        # What orders, fills and positions point at: an account together with the user it belongs to.
        UniqueConstraint("id", "user_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[Name]
    mode: Mapped[Word]
    venue: Mapped[Word]
    status: Mapped[Word] = mapped_column(server_default="active")
    cash: Mapped[Rupees] = mapped_column(server_default="0")
    credentials_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    egress: Mapped[str | None]
    created_at: Mapped[Created]


@user_scoped
class CashEntryRow(Base):
    """One movement of an account's cash; unique per reference, so booking twice is nothing."""

    __tablename__ = "cash_entries"
    __table_args__ = (
        CheckConstraint("kind IN ('deposit', 'buy', 'sell', 'charges')", name="kind"),
        UniqueConstraint("account_id", "kind", "reference"),
        Index(None, "user_id"),
        Index(None, "import_batch_id", postgresql_where="import_batch_id IS NOT NULL"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"))
    kind: Mapped[Word]
    amount: Mapped[Rupees]
    reference: Mapped[str]
    at: Mapped[Moment]
    import_batch_id: Mapped[Big | None] = mapped_column(ForeignKey("import_batches.id"))
    created_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class CashMovement:
    """An amount (negative leaves the account) with the reference that makes it unique."""

    kind: str
    amount: Money
    reference: str


_BOOK = text(
    """
    WITH booked AS (
        INSERT INTO cash_entries (user_id, account_id, kind, amount, reference, at)
        SELECT :user_id, :account_id, m.kind, m.amount, m.reference, :at
        FROM unnest(CAST(:kinds AS text[]), CAST(:amounts AS numeric[]), CAST(:refs AS text[]))
             AS m(kind, amount, reference)
        ON CONFLICT (account_id, kind, reference) DO NOTHING
        RETURNING amount)
    UPDATE broker_accounts SET cash = cash + (SELECT coalesce(sum(amount), 0) FROM booked)
    WHERE id = :account_id AND user_id = :user_id
    """
)


_GET = select(AccountRow).where(AccountRow.id == bindparam("account_id"), AccountRow.user_id == bindparam("user_id"))
_LOCK = _GET.with_for_update()


class AccountRepository:
    """Queries over accounts and their cash."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def open(self, account: AccountRow, capital: Money, at: datetime) -> int:
        """Insert an account with its first deposit; a paper account gets its venue's book too."""
        self.session.add(account)
        await self.session.flush()
        if account.venue == "paper":
            self.session.add(PaperBookRow(account_id=account.id, user_id=account.user_id, cash=capital))
        await self.book(account.user_id, account.id, at, [CashMovement("deposit", capital, "opening")])
        return account.id

    async def lock(self, user_id: int, account_id: int) -> AccountRow:
        """Return the account, locked until the transaction ends, so that two can never pass one limit."""
        return (await self.session.execute(_LOCK, {"user_id": user_id, "account_id": account_id})).scalar_one()

    async def get(self, user_id: int, account_id: int) -> AccountRow:
        """Return the account."""
        return (await self.session.execute(_GET, {"user_id": user_id, "account_id": account_id})).scalar_one()

    async def find(self, account_id: int) -> AccountRow | None:
        """Return an account by its id alone, locked, if it is there. Needs the system scope."""
        query = select(AccountRow).where(AccountRow.id == account_id).with_for_update()
        return (await self.session.execute(query)).scalar_one_or_none()

    async def book(self, user_id: int, account_id: int, at: datetime, movements: list[CashMovement]) -> None:
        """Add cash movements, each once, and the account's balance with them. at: market time."""
        await self.session.execute(
            _BOOK,
            {
                "user_id": user_id,
                "account_id": account_id,
                "at": at,
                "kinds": [movement.kind for movement in movements],
                "amounts": [movement.amount for movement in movements],
                "refs": [movement.reference for movement in movements],
            },
        )
