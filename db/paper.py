"""The paper venue's own book, as rows: what a real broker would keep on its side."""

from datetime import date

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, bindparam, case, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, ExactPrice, Id, Line, Moment, Name, Rupees, Ticker, Word, user_scoped


@user_scoped
class PaperBookRow(Base):
    """One account at the paper venue: its money there. Locked while the book is matched."""

    __tablename__ = "paper_books"

    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"), primary_key=True)
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), index=True)
    cash: Mapped[Rupees]


@user_scoped
class PaperOrderRow(Base):
    """An order as the paper venue knows it. The tag is unique: a repeated placement finds the first."""

    __tablename__ = "paper_orders"
    __table_args__ = (
        CheckConstraint("word IN ('parked', 'open', 'complete', 'cancelled', 'rejected', 'expired')", name="word"),
        UniqueConstraint("account_id", "tag"),
        Index("ix_paper_orders_resting", "account_id", postgresql_where="word IN ('parked', 'open')"),
        Index(None, "user_id"),
        Index(None, "account_id", "session_day"),
        Index(None, "import_batch_id", postgresql_where="import_batch_id IS NOT NULL"),
    )

    id: Mapped[Id]
    account_id: Mapped[Big] = mapped_column(ForeignKey("paper_books.account_id"))
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    tag: Mapped[Name]
    symbol: Mapped[Ticker]
    side: Mapped[Word]
    order_type: Mapped[Word]
    limit_price: Mapped[ExactPrice | None]
    quantity: Mapped[int]
    word: Mapped[Word]
    session_day: Mapped[date]
    placed_at: Mapped[Moment]
    filled_quantity: Mapped[int] = mapped_column(server_default="0")
    fill_price: Mapped[ExactPrice | None]
    filled_at: Mapped[Moment | None]
    reason: Mapped[Line | None]
    import_batch_id: Mapped[Big | None]
    created_at: Mapped[Created]

    @property
    def broker_order_id(self) -> str:
        """The id the venue gives out."""
        return f"P{self.tag}"


_ACCOUNT = PaperOrderRow.account_id == bindparam("account_id")
_LOCK = select(PaperBookRow).where(PaperBookRow.account_id == bindparam("account_id")).with_for_update()
_RESTING = (
    select(PaperOrderRow)
    .where(_ACCOUNT, PaperOrderRow.word.in_(("parked", "open")))
    .order_by(PaperOrderRow.session_day, PaperOrderRow.symbol, PaperOrderRow.tag)
)
_BY_TAG = select(PaperOrderRow).where(_ACCOUNT, PaperOrderRow.tag == bindparam("tag"))
_BOOK = select(PaperOrderRow).where(_ACCOUNT, PaperOrderRow.session_day >= bindparam("since"))


class PaperRepository:
    """Queries over the paper venue's book."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def lock(self, account_id: int) -> PaperBookRow:
        """Return an account's book, locked: the venue handles one request of an account at a time."""
        return (await self.session.execute(_LOCK, {"account_id": account_id})).scalar_one()

    async def resting(self, account_id: int) -> list[PaperOrderRow]:
        """Return the orders that may still fill, in the venue's priority: older first, then by symbol."""
        return list((await self.session.execute(_RESTING, {"account_id": account_id})).scalars())

    async def by_tag(self, account_id: int, tag: str) -> PaperOrderRow | None:
        """Return the order placed under a tag, if the venue has it."""
        return (await self.session.execute(_BY_TAG, {"account_id": account_id, "tag": tag})).scalar_one_or_none()

    async def book(self, account_id: int, since: date) -> list[PaperOrderRow]:
        """Return every order of an account for sessions from a day on."""
        return list((await self.session.execute(_BOOK, {"account_id": account_id, "since": since})).scalars())

    async def free_shares(self, account_id: int, symbol: str) -> int:
        """Return the shares of a symbol that may still be sold: bought, less sold, less on offer in resting sales."""
        row = PaperOrderRow
        offered = case((row.word.in_(("parked", "open")), row.quantity), else_=row.filled_quantity)
        shares = case((row.side == "buy", row.filled_quantity), else_=-offered)
        query = select(func.coalesce(func.sum(shares), 0)).where(row.account_id == account_id, row.symbol == symbol)
        return int((await self.session.execute(query)).scalar_one())

    def add(self, order: PaperOrderRow) -> None:
        """Put a new order on the book."""
        self.session.add(order)
