"""Triggers that follow an exchange's sessions, so that evening and weekend sessions need no rule of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from trading.calendar import BEFORE_CLOSE, Calendar, Session, ist
from trading.periods import Edge, edge_sessions
from trading.phases import Phase

# Keeps every moment of a regular session on its own day: 09:15 - 8 h and 15:30 + 8 h.
MAX_OFFSET = timedelta(hours=8)
_FIRST_OF_DAY, _LAST_OF_DAY = time(0), time(23, 59)
_FORTNIGHT = timedelta(days=14)
_DAY = timedelta(days=1)

UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time as it was written: 60s and 1m last equally long and are not the same text."""

    amount: int
    unit: str

    @property
    def length(self) -> timedelta:
        """The time it lasts."""
        return self.amount * UNITS[self.unit]

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


@dataclass(frozen=True, slots=True)
class Moment:
    """Fires once a session: at its open or close, or so long before ('-') or after ('+')."""

    anchor: str
    sign: str = ""
    span: Span | None = None

    def __str__(self) -> str:
        return f"{self.anchor}{self.sign}{self.span or ''}"

    @property
    def offset(self) -> timedelta:
        """How long after its anchor it is."""
        length = self.span.length if self.span else timedelta()
        return -length if self.sign == "-" else length

    def of(self, session: Session) -> datetime:
        """Return the moment in a session; one that falls off its exchange day is moved to that day's end or begin."""
        base = session.opens if self.anchor == "open" else session.closes
        earliest, latest = ist(session.day, _FIRST_OF_DAY), ist(session.day, _LAST_OF_DAY)
        return max(earliest, min(base + self.offset, latest))


@dataclass(frozen=True, slots=True)
class At:
    """Fires once a session day at a clock time in IST, whatever the session's hours are."""

    clock: time

    def __str__(self) -> str:
        return f"at {self.clock:%H:%M}"


@dataclass(frozen=True, slots=True)
class PreOpen:
    """Fires at a clock time in IST on each session day on which the pre-open holds that time."""

    clock: time

    def __str__(self) -> str:
        return f"each pre-open at {self.clock:%H:%M}"


@dataclass(frozen=True, slots=True)
class WhileOpen:
    """Fires at the open and then every so often before the close."""

    every: Span

    def __str__(self) -> str:
        return f"every {self.every} while open"


@dataclass(frozen=True, slots=True)
class Between:
    """Fires at the first moment and then every so often before the second."""

    every: Span
    start: Moment
    end: Moment

    def __str__(self) -> str:
        return f"every {self.every} from {self.start} until {self.end}"


@dataclass(frozen=True, slots=True)
class OnEdge:
    """Fires as another trigger does, on the first or last session of each week (Monday to Sunday), month, ... alone.

    A session of which the calendar does not tell whether it is the first or last, because its coverage begins or ends
    within that period, does not fire.
    """

    trigger: "Moment | At | PreOpen | WhileOpen | Between"
    edge: Edge

    def __str__(self) -> str:
        return f"{self.trigger} {self.edge}"


SessionTrigger = Moment | At | PreOpen | WhileOpen | Between | OnEdge


def moments_after(trigger: SessionTrigger, calendar: Calendar, after: datetime, daily_bars: bool) -> Iterator[datetime]:
    """Yield the moments strictly after `after` at which a trigger fires, in rising order, to the coverage's end.

    Raises CalendarUncovered when `after` lies before the coverage.
    """
    day = calendar.exchange_day(after)
    inner = trigger.trigger if isinstance(trigger, OnEdge) else trigger
    for session in _sessions_from(trigger, calendar, day):
        for moment in _due(inner, calendar, session, after, daily_bars):
            if moment > after:
                yield moment


def fires_in(trigger: SessionTrigger, calendar: Calendar, session: Session) -> bool:
    """Tell whether a trigger fires at all in a session of a calendar."""
    begin = ist(session.day, _FIRST_OF_DAY) - timedelta(microseconds=1)
    inner = trigger.trigger if isinstance(trigger, OnEdge) else trigger
    return any(True for _ in _due(inner, calendar, session, begin, daily_bars=False))


def _sessions_from(trigger: SessionTrigger, calendar: Calendar, day: date) -> Iterator[Session]:
    """Yield the sessions of a day and later, oldest first, that a trigger looks at; perhaps earlier ones before."""
    if isinstance(trigger, OnEdge):
        if day <= calendar.last:
            calendar.sessions_between(day, day)  # nothing is said of days before the coverage
            yield from edge_sessions(trigger.edge, calendar, day)
        return
    while day <= calendar.last:
        until = min(day + _FORTNIGHT, calendar.last)
        yield from calendar.sessions_between(day, until)
        day = until + _DAY


def _due(
    trigger: Moment | At | PreOpen | WhileOpen | Between,
    calendar: Calendar,
    session: Session,
    after: datetime,
    daily_bars: bool,
) -> Iterator[datetime]:
    """Yield the moments of one session in rising order; of a repeating trigger those after `after` alone."""
    match trigger:
        case Moment():
            yield trigger.of(session)
        case At(clock):
            yield ist(session.day, clock)
        case PreOpen(clock):
            moment, window = ist(session.day, clock), calendar.window(session, Phase.PREOPEN)
            if window is not None and window[0] <= moment < window[1]:
                yield moment
        case WhileOpen() if daily_bars:
            yield session.opens
            if session.closes - BEFORE_CLOSE > session.opens:
                yield session.closes - BEFORE_CLOSE
        case WhileOpen(every):
            yield from _repeat(session.opens, every, session.closes, after)
        case Between(every, start, end):
            first, stop = start.of(session), end.of(session)
            if daily_bars:
                yield from [first] if first < stop else []
            else:
                yield from _repeat(first, every, stop, after)


def _repeat(start: datetime, every: Span, stop: datetime, after: datetime) -> Iterator[datetime]:
    length = every.length
    moment = start if after < start else start + ((after - start) // length + 1) * length
    while moment < stop:
        yield moment
        moment += length
