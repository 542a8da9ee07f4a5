"""Reads an account's book at its broker and books what it tells; gives up what can no longer be sent."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.base import Failed
from db.accounts import AccountRepository
from db.executions import Execution, FollowUp, ServiceTaskRepository
from db.orders import OrderRepository
from trading.calendar import Calendar
from trading.orders import OrderEvent, OrderState
from trading.risk import DenyCode
from worker.outcome import Outcome, Retry, done
from worker.resources import Resources
from worker.steps.booking import Booking
from worker.steps.order_life import is_too_late, move, reconcile_of
from worker.steps.subject import owner

_UNSENT = frozenset({OrderState.PLANNED, OrderState.SENDING, OrderState.UNKNOWN})


async def order_sync(resources: Resources, execution: Execution) -> Outcome:
    """Bring orders, fills, positions and cash up to the broker's book. Raises Retry when it cannot be read."""
    user_id, account_id = owner(execution)
    now = execution.market_now
    async with resources.database.reading(user_id) as session:
        account = await AccountRepository(session).get(user_id, account_id)
        live = await OrderRepository(session, user_id, account_id).live()
    today = resources.calendar.exchange_day(now)
    since = min([today, *(order.session_day for order in live)])
    book = await resources.broker(account).book(user_id, account_id, since, now)
    if isinstance(book, Failed):
        raise Retry(f"the book of account {account_id} cannot be read: {book.reason}")
    if not live and not book.orders:
        return done(orders=0, fills=0, positions_opened=0, positions_closed=0)
    async with resources.database.transaction(user_id) as session:
        tasks = ServiceTaskRepository(session)
        await tasks.fence(execution)
        await AccountRepository(session).lock(user_id, account_id)
        booked = await Booking(session, user_id, account_id, now).take(book.orders)
        orders = OrderRepository(session, user_id, account_id)
        await tasks.follow_up(execution, await _give_up(session, orders, resources.calendar, now))
    return done(**booked.to_json())


async def _give_up(session: AsyncSession, orders: OrderRepository, calendar: Calendar, now: datetime) -> list[FollowUp]:
    """End what was never sent in its time, and have looked for what may have been.

    A submit that came too late to run leaves its order behind: this is who releases it, and the money held for it.
    """
    await session.flush()
    looks: list[FollowUp] = []
    for order in await orders.live(_UNSENT):
        if not is_too_late(calendar, order, now):
            continue
        if order.status == OrderState.PLANNED:
            order.reason = DenyCode.MARKET_CLOSED.value
            move(orders, order, OrderEvent.DENY, now, code=DenyCode.MARKET_CLOSED.value)
            continue
        if order.status == OrderState.SENDING:
            move(orders, order, OrderEvent.LOSE_SIGHT, now, reason="its time to be sent is over")
        looks.append(reconcile_of(order, now))
    return looks
