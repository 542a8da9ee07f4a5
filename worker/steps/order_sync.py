"""Reads an account's book at its broker and books what it tells; gives up what can no longer be sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.base import Failed
from db.accounts import AccountRepository
from db.executions import Execution, FollowUp, ServiceTaskRepository
from db.orders import OrderRepository, OrderRow
from db.positions import PositionRepository
from trading.calendar import Calendar
from trading.orders import LIVE, OrderEvent, OrderState
from trading.risk import DenyCode
from worker.messages import HARD_LIMIT_FACTOR, TASKS
from worker.outcome import Outcome, Retry, done
from worker.resources import Resources
from worker.steps.booking import Booking
from worker.steps.notices import tell
from worker.steps.order_life import (
    REENTRY,
    has_asked,
    is_too_late,
    move,
    reconcile_of,
    retry_until,
    submit_of,
    want,
)
from worker.steps.subject import SECOND_LOOK, OrderSubject, owner

log = structlog.get_logger(__name__)

# Of machine time: a process that runs a submit for longer is killed.
SUBMIT_ENDS = timedelta(seconds=TASKS["submit"].limit_seconds * HARD_LIMIT_FACTOR)

_UNSENT = frozenset({OrderState.PLANNED, OrderState.SENDING, OrderState.UNKNOWN})
_AT_BROKER = LIVE - _UNSENT - {OrderState.CANCELLING}
_END = {"cancel": True}


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
        moment = await tasks.fence(execution)
        await AccountRepository(session).lock(user_id, account_id)
        again_until = retry_until(resources.calendar, now)
        booked = await Booking(session, user_id, account_id, now, again_until).take(book.orders)
        orders = OrderRepository(session, user_id, account_id)
        await session.flush()
        live = await orders.live()
        unsent = [order for order in live if order.status in _UNSENT]
        await _give_up(orders, unsent, resources.calendar, moment)
        ended = await _end_siblings(session, orders, live, moment)
        rung = [*await _looks(tasks, execution, unsent, moment)]
        rung += [submit_of(resources.calendar, order, moment) for order in ended]
        await tasks.follow_up(execution, rung)
        await orders.checked([order.id for order in live], moment)
        await tell(session, execution, booked.notices)
    for line in booked.told:
        log.info("fill_booked", **line)
    return done(**booked.to_json())


async def _give_up(orders: OrderRepository, unsent: Sequence[OrderRow], calendar: Calendar, now: datetime) -> None:
    """End what was never sent in its time, and call unknown what nobody is sending any more.

    A submit that came too late or did not end leaves its order behind: this is who releases it, and its money.
    """
    sending = [order.id for order in unsent if order.status == OrderState.SENDING]
    abandoned = await orders.unmoved(sending, SUBMIT_ENDS) if sending else set()
    for order in unsent:
        late = is_too_late(calendar, order, now)
        if order.status == OrderState.PLANNED and late:
            order.reason = DenyCode.MARKET_CLOSED.value
            move(orders, order, OrderEvent.DENY, now, code=DenyCode.MARKET_CLOSED.value)
        elif order.status == OrderState.SENDING and (late or order.id in abandoned):
            reason = "its time to be sent is over" if late else "its submit can no longer be running"
            move(orders, order, OrderEvent.LOSE_SIGHT, now, reason=reason)


async def _end_siblings(
    session: AsyncSession, orders: OrderRepository, live: Sequence[OrderRow], now: datetime
) -> list[OrderRow]:
    """Ask for the end of re-entries at the broker whose position has closed. Returns them."""
    additions = [order for order in live if order.entry_type == REENTRY and order.status in _AT_BROKER]
    if not additions:
        return []
    held = {position.id for position in await PositionRepository(session, orders.user_id, orders.account_id).open()}
    ended = [order for order in additions if order.position_id not in held and not has_asked(order, _END)]
    for order in ended:
        want(orders, order, _END, now)
    return ended


async def _looks(
    tasks: ServiceTaskRepository, execution: Execution, unsent: Sequence[OrderRow], now: datetime
) -> list[FollowUp]:
    """Return a reconcile for every order of unknown fate that none is under way for: the last one may have failed."""
    unknown = [order for order in unsent if order.status == OrderState.UNKNOWN]
    if not unknown:
        return []
    under_way = await tasks.unfinished_subjects(execution, "reconcile")
    return [reconcile_of(order, now) for order in unknown if not under_way & _subjects(order)]


def _subjects(order: OrderRow) -> set[str]:
    return {str(OrderSubject(order.id, order.attempt, look)) for look in range(1, SECOND_LOOK + 1)}
