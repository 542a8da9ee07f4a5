"""What a trigger's moments of the next months say of it: how close they come, and whether a task can act at them."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from itertools import islice, pairwise

from trading.calendar import Calendar, ist
from trading.scheduled_tasks import Acting
from trading.session_triggers import SessionTrigger
from trading.triggers import Trigger, due_between, next_due

# A year, so that quarters, holidays and each change of a clock are in it; of what repeats fast its first thousands.
_LOOK = timedelta(days=400)
_LOOKED_AT = 3000


def shortest_gap(trigger: Trigger, calendar: Calendar, now: datetime) -> timedelta | None:
    """Return the shortest time between two of a trigger's moments; None: there are no two."""
    return min((later - earlier for earlier, later in pairwise(_of_a_year(trigger, calendar, now))), default=None)


def ever_fires(trigger: Trigger, calendar: Calendar, now: datetime) -> bool:
    """Tell whether a trigger fires at any time: what follows sessions, in a year of those that are known."""
    if isinstance(trigger, SessionTrigger):
        return any(True for _ in _of_a_year(trigger, calendar, now))
    return next_due(trigger, calendar, now, daily_bars=False) is not None


def misplaced(trigger: Trigger, acting: Acting, calendar: Calendar, now: datetime) -> datetime | None:
    """Return the first moment of a trigger from now on at which a task cannot act, None without one.

    Days of special sessions do not count: their hours are that day's exception, not the trigger's. Nor do days after
    the coverage, of which nothing is known; when now is one of them, the coverage's last year stands for what comes.
    """
    if calendar.exchange_day(now) > calendar.last:
        now = _a_year_before_end(calendar)
    for moment in _moments(trigger, calendar, now):
        day = calendar.exchange_day(moment)
        if not calendar.first <= day <= calendar.last:
            return None
        session = calendar.session(day)
        if (session is None or session.kind == "regular") and not acting.holds(calendar, moment):
            return moment
    return None


def _of_a_year(trigger: Trigger, calendar: Calendar, now: datetime) -> Iterator[datetime]:
    """Return a trigger's moments of about a year: of what follows sessions, of one that the calendar knows whole."""
    return _moments(trigger, calendar, min(now, _a_year_before_end(calendar)))


def _a_year_before_end(calendar: Calendar) -> datetime:
    return ist(max(calendar.last - _LOOK, calendar.first), time(0))


def _moments(trigger: Trigger, calendar: Calendar, after: datetime) -> Iterator[datetime]:
    after = max(after, ist(calendar.first, time(0)))
    return islice(due_between(trigger, calendar, after, after + _LOOK, daily_bars=False), _LOOKED_AT)
