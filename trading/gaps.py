"""Days on which a schedule that follows sessions does not fire, and why: for people who wonder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from trading.calendar import Calendar, Session, exchange_day, exchange_time
from trading.definitions import Definition
from trading.errors import CalendarUncovered
from trading.periods import Edge, bounds, edge_session
from trading.session_triggers import OnEdge, SessionTrigger, fires_in

_DAY = timedelta(days=1)
_SATURDAY = 5
_NO_NAMES: Mapping[date, str] = {}


@dataclass(frozen=True, slots=True)
class Gap:
    """A day without a firing. Where nothing is known or wanted of any later day either, it stands for those too."""

    day: date
    reason: str


def gaps(
    definition: Definition,
    calendar: Calendar,
    after: datetime,
    until: datetime,
    names: Mapping[date, str] = _NO_NAMES,
) -> Iterator[Gap]:
    """Yield the exchange days from that of `after` to that of `until` on which no slot falls, in order.

    Triggers that do not follow sessions have none. One that is kept to the first or last session of a period has only
    those periods in which it fires on none. names: of holidays, by day.
    """
    trigger, day, last = definition.trigger, exchange_day(after), exchange_day(until)
    if not isinstance(trigger, SessionTrigger):
        return
    if definition.starts_at is not None and day < (starts := exchange_day(definition.starts_at)):
        yield Gap(day, f"it starts {_shown(definition.starts_at)}")
        day = starts
    ends = last if definition.ends_at is None else min(last, exchange_day(definition.ends_at))
    if day <= ends and day < calendar.first:
        yield Gap(day, f"the calendar begins {calendar.first}")
        day = calendar.first
    if isinstance(trigger, OnEdge):
        yield from _of_periods(trigger, calendar, day, min(ends, calendar.last))
    else:
        yield from _of_days(trigger, calendar, day, min(ends, calendar.last), names)
    if max(day, calendar.last + _DAY) <= ends:
        yield Gap(
            max(day, calendar.last + _DAY), f"the calendar ends {calendar.last}: nothing fires until another is there"
        )
    if ends < last and definition.ends_at is not None:
        yield Gap(max(ends + _DAY, exchange_day(after)), f"it ended {_shown(definition.ends_at)}")


def _of_days(
    trigger: SessionTrigger, calendar: Calendar, day: date, last: date, names: Mapping[date, str]
) -> Iterator[Gap]:
    while day <= last:
        session = calendar.session(day)
        if session is None:
            yield Gap(day, _closed(day, names))
        elif not fires_in(trigger, calendar, session):
            yield Gap(day, f"'{trigger}' is no moment of {_hours(session)}")
        day += _DAY


def _of_periods(trigger: OnEdge, calendar: Calendar, day: date, last: date) -> Iterator[Gap]:
    edge = trigger.edge
    while day <= last:
        first_of_period, last_of_period = bounds(edge.period, day)
        try:
            session = edge_session(edge, calendar, day)
        except CalendarUncovered:
            yield Gap(day, _unknown(edge, calendar))
        else:
            if session is None:
                yield Gap(day, f"no session from {first_of_period} to {last_of_period}")
            elif day <= session.day <= last and not fires_in(trigger, calendar, session):
                yield Gap(session.day, f"'{trigger.trigger}' is no moment of {_hours(session)}")
        day = last_of_period + _DAY


def _closed(day: date, names: Mapping[date, str]) -> str:
    if day in names:
        return f"holiday: {names[day]}"
    return "weekend" if day.weekday() >= _SATURDAY else "holiday"


def _unknown(edge: Edge, calendar: Calendar) -> str:
    ends = f"the calendar {'begins' if edge.which == 'first' else 'ends'} within the {edge.period}"
    return (
        f"nobody knows the {edge.which} session: {ends}, {calendar.first if edge.which == 'first' else calendar.last}"
    )


def _hours(session: Session) -> str:
    return f"the session {exchange_time(session.opens):%H:%M}-{exchange_time(session.closes):%H:%M} IST"


def _shown(moment: datetime) -> str:
    return f"{exchange_time(moment):%Y-%m-%d %H:%M} IST"
