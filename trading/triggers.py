"""When triggers fire: the next moment and all between two. What a trigger is and how it is read: the siblings."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta

from trading.calendar import Calendar, exchange_day, ist
from trading.clock_triggers import Daily, Interval, Once, OnRequest
from trading.cron import Cron
from trading.session_triggers import (
    At,
    Between,
    Moment,
    OnEdge,
    PreOpen,
    SessionTrigger,
    Span,
    WhileOpen,
    moments_after,
)
from trading.trigger_texts import Trigger, parse_trigger

__all__ = [
    "At", "Between", "Cron", "Daily", "Interval", "Moment", "OnEdge", "OnRequest", "Once", "PreOpen", "SessionTrigger",
    "Span", "Trigger", "WhileOpen", "due_between", "next_due", "parse_trigger",
]  # fmt: skip

_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


def next_due(trigger: Trigger, calendar: Calendar, after: datetime, daily_bars: bool) -> datetime | None:
    """Return the first moment strictly after `after` at which a trigger fires, aware UTC.

    daily_bars: repeating triggers fire only as finely as daily bars can show anything new: while open at the open and
    at BEFORE_CLOSE before the close; from-until only at the first moment; cron and intervals at the first of an
    exchange day; daily ones, which tidy up, on Mondays.

    None when no such moment lies in the calendar's coverage, or at all. Raises CalendarUncovered when a session's
    trigger is asked of a moment before the coverage, ValueError when `after` has no time zone.
    """
    if after.tzinfo is None:
        exchange_day(after)  # refuses it
    match trigger:
        case Cron() | Interval():
            return _first_of_day(trigger, after) if daily_bars else trigger.next_due(after)
        case Daily():
            return trigger.next_due(after, weekly=daily_bars)
        case Once():
            return trigger.next_due(after)
        case OnRequest():
            return None
        case _:
            return next(moments_after(trigger, calendar, after, daily_bars), None)


def _first_of_day(trigger: Cron | Interval, after: datetime) -> datetime | None:
    """Return the first moment after another that is the first of its exchange day."""
    day = exchange_day(after)
    first = trigger.next_due(ist(day, time(0)) - _TICK)
    return first if first is None or first > after else trigger.next_due(ist(day + _DAY, time(0)) - _TICK)


def due_between(
    trigger: Trigger, calendar: Calendar, after: datetime, until: datetime, daily_bars: bool
) -> Iterator[datetime]:
    """Yield the moments of (after, until] at which a trigger fires, in order. Raises as `next_due` does."""
    exchange_day(until)  # refuses a naive moment
    for moment in _all_after(trigger, calendar, after, daily_bars):
        if moment > until:
            return
        yield moment


def _all_after(trigger: Trigger, calendar: Calendar, after: datetime, daily_bars: bool) -> Iterator[datetime]:
    if isinstance(trigger, SessionTrigger):
        yield from moments_after(trigger, calendar, after, daily_bars)
        return
    moment = next_due(trigger, calendar, after, daily_bars)
    while moment is not None:
        yield moment
        moment = next_due(trigger, calendar, moment, daily_bars)
