"""What one firing of a task asks for: whose data, until when it is useful, which results it needs first. Pure."""

import json
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from trading.calendar import BEFORE_CLOSE, Calendar, Session, ist
from trading.errors import CalendarUncovered

# AMO entry ends 18 minutes before the open; decisions must be taken a little earlier.
BUY_DEADLINE = timedelta(minutes=25)
PRICES_DEADLINE = timedelta(minutes=15)
# A sync that was held up still tells the truth; after this the next one tells a newer one.
SYNC_USEFUL = timedelta(hours=1)
# The exits placed at the open are wanted all day; a watch is overtaken by the next, the last one before the close.
WATCH_USEFUL = BEFORE_CLOSE
# A look that comes later is overtaken by the next hour's.
LOOK_USEFUL = timedelta(minutes=10)
# The retry before the open, AMO entry being over 18 minutes before it, and the sync it stands on.
RETRY_DEADLINE = timedelta(minutes=19)
RETRY_SYNC = timedelta(minutes=45)
# What tidies up at night leaves the machine to the day.
NIGHT_USEFUL = timedelta(hours=4)
_NIGHTLY = frozenset({"retention", "housekeeping"})
_DAY_ENDS = time(23, 59)
# On the calendar's last day there is no next open to count from. What trades fails closed in its step.
LAST_DAY_USEFUL = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Plan:
    """A slot's limits. needs: JSON as `waiting_for` has it, or None. as_of: whose data it is for, None: the slot's."""

    useful_until: datetime
    needs: str | None
    as_of: datetime | None = None


def plan(task_name: str, slot: datetime, calendar: Calendar) -> Plan:
    """Return the plan of a task's slot. Raises CalendarUncovered outside the calendar."""
    if task_name in _NIGHTLY:
        return Plan(slot + NIGHT_USEFUL, None)
    session = calendar.session(calendar.exchange_day(slot)) or calendar.current_or_next(slot)
    if task_name == "prices":
        return _prices(slot, session, calendar)
    if task_name == "analysis":
        return Plan(_before_next_open(session, calendar, BUY_DEADLINE), json.dumps([_prices_of(session)]))
    if task_name == "buy_orders":
        needs = [_need("analysis", session.closes, subject="$parameters"), _sync_after(session.closes, newest=True)]
        return Plan(_before_next_open(session, calendar, BUY_DEADLINE), json.dumps(needs))
    if task_name == "sell_monitor":
        # Each look stands on a look at the broker's book of its own minute: what was just filled is seen or not by
        # the clock, never by which of the two ran first.
        until = session.closes if slot <= session.opens else min(slot + WATCH_USEFUL, session.closes)
        return Plan(until, json.dumps([_sync_after(max(slot, session.opens))]))
    if task_name == "premarket_retry":
        return Plan(session.opens - RETRY_DEADLINE, json.dumps([_sync_after(session.opens - RETRY_SYNC)]))
    if task_name == "position_monitor":
        return Plan(slot + LOOK_USEFUL, None)
    if task_name == "eod_cleanup":
        needs = [_prices_of(session), _sync_after(session.closes, newest=True)]
        return Plan(ist(session.day, _DAY_ENDS), json.dumps(needs))
    return Plan(slot + SYNC_USEFUL, None)


def _prices(slot: datetime, session: Session, calendar: Calendar) -> Plan:
    """Return the plan of a look for bars: before an open it is for the session before, whose file came in the night."""
    if slot >= session.opens:
        return Plan(_before_next_open(session, calendar, PRICES_DEADLINE), None)
    try:
        before = calendar.previous_session(session.day).closes
    except CalendarUncovered:
        before = None  # the first day of all: its look finds the session open, and says so
    return Plan(session.opens - PRICES_DEADLINE, None, before)


def _before_next_open(session: Session, calendar: Calendar, ahead: timedelta) -> datetime:
    try:
        return calendar.next_session(session.day).opens - ahead
    except CalendarUncovered:
        return session.closes + LAST_DAY_USEFUL


def _prices_of(session: Session) -> dict[str, object]:
    return _need("prices", session.closes, subject="", repeats=True)


def _sync_after(moment: datetime, *, newest: bool = False) -> dict[str, object]:
    """Return the need of a sync: one that failed is made again, so nobody gives up before the deadline.

    newest: one that is under way is waited for, although an earlier one would do.
    """
    return _need("order_sync", moment, repeats=True) | ({"newest": True} if newest else {})


def _need(task: str, after: datetime, *, subject: str | None = None, repeats: bool = False) -> dict[str, object]:
    """Return a prerequisite: a success due at or after a moment, of the same account or of a shared subject."""
    account = subject is None
    return {"task": task, "subject": subject, "account": account, "after": after.isoformat(), "repeats": repeats}
