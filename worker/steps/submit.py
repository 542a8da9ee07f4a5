"""Sends one order, or one change of an order, to its broker: the only step that does.

Intent committed, then the call with no transaction open, then the outcome committed. A step that finds its order
already in `sending` died in between, and does not know what the broker heard.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.base import Accepted, Broker, NotSent, Placement, PlaceOutcome, Refused, Unknown
from db.accounts import AccountRepository, AccountRow
from db.executions import Execution, ServiceTaskRepository
from db.orders import OrderRepository, OrderRow
from db.service_status import ServiceStatusRepository
from trading.calendar import Calendar
from trading.orders import OrderEvent, OrderState
from trading.risk import DenyCode
from trading.values import Side, Symbol
from worker.outcome import Outcome, Retry, done, skipped
from worker.resources import Resources
from worker.steps.order_life import may_send, move, reconcile_of, sync_soon
from worker.steps.subject import OrderSubject, owner

log = structlog.get_logger(__name__)

# A database's error quotes the whole statement; the log has it.
_LONGEST_REASON = 500

_CHANGEABLE = frozenset({OrderState.ACKED, OrderState.PARKED, OrderState.OPEN, OrderState.PARTIAL})


@dataclass(frozen=True, slots=True)
class _Request:
    """What to ask of the broker once the first transaction is committed. change: of an order that it has."""

    broker: Broker
    tag: str
    placement: Placement
    change: bool
    limit_price: Decimal | None
    at: datetime


async def submit(resources: Resources, execution: Execution) -> Outcome:
    """Send an order's present attempt, or its change, once. Raises Retry when it provably was not sent."""
    user_id, account_id = owner(execution)
    begun = await _begin(resources, execution)
    if isinstance(begun, Outcome):
        return begun
    if begun.change:
        change = begun.broker.change(user_id, account_id, begun.tag, begun.limit_price, begun.at)
        outcome = await _answered(change)
        return await _end_change(resources, execution, outcome)
    outcome = await _answered(begun.broker.place(user_id, account_id, begun.placement, begun.at))
    return await _end_placement(resources, execution, outcome)


async def _answered(call: Awaitable[PlaceOutcome]) -> PlaceOutcome:
    """Return a broker's answer. An error says no more than silence does: nobody knows how far it got."""
    try:
        return await call
    except Exception as error:
        log.exception("broker_raised")
        return Unknown(f"{type(error).__name__}: {error}"[:_LONGEST_REASON])


async def _begin(resources: Resources, execution: Execution) -> Outcome | _Request:
    user_id, account_id = owner(execution)
    subject = OrderSubject.of(execution)
    async with resources.database.transaction(user_id) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        account = await AccountRepository(session).lock(user_id, account_id)
        orders = OrderRepository(session, user_id, account_id)
        order = await orders.get(subject.order_id)
        if order.attempt != subject.attempt:
            return skipped(f"attempt {subject.attempt} was followed by {order.attempt}")
        state = OrderState(order.status)
        if state is OrderState.SENDING:
            move(orders, order, OrderEvent.LOSE_SIGHT, now, reason="an earlier run ended before its answer was stored")
            await ServiceTaskRepository(session).follow_up(execution, [reconcile_of(order, now)])
            return done(order=order.id, state=order.status)
        if state is OrderState.PLANNED:
            if code := await _denial(session, account, order, resources.calendar, now):
                order.reason = code.value
                move(orders, order, OrderEvent.DENY, now, code=code.value)
                return done(order=order.id, state=order.status, code=code.value)
            move(orders, order, OrderEvent.SEND, now, attempt=order.attempt)
        elif not _is_to_change(order, state):
            return skipped(f"the order is {order.status}", order=order.id)
        elif account.status != "active":
            return skipped(f"the account is {account.status}", order=order.id)
        return _request(resources.broker(account), order, state is not OrderState.PLANNED, now)


