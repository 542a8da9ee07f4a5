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
from structlog.contextvars import bind_contextvars

from adapters.brokers.base import Accepted, Broker, Change, NotSent, Placement, PlaceOutcome, Refused, Unknown
from db.accounts import AccountRepository, AccountRow
from db.executions import Execution, ServiceTaskRepository
from db.halts import HaltRepository
from db.orders import OrderRepository, OrderRow
from db.positions import PositionRepository
from db.service_status import ServiceStatusRepository
from trading.calendar import Calendar
from trading.halts import Halt, Stops, order_of
from trading.orders import OrderEvent, OrderState
from trading.risk import DenyCode
from trading.values import Side, Symbol
from worker.outcome import Outcome, Retry, done, skipped
from worker.resources import Resources
from worker.steps.notices import tell
from worker.steps.order_life import REENTRY, may_send, move, reconcile_of, refusal, retry_until, sync_soon
from worker.steps.order_notices import told_of, told_of_answer
from worker.steps.subject import OrderSubject, owner

log = structlog.get_logger(__name__)

# A database's error quotes the whole statement; the log has it.
_LONGEST_REASON = 500

_CHANGEABLE = frozenset({OrderState.ACKED, OrderState.PARKED, OrderState.OPEN, OrderState.PARTIAL})


@dataclass(frozen=True, slots=True)
class _Request:
    """What to ask of the broker once the first transaction is committed. wish: None asks for the order's end."""

    broker: Broker
    tag: str
    wish: Placement | Change | None
    at: datetime


async def submit(resources: Resources, execution: Execution) -> Outcome:
    """Send an order's present attempt, or its change, once. Raises Retry when it provably was not sent."""
    user_id, account_id = owner(execution)
    begun = await _begin(resources, execution)
    if isinstance(begun, Outcome):
        return begun
    if isinstance(begun.wish, Placement):
        outcome = await _answered(begun.broker.place(user_id, account_id, begun.wish, begun.at))
        return await _end_placement(resources, execution, outcome)
    if begun.wish is None:
        outcome = await _answered(begun.broker.cancel(user_id, account_id, begun.tag, begun.at))
    else:
        outcome = await _answered(begun.broker.change(user_id, account_id, begun.tag, begun.wish, begun.at))
    return await _end_change(resources, execution, outcome)


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
        await HaltRepository(session).share()
        account = await AccountRepository(session).lock(user_id, account_id)
        orders = OrderRepository(session, user_id, account_id)
        order = await orders.get(subject.order_id)
        bind_contextvars(order_id=order.id, symbol=order.symbol)
        if order.attempt != subject.attempt:
            return skipped(f"attempt {subject.attempt} was followed by {order.attempt}")
        state = OrderState(order.status)
        if state is OrderState.SENDING:
            move(orders, order, OrderEvent.LOSE_SIGHT, now, reason="an earlier run ended before its answer was stored")
            await ServiceTaskRepository(session).follow_up(execution, [reconcile_of(order, now)])
            return done(order=order.id, state=order.status)
        halts = (await HaltRepository(session).stops(user_id, account_id)).of(_askers(order), order.strategy)
        if state is OrderState.PLANNED:
            halt = halts.stopping(order_of(Side(order.side)), order.symbol)
            code = DenyCode.KILL_SWITCH if halt else await _denial(session, account, order, resources.calendar, now)
            if code is not None:
                _deny(orders, order, code, halt, now)
                await tell(session, execution, told_of(order))
                return done(order=order.id, state=order.status, code=code.value)
            move(orders, order, OrderEvent.SEND, now, attempt=order.attempt)
            return _Request(resources.broker(account), _tag(order), _placement(order), now)
        if not _is_to_change(order, state):
            return skipped(f"the order is {order.status}", order=order.id)
        if _ends(order):
            # A cancel passes whatever is halted. Asked again after a crash, it is on its way already.
            if state is not OrderState.CANCELLING:
                move(orders, order, OrderEvent.CANCEL, now)
        elif account.status != "active":
            return skipped(f"the account is {account.status}", order=order.id)
        elif halt := halts.stopping(Stops.CHANGES, order.symbol):
            _deny_change(orders, order, halt, now)
            return done(order=order.id, change="denied", code=DenyCode.KILL_SWITCH.value)
        return _Request(resources.broker(account), _tag(order), _change(order), now)


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
            state = refusal(order, outcome.kind, now, retry_until(resources.calendar, now))
            event = OrderEvent.FAIL if state is OrderState.FAILED else OrderEvent.REJECT
            move(orders, order, event, now, reason=outcome.reason, kind=outcome.kind.value)
        elif isinstance(outcome, NotSent):
            move(orders, order, OrderEvent.NOT_SENT, now, reason=outcome.reason)
        else:
            move(orders, order, OrderEvent.LOSE_SIGHT, now, reason=outcome.reason)
            await tasks.follow_up(execution, [reconcile_of(order, now)])
        await tell(session, execution, told_of_answer(order))
        ended = order.status
    if isinstance(outcome, NotSent):
        raise Retry(f"order {order.id} was not sent: {outcome.reason}")
    return done(order=order.id, state=ended)


