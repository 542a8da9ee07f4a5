"""What becomes of a day whose schedule gets another time under way: nothing fires twice, and nothing is lost.

A trigger that fires several times a day simply goes on by its new text. Of two that fire at most once a day the day's
slot is had once: by the old time if that has fired, else by the new one, at once if it has passed by now. A one-off
names its day itself, and is a slot of its own.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice

from trading.calendar import Calendar, exchange_day, ist
from trading.errors import CalendarUncovered
from trading.triggers import Once, Trigger, due_between

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Turn:
    """How a new time begins. Moments are aware UTC.

    held_until: nothing fires by it before, since the day's slot has fired by the old time. joins: the day's slot by the
    new time, which has passed and is to be made up for now. Neither: it fires whenever it is due next.
    """

    held_until: datetime | None = None
    joins: datetime | None = None


def turn(
    before: Trigger,
    after: Trigger,
    calendar: Calendar,
    now: datetime,
    *,
    fired: bool,
    overdue: bool = False,
    held: bool = False,
    daily_bars: bool = False,
    was: Calendar | None = None,
) -> Turn:
    """Return how the second trigger takes over from the first one at a moment of market time.

    fired: whether the day's slot has fired already, whatever its time was then. overdue: the first one's slot has come
    and is not fired yet. held: the second one fires no more on this day, for whom it fires already. was: the calendar
    of the first one, None: the same.
    """
    day = exchange_day(now)
    old = slots_of_day(before, calendar if was is None else was, day, daily_bars)
    new = slots_of_day(after, calendar, day, daily_bars)
    if len(new) != 1 or len(old) > 1 or isinstance(after, Once):
        return Turn()
    slot = new[0]
    if fired:
        return Turn(held_until=day_ends(now)) if slot > now else Turn()
    was_to_come = bool(old) and (old[0] > now or overdue)
    return Turn(joins=slot) if (slot <= now or held) and was_to_come else Turn()


@dataclass(frozen=True, slots=True)
class Planned:
    """How far a schedule is. due: its next slot, None: never. firing: the slot that is being fired.

    held_until: as `looked_from` has it.
    """

    enabled: bool
    due: datetime | None
    firing: datetime | None = None
    held_until: datetime | None = None


def was_had(
    trigger: Trigger | None, planned: Planned, calendar: Calendar, now: datetime, daily_bars: bool = False
) -> bool:
    """Tell whether a schedule has had its slot of today, or is about to: what has come is fired before any change.

    What is planned for a later day has had the slot of this one. trigger: None for one that nobody can read.
    """
    today = exchange_day(now)
    if planned.held_until is not None and planned.held_until > now:
        return True
    slots = None if trigger is None else slots_of_day(trigger, calendar, today, daily_bars)
    if slots is not None and len(slots) != 1:
        return False
    if planned.firing is not None:
        return exchange_day(planned.firing) == today
    if planned.due is None:
        return slots is not None and slots[0] <= now
    if planned.due <= now:
        return planned.enabled and exchange_day(planned.due) == today
    return exchange_day(planned.due) > today


def day_ends(now: datetime) -> datetime:
    """Return the first moment of the next exchange day."""
    return ist(exchange_day(now) + _DAY, time())


def looked_from(
    trigger: Trigger, calendar: Calendar, after: datetime, held_until: datetime | None, daily_bars: bool = False
) -> datetime:
    """Return the moment after which the next slot of a schedule is looked for.

    held_until: the end of a day whose slot was had by another time; a trigger that fires once on that day waits for it.
    """
    if held_until is None or after >= held_until or isinstance(trigger, Once):
        return after
    last = held_until - _INSTANT
    return after if len(slots_of_day(trigger, calendar, exchange_day(last), daily_bars)) > 1 else last


def slots_of_day(trigger: Trigger, calendar: Calendar, day: date, daily_bars: bool = False) -> list[datetime]:
    """Return a trigger's slots of an exchange day, two at most."""
    begins, ends = ist(day, time()), ist(day + _DAY, time())
    try:
        return list(islice(due_between(trigger, calendar, begins - _INSTANT, ends - _INSTANT, daily_bars), 2))
    except CalendarUncovered:
        return []
