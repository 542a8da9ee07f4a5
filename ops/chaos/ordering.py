"""Orders in the suite: a step that plans one as a buying step does, and a broker that notes what it is asked to place.

The step that sends them is the product's own.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.base import Broker, Change, Complete, Failed, Placement, PlaceOutcome
from db.accounts import AccountRepository, AccountRow
from db.executions import Execution
from db.halts import HaltRepository
from db.orders import OrderRepository
from db.transaction import Database
from trading.calendar import ist
from trading.halts import Stops
from worker.resources import Resources

# After-market orders are taken for the next session at that time, on every session day.
EVENING = time(20)
_SENT = text("INSERT INTO chaos_sends (order_id) SELECT id FROM orders WHERE account_id = :account_id AND tag = :tag")


async def plan_order(session: AsyncSession, resources: Resources, execution: Execution, number: int) -> None:
    """Plan an after-market buy and its submit, unless a halt stops entries: in one transaction, as `buy_orders` does.

    number: of the order in its case.
    """
    user_id = execution.user_id or 0
    await HaltRepository(session).share()
    [account_id] = (
        await session.execute(text("SELECT min(id) FROM broker_accounts WHERE user_id = :id"), {"id": user_id})
    ).scalars()
    await AccountRepository(session).lock(user_id, account_id)
    symbol = f"CHAOS{number}"
    halts = (await HaltRepository(session).stops(user_id, account_id)).of(frozenset({"buy_orders"}), "dip")
    if halts.stopping(Stops.ENTRIES, symbol) is not None:
        return
    now: datetime = (await session.execute(text("SELECT market_now()"))).scalar_one()
    orders = OrderRepository(session, user_id, account_id)
    [order] = await orders.plan([_order(resources, execution, symbol, now)], now)
    values = {"at": now, "user_id": user_id, "account_id": account_id, "subject": f"{order.id}:1", "id": execution.id}
    await session.execute(_FOLLOW_UP, values)


# Like `ServiceTaskRepository.follow_up`; the maker here is an execution without an account.
_FOLLOW_UP = text(
    "INSERT INTO service_task_execution (scheduled_for, task_name, user_id, account_id, subject, queue, status, as_of) "
    "SELECT :at, 'submit', :user_id, :account_id, :subject, 'orders', 'queued', :at"
)


def _order(resources: Resources, execution: Execution, symbol: str, now: datetime) -> dict[str, object]:
    day = resources.calendar.exchange_day(now)
    return {
        "execution_id": execution.id,
        "symbol": symbol,
        "side": "buy",
        "order_type": "market",
        "variety": "amo",
        "quantity": 1,
        "price": None,
        "status": "planned",
        "intent_key": f"dip:{day}:{symbol}:buy:entry",
        "tag": symbol,
        "strategy": "dip",
        "leg": "entry",
        "rank": 1,
        "reference_price": Decimal(100),
        "reserved": Decimal(110),
        "as_of": now,
        "session_day": resources.calendar.next_session(day).day,
        "config_version": 1,
    }


@dataclass(frozen=True, slots=True)
class NotingBroker:
    """A venue's broker that commits a note of every order before it is placed."""

    broker: Broker
    database: Database

    @property
    def capabilities(self) -> object:
        """Return the venue's."""
        return self.broker.capabilities

    async def place(self, user_id: int, account_id: int, placement: Placement, at: datetime) -> PlaceOutcome:
        """Note it and send it."""
        async with self.database.transaction(None) as session:
            await session.execute(_SENT, {"account_id": account_id, "tag": placement.tag})
        return await self.broker.place(user_id, account_id, placement, at)

    async def change(self, user_id: int, account_id: int, tag: str, change: Change, at: datetime) -> PlaceOutcome:
        """Pass it on."""
        return await self.broker.change(user_id, account_id, tag, change, at)

    async def cancel(self, user_id: int, account_id: int, tag: str, at: datetime) -> PlaceOutcome:
        """Pass it on."""
        return await self.broker.cancel(user_id, account_id, tag, at)

    async def book(self, user_id: int, account_id: int, since: date, at: datetime) -> Complete | Failed:
        """Pass it on."""
        return await self.broker.book(user_id, account_id, since, at)


def note_orders() -> None:
    """Let every broker of this process note what it is asked to place."""
    of_venue = Resources.broker

    def noting(resources: Resources, account: AccountRow) -> Broker:
        return NotingBroker(of_venue(resources, account), resources.database)  # type: ignore[return-value]

    Resources.broker = noting  # type: ignore[method-assign,assignment]


def evening_of(days: list[date], today: date) -> datetime:
    """Return the evening of the latest session, up to today, after which another one is known."""
    return ist(max(day for day in days[:-1] if day <= max(today, days[0])), EVENING)
