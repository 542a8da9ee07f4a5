"""The first and last sessions of weeks, months, quarters and years, as far as a calendar knows them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from trading.calendar import Calendar, Session
from trading.errors import CalendarUncovered

EDGES = ("first", "last")
PERIODS = ("week", "month", "quarter", "year")

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Edge:
    """The first or last session of each period. which: of EDGES. period: of PERIODS."""

    which: str
    period: str

    def __str__(self) -> str:
        return f"on {self.which} session of {self.period}"


def edge_sessions(edge: Edge, calendar: Calendar, day: date) -> Iterator[Session]:
    """Yield the sessions at the edge of a day's period and of later ones, oldest first, where they are known."""
    while day <= calendar.last:
        _, last = bounds(edge.period, day)
        try:
            session = edge_session(edge, calendar, day)
        except CalendarUncovered:
            session = None
        if session is not None:
            yield session
        day = last + _DAY


def edge_session(edge: Edge, calendar: Calendar, day: date) -> Session | None:
    """Return the session at the edge of a day's period, None when the exchange does not trade in it.

    Raises CalendarUncovered when the calendar does not reach that edge of the period.
    """
    first, last = bounds(edge.period, day)
    reach = first if edge.which == "first" else last
    if not calendar.first <= reach <= calendar.last:
        raise CalendarUncovered(reach, calendar.first, calendar.last)
    sessions = calendar.sessions_between(max(first, calendar.first), min(last, calendar.last))
    if not sessions:
        return None
    return sessions[0] if edge.which == "first" else sessions[-1]


def bounds(period: str, day: date) -> tuple[date, date]:
    """Return the first and last day of the period that a day lies in. A week begins on Monday."""
    if period == "week":
        first = day - timedelta(days=day.weekday())
        return first, first + _WEEK - _DAY
    months = _MONTHS[period]
    first = date(day.year, (day.month - 1) // months * months + 1, 1)
    following = date(first.year + (first.month - 1 + months) // 12, (first.month - 1 + months) % 12 + 1, 1)
    return first, following - _DAY
