"""Finds out what became of an order whose fate is unknown: by looking at the broker's book, never by trying again.

Only where the venue takes a tag once may an order that the whole book does not hold be sent again.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from structlog.contextvars import bind_contextvars

from adapters.brokers.base import BookOrder, Capabilities, Failed
from db.accounts import AccountRepository
from db.executions import Execution, ServiceTaskRepository
from db.orders import OrderRepository, OrderRow
from trading.orders import OrderEvent, OrderState, reported
from worker.outcome import Outcome, Retry, done, skipped
from worker.resources import Resources
from worker.steps.order_life import move, second_reconcile_of, settle, submit_of, sync_soon
from worker.steps.subject import SECOND_LOOK, OrderSubject, owner

# A placement that fails whatever is tried would else be sent, lost and sent again until its time is over.
MOST_ATTEMPTS = 10


async def reconcile(resources: Resources, execution: Execution) -> Outcome:
    """Resolve one order in `unknown`. Raises Retry when the book cannot be read: that says nothing about the order."""
    user_id, account_id = owner(execution)
    subject = OrderSubject.of(execution)
    async with resources.database.reading(user_id) as session:
        account = await AccountRepository(session).get(user_id, account_id)
        order = await OrderRepository(session, user_id, account_id).read(subject.order_id)
        now = execution.market_now
    bind_contextvars(order_id=order.id, symbol=order.symbol)
    if reason := _settled(order, subject):
        return skipped(reason, order=order.id)
    broker = resources.broker(account)
    book = await broker.book(user_id, account_id, order.session_day, now)
    if isinstance(book, Failed):
        raise Retry(f"the book of account {account_id} cannot be read: {book.reason}")
    found = next((one for one in book.orders if one.tag == order.tag), None)
    async with resources.database.transaction(user_id) as session:
        await ServiceTaskRepository(session).fence(execution)
        await AccountRepository(session).lock(user_id, account_id)
        orders = OrderRepository(session, user_id, account_id)
        order = await orders.get(subject.order_id)
        if reason := _settled(order, subject):
            return skipped(reason, order=order.id)
        if found is not None:
            await _found(session, execution, order, found, now)
        else:
            await _missed(resources, session, execution, order, broker.capabilities, now)
        return done(order=order.id, state=order.status, found=found is not None)


def _settled(order: OrderRow, subject: OrderSubject) -> str | None:
    if order.status != OrderState.UNKNOWN:
        return f"the order is {order.status}"
    if order.attempt != subject.attempt:
        return f"attempt {subject.attempt} was followed by {order.attempt}"
    return None


async def _found(session: AsyncSession, execution: Execution, order: OrderRow, found: BookOrder, now: datetime) -> None:
    """Take the order as accepted, as its submit would have; what the book says further is the sync's to book."""
    orders, tasks = OrderRepository(session, order.user_id, order.account_id), ServiceTaskRepository(session)
    order.broker_order_id, order.placed_at = found.broker_order_id, order.placed_at or now
    state = reported(OrderState.UNKNOWN, OrderState.ACKED, 0, order.quantity)
    settle(orders, order, state, "found", now, {"broker_order_id": found.broker_order_id, "word": found.word})
    await tasks.follow_up(execution, await sync_soon(tasks, execution, now))


async def _missed(
    resources: Resources,
    session: AsyncSession,
    execution: Execution,
    order: OrderRow,
    capabilities: Capabilities,
    now: datetime,
) -> None:
    orders, tasks = OrderRepository(session, order.user_id, order.account_id), ServiceTaskRepository(session)
    if capabilities.one_order_per_tag and order.attempt < MOST_ATTEMPTS:
        order.attempt += 1
        move(orders, order, OrderEvent.REPEAT, now, attempt=order.attempt)
        await tasks.follow_up(execution, [submit_of(resources.calendar, order, now)])
    elif OrderSubject.of(execution).look < SECOND_LOOK:
        orders.note(order, "missed_once", order.status, now)
        await tasks.follow_up(execution, [second_reconcile_of(order, now)])
    else:
        order.reason = "not in two complete books"
        move(orders, order, OrderEvent.MISS, now)