async def _end_change(resources: Resources, execution: Execution, outcome: PlaceOutcome) -> Outcome:
    """Record a change's answer. One that may not have arrived is asked again: a price set twice is set once."""
    user_id, _ = owner(execution)
    if not isinstance(outcome, Accepted | Refused):
        raise Retry(f"the change of order {execution.subject} has no answer: {outcome.reason}")
    async with resources.database.transaction(user_id) as session:
        orders, order, now = await _again(session, execution)
        accepted = isinstance(outcome, Accepted)
        if order.attempt == OrderSubject.of(execution).attempt:
            # Else another change was asked for while the broker was thinking, such as the end of the order.
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
    if order.entry_type == REENTRY and not await _is_held(session, order):
        return DenyCode.POSITION_CLOSED
    return None if may_send(calendar, order, now) else DenyCode.MARKET_CLOSED


def _askers(order: OrderRow) -> frozenset[str]:
    """Return the tasks whose halt stops an order: the one that sends it and the one that decided on it."""
    if order.side == Side.SELL:
        return frozenset({"submit", "sell_monitor"})
    return frozenset({"submit", "buy_orders" if order.retry_of is None else "premarket_retry"})


def _deny(orders: OrderRepository, order: OrderRow, code: DenyCode, halt: Halt | None, now: datetime) -> None:
    order.reason = code.value if halt is None else f"{code}: {halt}"[:_LONGEST_REASON]
    move(orders, order, OrderEvent.DENY, now, code=code.value, **({} if halt is None else halt.facts()))


def _deny_change(orders: OrderRepository, order: OrderRow, halt: Halt, now: datetime) -> None:
    """Leave an order at its broker as it is. With its halt's name on it the same change may be asked for again."""
    facts = {"wish": order.change, "code": DenyCode.KILL_SWITCH.value, **halt.facts()}
    order.change = {**(order.change or {}), "accepted": False, "halt": halt.id}
    orders.note(order, "change_denied", order.status, now, facts)


async def _is_held(session: AsyncSession, order: OrderRow) -> bool:
    """Tell whether the position a re-entry adds to is still open: it must not open another one."""
    held = await PositionRepository(session, order.user_id, order.account_id).open()
    return order.position_id in {position.id for position in held}


def _is_to_change(order: OrderRow, state: OrderState) -> bool:
    changeable = state in _CHANGEABLE or (state is OrderState.CANCELLING and _ends(order))
    return changeable and order.change is not None and "accepted" not in order.change


def _ends(order: OrderRow) -> bool:
    return bool((order.change or {}).get("cancel"))


def _tag(order: OrderRow) -> str:
    """Return what the venue knows an order by: whatever may still trade has it."""
    if order.tag is None:
        raise ValueError(f"order {order.id} has no tag: it was imported, and is over")
    return order.tag


def _placement(order: OrderRow) -> Placement:
    return Placement(
        tag=_tag(order),
        symbol=Symbol(order.symbol),
        side=Side(order.side),
        quantity=order.quantity,
        limit_price=order.price,
        variety=order.variety,
        session_day=order.session_day,
    )


def _change(order: OrderRow) -> Change | None:
    """Return what the order shall become; None: its end. A price that is not wished for stays."""
    wish = order.change or {}
    if _ends(order):
        return None
    limit = wish.get("limit_price", order.price)
    return Change(None if limit is None else Decimal(str(limit)), wish.get("quantity"))
