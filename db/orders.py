"""Orders and every step of their life. An order exists before any broker hears of it."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Computed,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Interval,
    String,
    UniqueConstraint,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import (
    Base,
    Big,
    Created,
    ExactPrice,
    Id,
    Json,
    Kept,
    Line,
    Moment,
    Name,
    Rupees,
    Ticker,
    Word,
    page_index,
    user_scoped,
)
from trading.orders import LIVE, FailureKind, OrderState

_LIVE_LIST = ", ".join(f"'{state}'" for state in sorted(LIVE))
_FAILURES = ", ".join(f"'{kind}'" for kind in sorted(FailureKind))
# A series is cut off; the hyphen of BAJAJ-AUTO stays.
_BASE_SYMBOL = "regexp_replace(symbol, '-(EQ|BE|BL|BZ)$', '')"
_STATES = ", ".join(f"'{state}'" for state in sorted(OrderState))


@user_scoped
class OrderRow(Base):
    """An approved order. `status` moves only by the state table of `trading.orders`.

    session_day: the session it is meant for. as_of: the slot whose data it was decided on. reserved: rupees it may
    still cost. change: what the broker was or will be asked to change it to. *_at columns are market time.
    execution_*: the names older exports know `avg_price`, `filled_quantity` and `filled_at` by. retry_of: the failed
    order this one tries again. position_id: what a sale or a re-entry belongs to. tag: what the venue knows it by; null
    for one that was imported and is over where no venue knows of it. execution_id: null, and config_version nought, for
    one that was imported. old_record: the record that an imported one came from.
    """

    __tablename__ = "orders"
    __table_args__ = (
        ForeignKeyConstraint(
            ["account_id", "user_id"], ["broker_accounts.id", "broker_accounts.user_id"], name="fk_orders_owner"
        ),
        CheckConstraint(f"status IN ({_STATES})", name="status"),
        CheckConstraint("side IN ('buy', 'sell')", name="side"),
        CheckConstraint("order_type IN ('market', 'limit')", name="order_type"),
        CheckConstraint("trade_mode IN ('paper', 'broker')", name="trade_mode"),
        CheckConstraint("entry_type IN ('initial', 'reentry', 'manual')", name="entry_type"),
        CheckConstraint(f"failure_kind IN ({_FAILURES})", name="failure_kind"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("filled_quantity BETWEEN 0 AND quantity", name="filled"),
        CheckConstraint(f"tag IS NOT NULL OR status NOT IN ({_LIVE_LIST})", name="tag"),
        UniqueConstraint("account_id", "intent_key"),
        Index(
            "uq_orders_broker_order_id", "account_id", "broker_order_id", unique=True,
            postgresql_where="broker_order_id IS NOT NULL",
        ),
        Index(
            "uq_orders_live_side", "account_id", "symbol", "side", unique=True,
            postgresql_where=f"status IN ({_LIVE_LIST})",
        ),
        Index("ix_orders_user_status_symbol_time", "user_id", "status", "symbol", "placed_at"),
        Index(None, "status", "last_status_check", postgresql_where=f"status IN ({_LIVE_LIST})"),
        Index("ix_orders_failed", "account_id", "retry_until", postgresql_where="status = 'failed'"),
        Index(None, "account_id", "tag", postgresql_where="tag IS NOT NULL"),
        Index(None, "order_id", "account_id", postgresql_where="order_id IS NOT NULL"),
        Index(None, "execution_id", postgresql_where="execution_id IS NOT NULL"),
        page_index("session_day"),
        Index(None, "user_id", "created_at"),
        # A batch that is taken back has each of its rows looked for in what refers to it.
        Index(None, "position_id", postgresql_where="position_id IS NOT NULL"),
        Index(None, "retry_of", postgresql_where="retry_of IS NOT NULL"),
        page_index("import_batch_id", "import_batch_id IS NOT NULL"),
    )  # fmt: skip

    id: Mapped[Id]
    user_id: Mapped[Big]
    account_id: Mapped[Big]
    execution_id: Mapped[Big | None]
    symbol: Mapped[Ticker]
    side: Mapped[Word]
    order_type: Mapped[Word]
    variety: Mapped[Word]
    exchange: Mapped[str] = mapped_column(String(8), server_default="NSE")
    product: Mapped[str] = mapped_column(String(8), server_default="CNC")
    validity: Mapped[str] = mapped_column(String(8), server_default="DAY")
    trade_mode: Mapped[Word | None]
    entry_type: Mapped[Ticker | None]
    orig_source: Mapped[Name] = mapped_column(server_default="signal")
    quantity: Mapped[int]
    price: Mapped[ExactPrice | None]
    status: Mapped[Word]
    intent_key: Mapped[str]
    tag: Mapped[Name | None]
    strategy: Mapped[Name]
    leg: Mapped[Name]
    rank: Mapped[int]
    reference_price: Mapped[ExactPrice]
    reserved: Mapped[Rupees] = mapped_column(server_default="0")
    attempt: Mapped[int] = mapped_column(server_default="1")
    as_of: Mapped[Moment]
    session_day: Mapped[date]
    order_id: Mapped[Name | None]
    base_symbol: Mapped[Ticker] = mapped_column(Computed(_BASE_SYMBOL, persisted=True))
    order_metadata: Mapped[Json | None] = mapped_column("metadata")
    broker_order_id: Mapped[Name | None]
    broker_word: Mapped[Name | None]
    filled_quantity: Mapped[int] = mapped_column(server_default="0")
    avg_price: Mapped[ExactPrice | None]
    execution_price: Mapped[ExactPrice | None] = mapped_column(Computed("avg_price", persisted=True))
    execution_qty: Mapped[int | None] = mapped_column(Computed("nullif(filled_quantity, 0)", persisted=True))
    execution_time: Mapped[Moment | None] = mapped_column(Computed("filled_at", persisted=True))
    change: Mapped[Json | None]
    reason: Mapped[Line | None]
    failure_kind: Mapped[Ticker | None]
    retry_of: Mapped[Big | None] = mapped_column(ForeignKey("orders.id"))
    retry_count: Mapped[int] = mapped_column(server_default="0")
    retry_until: Mapped[Moment | None]
    first_failed_at: Mapped[Moment | None]
    last_retry_attempt: Mapped[Moment | None]
    last_status_check: Mapped[Moment | None]
    position_id: Mapped[Big | None] = mapped_column(ForeignKey("positions.id"))
    config_version: Mapped[int]
    model_version: Mapped[Word | None]
    confidence: Mapped[float | None]
    import_batch_id: Mapped[Big | None]
    old_record: Mapped[Kept | None]
    placed_at: Mapped[Moment | None]
    filled_at: Mapped[Moment | None]
    closed_at: Mapped[Moment | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


@user_scoped
class OrderEventRow(Base):
    """One step in an order's life, with the broker's own words."""

    __tablename__ = "order_events"
    __table_args__ = (Index(None, "order_id", "id"), Index(None, "user_id"))

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    order_id: Mapped[Big] = mapped_column(ForeignKey("orders.id"))
    event: Mapped[Name]
    from_status: Mapped[Word | None]
    to_status: Mapped[Word]
    facts: Mapped[Json | None]
    at: Mapped[Moment]
    created_at: Mapped[Created]


# Built once: building a statement costs more than running it.
_MINE = (OrderRow.user_id == bindparam("user_id"), OrderRow.account_id == bindparam("account_id"))
_PLAN = insert(OrderRow).on_conflict_do_nothing().returning(OrderRow)
_READ = select(OrderRow).where(OrderRow.id == bindparam("order_id"), *_MINE)
_GET = _READ.with_for_update()
_LIVE = select(OrderRow).where(*_MINE, OrderRow.status.in_(bindparam("states", expanding=True))).order_by(OrderRow.id)
_BY_TAGS = select(OrderRow).where(*_MINE, OrderRow.tag.in_(bindparam("tags", expanding=True))).order_by(OrderRow.id)

_UNMOVED = (
    select(OrderEventRow.order_id)
    .where(
        OrderEventRow.user_id == bindparam("user_id"),
        OrderEventRow.order_id.in_(bindparam("order_ids", expanding=True)),
    )
    .group_by(OrderEventRow.order_id)
    .having(func.max(OrderEventRow.created_at) < func.now() - bindparam("age", type_=Interval))
)


_CHECKED = text(
    "UPDATE orders SET last_status_check = :at WHERE user_id = :user_id AND account_id = :account_id "
    "AND id = ANY(CAST(:order_ids AS bigint[]))"
)
_COUNTS = text(
    """
    SELECT side || ' ' || status AS what, count(*) AS orders FROM orders
    WHERE user_id = :user_id AND account_id = :account_id AND session_day = :day GROUP BY 1 ORDER BY 1
    """
)
_FAILED = (
    select(OrderRow)
    .where(*_MINE, OrderRow.status == OrderState.FAILED.value)
    .order_by(OrderRow.as_of.desc(), OrderRow.rank, OrderRow.id)
    .with_for_update()
)


class OrderRepository:
    """Queries over orders; account-scoped, and always by user too."""

    def __init__(self, session: AsyncSession, user_id: int, account_id: int) -> None:
        self.session, self.user_id, self.account_id = session, user_id, account_id
        self._mine = {"user_id": user_id, "account_id": account_id}

    async def plan(self, orders: Sequence[dict[str, Any]], at: datetime) -> list[OrderRow]:
        """Insert planned or failed orders; an intent that has one keeps it. Returns the new ones, in rank order."""
        if not orders:
            return []
        made = await self.session.execute(_PLAN, [{**self._mine, **order} for order in orders])
        planned = sorted(made.scalars(), key=lambda order: order.rank)
        for order in planned:
            self.note(order, order.status, None, at)
        return planned

    async def get(self, order_id: int) -> OrderRow:
        """Return an order, locked."""
        return (await self.session.execute(_GET, {"order_id": order_id, **self._mine})).scalar_one()

    async def read(self, order_id: int) -> OrderRow:
        """Return an order as it stood, for a look that changes nothing."""
        return (await self.session.execute(_READ, {"order_id": order_id, **self._mine})).scalar_one()

    async def live(self, states: Collection[OrderState] = LIVE) -> list[OrderRow]:
        """Return the orders in the given states, oldest first."""
        values = {"states": [str(state) for state in states], **self._mine}
        return list((await self.session.execute(_LIVE, values)).scalars())

    async def by_tags(self, tags: Collection[str]) -> list[OrderRow]:
        """Return the orders with the given tags."""
        return list((await self.session.execute(_BY_TAGS, {"tags": list(tags), **self._mine})).scalars())

    async def failed(self) -> list[OrderRow]:
        """Return the orders that may be tried again or given up, locked: the newest decision first, then by rank."""
        return list((await self.session.execute(_FAILED, self._mine)).scalars())

    async def checked(self, order_ids: Collection[int], at: datetime) -> None:
        """Record that the broker's book was just held against these orders. at: market time."""
        if order_ids:
            await self.session.execute(_CHECKED, {"order_ids": list(order_ids), "at": at, **self._mine})

    async def counts(self, day: date) -> dict[str, int]:
        """Return how many orders of a session there are by side and state, such as `buy filled`."""
        found = await self.session.execute(_COUNTS, {"day": day, **self._mine})
        return {row.what: row.orders for row in found}

    async def unmoved(self, order_ids: Collection[int], age: timedelta) -> set[int]:
        """Return which of the orders have taken no step for so long, of machine time."""
        values = {"user_id": self.user_id, "order_ids": list(order_ids), "age": age}
        return set((await self.session.execute(_UNMOVED, values)).scalars())

    def note(
        self, order: OrderRow, event: str, before: str | None, at: datetime, facts: dict[str, Any] | None = None
    ) -> None:
        """Add a step to an order's record. at: market time."""
        self.session.add(
            OrderEventRow(
                user_id=order.user_id,
                order_id=order.id,
                event=event,
                from_status=before,
                to_status=order.status,
                facts=facts,
                at=at,
            )
        )