async def _end_placement(resources: Resources, execution: Execution, outcome: PlaceOutcome) -> Outcome:
    user_id, _ = owner(execution)
    async with resources.database.transaction(user_id) as session:
        orders, order, now = await _again(session, execution)
        tasks = ServiceTaskRepository(session)
        if order.status == OrderState.UNKNOWN or order.attempt != OrderSubject.of(execution).attempt:
            # A sync gave this attempt up while the broker was thinking; its reconcile or the next attempt finds out.
            orders.note(order, "late_answer", order.status, now, {"answer": type(outcome).__name__})
        elif isinstance(outcome, Accepted):
            order.broker_order_id, order.placed_at = outcome.broker_order_id, order.placed_at or now
            move(orders, order, OrderEvent.ACCEPT, now, broker_order_id=outcome.broker_order_id)
            await tasks.follow_up(execution, await sync_soon(tasks, execution, now))
        elif isinstance(outcome, Refused):
            order.reason = outcome.reason
            move(orders, order, OrderEvent.REJECT, now, reason=outcome.reason)
        elif isinstance(outcome, NotSent):
            move(orders, order, OrderEvent.NOT_SENT, now, reason=outcome.reason)
        else:
            move(orders, order, OrderEvent.LOSE_SIGHT, now, reason=outcome.reason)
            await tasks.follow_up(execution, [reconcile_of(order, now)])
        state = order.status
    if isinstance(outcome, NotSent):
        raise Retry(f"order {order.id} was not sent: {outcome.reason}")
    return done(order=order.id, state=state)


async def _end_change(resources: Resources, execution: Execution, outcome: PlaceOutcome) -> Outcome:
    """Record a change's answer. One that may not have arrived is asked again: a price set twice is set once."""
    user_id, _ = owner(execution)
    if not isinstance(outcome, Accepted | Refused):
        raise Retry(f"the change of order {execution.subject} has no answer: {outcome.reason}")
    async with resources.database.transaction(user_id) as session:
        orders, order, now = await _again(session, execution)
        accepted = isinstance(outcome, Accepted)
        order.change = {**(order.change or {}), "accepted": accepted}
        facts = {"reason": outcome.reason} if isinstance(outcome, Refused) else None
        orders.note(order, "change_accepted" if accepted else "change_refused", order.status, now, facts)
        tasks = ServiceTaskRepository(session)
        await tasks.follow_up(execution, await sync_soon(tasks, execution, now))
    return done(order=order.id, change="accepted" if accepted else "refused")


async def _again(session: AsyncSession, execution: Execution) -> tuple[OrderRepository, OrderRow, datetime]:
    """Begin the second transaction like the first: fenced, the account locked, the order as it stands now."""
    user_id, account_id = owner(execution)
    now = await ServiceTaskRepository(session).fence(execution)
    await AccountRepository(session).lock(user_id, account_id)
    orders = OrderRepository(session, user_id, account_id)
    order = await orders.get(OrderSubject.of(execution).order_id)
    return orders, order, now


async def _denial(
    session: AsyncSession, account: AccountRow, order: OrderRow, calendar: Calendar, now: datetime
) -> DenyCode | None:
    """Return why an order may not be sent. A stopped service buys nothing; what it holds is still sold."""
    if account.status != "active":
        return DenyCode.KILL_SWITCH
    if order.side == Side.BUY and not await ServiceStatusRepository(session).runs(account.user_id):
        return DenyCode.KILL_SWITCH
    return None if may_send(calendar, order, now) else DenyCode.MARKET_CLOSED


def _is_to_change(order: OrderRow, state: OrderState) -> bool:
    return state in _CHANGEABLE and order.change is not None and "accepted" not in order.change


def _request(broker: Broker, order: OrderRow, change: bool, now: datetime) -> _Request:
    wanted = (order.change or {}).get("limit_price")
    placement = Placement(
        tag=order.tag,
        symbol=Symbol(order.symbol),
        side=Side(order.side),
        quantity=order.quantity,
        limit_price=order.price,
        variety=order.variety,
        session_day=order.session_day,
    )
    return _Request(broker, order.tag, placement, change, None if wanted is None else Decimal(str(wanted)), now)
