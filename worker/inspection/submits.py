"""What becomes of an order whose submit is ended by hand: it is never left where nobody would look for it."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository
from db.executions import Execution, FollowUp, ServiceTaskRepository
from db.interventions import Held
from db.orders import OrderRepository, OrderRow
from trading.orders import OrderEvent, OrderState, advance
from trading.risk import DenyCode
from trading.values import money
from worker.messages import HARD_LIMIT_FACTOR, TASKS

# By then the call that may be under way has ended or its process was killed, and a sync calls its order unknown.
_LOOK_AFTER = timedelta(seconds=TASKS["submit"].limit_seconds * HARD_LIMIT_FACTOR + 5)
_LOOK_USEFUL = timedelta(minutes=10)
_PARTS = 2


async def release_orders(session: AsyncSession, ended: Sequence[Held], reason: str) -> dict[int, str]:
    """Deny what was not sent, and have the broker's book read for what may have been. Call it with the rows held.

    ended: executions of any task. Returns what became of whose order, by execution.
    """
    told = {}
    submits = [one for one in ended if one.task_name == "submit" and one.account_id is not None]
    # In the order of their accounts, so that two operators never wait for each other.
    for held in sorted(submits, key=lambda one: (one.account_id or 0, one.id)):
        said = await _release(session, held, reason)
        if said is not None:
            told[held.id] = said
    return told


async def _release(session: AsyncSession, held: Held, reason: str) -> str | None:
    parts = held.subject.split(":")
    if held.user_id is None or held.account_id is None or len(parts) != _PARTS or not all(map(str.isdigit, parts)):
        return None
    order_id, attempt = map(int, parts)
    await AccountRepository(session).lock(held.user_id, held.account_id)
    orders = OrderRepository(session, held.user_id, held.account_id)
    live = {order.id: order for order in await orders.live((OrderState.PLANNED, OrderState.SENDING))}
    if order_id not in live or live[order_id].attempt != attempt:
        return None
    order = live[order_id]
    if order.status == OrderState.PLANNED:
        _deny(orders, order, held, reason)
        await session.flush()
        return f"order {order_id} is denied"
    await ServiceTaskRepository(session).follow_up(_as_execution(held), [_look(held)])
    return f"order {order_id} may have reached its broker: a sync of its account will look for it"


def _deny(orders: OrderRepository, order: OrderRow, held: Held, reason: str) -> None:
    before, order.status = order.status, advance(OrderState(order.status), OrderEvent.DENY).value
    order.reason, order.reserved = reason, money(0)
    order.closed_at = order.closed_at or held.market_now
    orders.note(order, OrderEvent.DENY, before, held.market_now, {"code": DenyCode.KILL_SWITCH, "reason": reason})


def _look(held: Held) -> FollowUp:
    due = held.market_now + _LOOK_AFTER
    return FollowUp("order_sync", TASKS["order_sync"].queue, "", due, due + _LOOK_USEFUL)


def _as_execution(held: Held) -> Execution:
    return Execution(
        held.scheduled_for,
        held.id,
        held.generation,
        held.task_name,
        held.user_id,
        held.account_id,
        held.subject,
        held.as_of,
        held.useful_until,
        held.attempt,
        held.market_now,
    )
