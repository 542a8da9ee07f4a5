"""How steps move an order by the state table, when it may be sent, and who is rung next."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from db.executions import Execution, FollowUp, ServiceTaskRepository
from db.orders import OrderRepository, OrderRow
from trading.calendar import Calendar
from trading.errors import CalendarUncovered
from trading.orders import FailureKind, OrderEvent, OrderState, advance, failed_or_rejected, is_final, is_live
from trading.values import Side, money
from worker.messages import TASKS
from worker.outcome import Json
from worker.steps.subject import SECOND_LOOK, OrderSubject

REENTRY = "reentry"
"""The entry type of a purchase that adds to a position."""

# A broker's book shows an order a moment after it took it; market.md 2.
SYNC_AFTER = timedelta(seconds=3)
# A sync that comes later is overtaken by the scheduled one.
SYNC_USEFUL = timedelta(minutes=10)


def move(orders: OrderRepository, order: OrderRow, event: OrderEvent, at: datetime, **facts: Json) -> None:
    """Advance an order by one event and record it; a final state frees what it reserved. at: market now."""
    settle(orders, order, advance(OrderState(order.status), event), event.value, at, facts)


def settle(
    orders: OrderRepository, order: OrderRow, state: OrderState, event: str, at: datetime, facts: Mapping[str, Json]
) -> None:
    """Put an order into a state and record why; one that is not live any more frees what it reserved."""
    before, order.status = order.status, state.value
    if is_final(state):
        order.closed_at = order.closed_at or at
    if not is_live(state):
        order.reserved = money(0)
    orders.note(order, event, before, at, dict(facts) or None)


def retry_until(calendar: Calendar, at: datetime) -> datetime | None:
    """Return until when a purchase that failed at a moment may be tried again: the close of the next session.

    None: the calendar does not know one, so it may not.
    """
    try:
        return calendar.next_session(calendar.exchange_day(at)).closes
    except CalendarUncovered:
        return None


def refusal(order: OrderRow, kind: FailureKind, at: datetime, again_until: datetime | None) -> OrderState:
    """Return what a broker's refusal makes of an order, and store its kind. again_until: as `retry_until` says.

    A retry that fails keeps the time of the order that failed first, so that none is tried for ever.
    """
    order.failure_kind = kind.value
    state = failed_or_rejected(Side(order.side), kind, order.filled_quantity, again_until is not None)
    if state is OrderState.FAILED:
        order.first_failed_at = order.first_failed_at or at
        order.retry_until = order.retry_until or again_until
    return state


def want(orders: OrderRepository, order: OrderRow, wish: Mapping[str, Json], at: datetime) -> None:
    """Ask for a change of an order at the broker, under a new attempt. wish: as `change` holds it. Ring its submit."""
    order.change = dict(wish)
    order.attempt += 1
    orders.note(order, "change_wanted", order.status, at, {**wish, "attempt": order.attempt})


def has_asked(order: OrderRow, wish: Mapping[str, Json]) -> bool:
    """Tell whether that change is the last one asked for, whatever the answer was: asking again would not help."""
    return order.change is not None and {**order.change, "accepted": None} == {**wish, "accepted": None}


def sending_begins(calendar: Calendar, order: OrderRow) -> datetime | None:
    """Return the moment from which an order may be sent; None: at once."""
    session = calendar.session(order.session_day)
    return session.opens if session is not None and order.variety != "amo" else None


def sending_ends(calendar: Calendar, order: OrderRow) -> datetime | None:
    """Return the moment after which an order may not be sent any more; None: its day has no session."""
    session = calendar.session(order.session_day)
    if session is None:
        return None
    return calendar.amo_ends(session) if order.variety == "amo" else session.closes


def may_send(calendar: Calendar, order: OrderRow, now: datetime) -> bool:
    """Tell whether an order may be sent at market now."""
    begins, ends = sending_begins(calendar, order), sending_ends(calendar, order)
    return ends is not None and now < ends and (begins is None or now >= begins)


def is_too_late(calendar: Calendar, order: OrderRow, now: datetime) -> bool:
    """Tell whether an order's time to be sent is over. Of a day the calendar does not know nobody can say that it is.

    Nothing is sent on such a day either; but the book of its account is to be read on.
    """
    try:
        ends = sending_ends(calendar, order)
    except CalendarUncovered:
        return False
    return ends is None or now >= ends


def submit_of(calendar: Calendar, order: OrderRow, now: datetime) -> FollowUp:
    """Return the submit of an order's present attempt, due when it may be sent."""
    subject = OrderSubject(order.id, order.attempt)
    # A change goes to an order that is at the broker already: there the session is the limit, whatever its variety.
    session = calendar.session(order.session_day)
    ends = session.closes if order.change is not None and session is not None else sending_ends(calendar, order)
    begins = sending_begins(calendar, order) or now
    return FollowUp("submit", TASKS["submit"].queue, str(subject), max(now, begins), ends)


def reconcile_of(order: OrderRow, at: datetime, look: int = 1) -> FollowUp:
    """Return the look at the broker's book that an order of unknown fate needs. It is never too late for it."""
    subject = OrderSubject(order.id, order.attempt, look)
    return FollowUp("reconcile", TASKS["reconcile"].queue, str(subject), at, None)


def second_reconcile_of(order: OrderRow, now: datetime) -> FollowUp:
    """Return the second look, late enough for the book to have caught up."""
    return reconcile_of(order, now + SYNC_AFTER, SECOND_LOOK)


async def sync_soon(tasks: ServiceTaskRepository, execution: Execution, now: datetime) -> list[FollowUp]:
    """Return the sync that follows a request; none when one is already due. Call it under the account's lock."""
    due = now + SYNC_AFTER
    if await tasks.sync_is_queued(execution, first=now, last=due):
        return []
    return [FollowUp("order_sync", TASKS["order_sync"].queue, "", due, due + SYNC_USEFUL)]
