"""What becomes of a day whose schedule gets another time under way: nothing fires twice, and nothing is lost.

A trigger that fires several times a day simply goes on by its new text. Of two that fire at most once a day the day's
slot is had once: by the old time if that has fired, else by the new one, at once if it has passed by now.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import islice

from trading.calendar import Calendar, exchange_day, ist
from trading.errors import CalendarUncovered
from trading.triggers import Trigger, due_between

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
    daily_bars: bool = False,
) -> Turn:
    """Return how the second trigger takes over from the first one at a moment of market time.

    fired: whether the day's slot has fired already, whatever its time was then. overdue: the first one's slot has come
    and is not fired yet.
    """
    day = exchange_day(now)
    old, new = (slots_of_day(trigger, calendar, day, daily_bars) for trigger in (before, after))
    if len(new) != 1 or len(old) > 1:
        return Turn()
    slot = new[0]
    if fired:
        return Turn(held_until=ist(day + _DAY, time())) if slot > now else Turn()
    was_to_come = bool(old) and (old[0] > now or overdue)
    return Turn(joins=slot) if slot <= now and was_to_come else Turn()


def slots_of_day(trigger: Trigger, calendar: Calendar, day: date, daily_bars: bool = False) -> list[datetime]:
    """Return a trigger's slots of an exchange day, two at most."""
    begins, ends = ist(day, time()), ist(day + _DAY, time())
    try:
        return list(islice(due_between(trigger, calendar, begins - _INSTANT, ends - _INSTANT, daily_bars), 2))
    except CalendarUncovered:
        return []
