"""Exchange sessions, the phases around them and exchange time. The one place that knows IST."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from trading.errors import CalendarUncovered, HoursUnknown
from trading.phases import ALL, Hours, Timetable
from trading.phases import Phase as Phase  # noqa: PLC0414 - whoever asks for a phase has it from here

_IST = ZoneInfo("Asia/Kolkata")
_DAY = timedelta(days=1)

# A daily bar counts as whole from here: late enough for its close, early enough to sell in the session.
BEFORE_CLOSE = timedelta(minutes=5)
# What is told of a moment, the first that holds: of after-market orders and the post-close window the former.
_IN_SESSION = (Phase.OPEN, Phase.CLOSING_AUCTION, Phase.PREOPEN)
# Whether a phase begins and ends with the open of a session or with its close. After-market orders for a session end
# before its open; those for the next one begin after its close.
_OF_OPEN = {
    Phase.PREOPEN: (True, True),
    Phase.OPEN: (True, False),
    Phase.CLOSING_AUCTION: (False, False),
    Phase.POST_CLOSE: (False, False),
    Phase.AMO: (False, True),
}


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session. day: its exchange date. opens, closes: aware UTC. kind: 'regular' or 'special'."""

    day: date
    opens: datetime
    closes: datetime
    kind: str = "regular"


def ist(day: date, clock: time) -> datetime:
    """Return the UTC moment of an exchange date and a clock time in IST."""
    return datetime.combine(day, clock, _IST).astimezone(UTC)


def exchange_day(at: datetime) -> date:
    """Return the exchange date of an aware moment. Raises ValueError when it is naive."""
    if at.tzinfo is None:
        raise ValueError(f"a moment without a time zone: {at}; give it in UTC")
    return at.astimezone(_IST).date()


def exchange_time(at: datetime) -> datetime:
    """Return an aware moment in exchange time, for people to read."""
    return at.astimezone(_IST)


def from_exchange_time(at: datetime) -> datetime:
    """Return the UTC moment of a time without a zone that was written down in India. An aware one keeps its zone."""
    return (at if at.tzinfo else at.replace(tzinfo=_IST)).astimezone(UTC)


class Calendar:
    """The sessions of one exchange over a covered range of days.

    A covered day without a session is closed; any answer that hangs on a day outside raises CalendarUncovered.
    """

    def __init__(
        self, exchange: str, sessions: Sequence[Session], first: date, last: date, hours: Sequence[Hours] = ()
    ) -> None:
        """sessions: oldest first, at most one a day, all from first to last. Raises ValueError otherwise.

        hours: of the phases; a phase without hours is none: nothing but `open` and `closed` is told, and nothing is
        known of after-market orders.
        """
        self.exchange, self.first, self.last = exchange, first, last
        self.timetable = Timetable(hours)
        self._sessions = tuple(sessions)
        self._days = [session.day for session in self._sessions]
        self._closes = [session.closes for session in self._sessions]
        self._check()

    def __len__(self) -> int:
        return len(self._sessions)

    def session(self, day: date) -> Session | None:
        """Return the session of a day; None means closed."""
        self._require(day)
        index = bisect_left(self._days, day)
        return self._sessions[index] if index < len(self) and self._days[index] == day else None

    def is_session(self, day: date) -> bool:
        """Tell whether the exchange trades on a day."""
        return self.session(day) is not None

    def next_session(self, after: date) -> Session:
        """Return the first session of a later day."""
        self._require(after + _DAY)
        index = bisect_right(self._days, after)
        if index == len(self):
            raise CalendarUncovered(self.last + _DAY, self.first, self.last)
        return self._sessions[index]

    def previous_session(self, before: date) -> Session:
        """Return the last session of an earlier day."""
        self._require(before - _DAY)
        index = bisect_left(self._days, before)
        if index == 0:
            raise CalendarUncovered(self.first - _DAY, self.first, self.last)
        return self._sessions[index - 1]

    def sessions_between(self, first: date, last: date) -> Sequence[Session]:
        """Return the sessions of first <= day <= last, oldest first; empty when first > last."""
        self._require(first)
        self._require(last)
        return self._sessions[bisect_left(self._days, first) : bisect_right(self._days, last)]

    def exchange_day(self, at: datetime) -> date:
        """Return the exchange date of a moment."""
        return exchange_day(at)

    def current_or_next(self, at: datetime) -> Session:
        """Return the first session that closes after a moment."""
        self._require(exchange_day(at))
        index = bisect_right(self._closes, at)
        if index == len(self):
            raise CalendarUncovered(self.last + _DAY, self.first, self.last)
        return self._sessions[index]

    def last_closed(self, at: datetime) -> Session:
        """Return the latest session that has closed at a moment (closes <= at)."""
        self._require(exchange_day(at))
        index = bisect_right(self._closes, at)
        if index == 0:
            raise CalendarUncovered(self.first - _DAY, self.first, self.last)
        return self._sessions[index - 1]

    def until(self, last: date) -> "Calendar":
        """Return the calendar as it would be if it covered no day after `last`."""
        return Calendar(self.exchange, self.sessions_between(self.first, last), self.first, last, self.timetable.hours)

    def phase(self, at: datetime, segment: str = ALL) -> Phase:
        """Return the market phase of a moment for the shares of a segment, from the hours of the sessions around it."""
        self._require(exchange_day(at))
        index = bisect_right(self._closes, at)
        around = self._sessions[max(index - 1, 0) : index + 1]
        for session in around:
            for phase in _IN_SESSION:
                if self._is_within(session, phase, segment, at):
                    return phase
        if self._takes_amo(index, at, segment):
            return Phase.AMO
        within = index and self._is_within(self._sessions[index - 1], Phase.POST_CLOSE, segment, at)
        return Phase.POST_CLOSE if within else Phase.CLOSED

    def window(self, session: Session, phase: Phase, segment: str = ALL) -> tuple[datetime, datetime] | None:
        """Return when a phase of a session begins and ends, aware UTC; None: the session has no such phase.

        A session of other hours than the usual keeps the phases' usual distances from its open and close, save what
        has hours for that day alone. Of `amo`, which lies between two sessions: see `amo_begins` and `amo_ends`.
        """
        if phase is Phase.OPEN and segment == ALL:
            return session.opens, session.closes
        bounds = self._bounds(session, phase, segment)
        return bounds if bounds is not None and bounds[0] < bounds[1] else None

    def amo_begins(self, session: Session, segment: str = ALL) -> datetime:
        """Return from when after its close orders for the next session are taken. Raises HoursUnknown."""
        return self._amo(session, segment)[0]

    def amo_ends(self, session: Session, segment: str = ALL) -> datetime:
        """Return until when before its open after-market orders for a session are taken. Raises HoursUnknown."""
        return self._amo(session, segment)[1]

    def bar_is_whole(self, at: datetime) -> bool:
        """Tell whether the bar of a moment's exchange day is as good as complete; False on a day without a session."""
        session = self.session(exchange_day(at))
        return session is not None and at >= session.closes - BEFORE_CLOSE

    def _is_within(self, session: Session, phase: Phase, segment: str, at: datetime) -> bool:
        window = self.window(session, phase, segment)
        return window is not None and window[0] <= at < window[1]

    def _amo(self, session: Session, segment: str) -> tuple[datetime, datetime]:
        bounds = self._bounds(session, Phase.AMO, segment)
        if bounds is None:
            raise HoursUnknown(Phase.AMO, session.day, self.first, self.last)
        return bounds

    def _takes_amo(self, index: int, at: datetime, segment: str) -> bool:
        """Tell whether after-market orders are taken between the sessions before and at an index."""
        if self.timetable.lasting(Phase.AMO, segment, exchange_day(at)) is None:
            return False
        before = self._bounds(self._sessions[index - 1], Phase.AMO, segment) if index else None
        after = self._bounds(self._sessions[index], Phase.AMO, segment) if index < len(self) else None
        return (before is None or before[0] <= at) and (after is None or at < after[1])

    def _bounds(self, session: Session, phase: Phase, segment: str) -> tuple[datetime, datetime] | None:
        """Return when a phase begins and ends: as far from the open or the close as in a regular session."""
        own = self.timetable.own(phase, segment, session.day)
        if own is not None:
            return ist(session.day, own.opens), ist(session.day, own.closes)
        hours = self.timetable.lasting(phase, segment, session.day)
        usual = self.timetable.lasting(Phase.OPEN, ALL, session.day)
        if hours is None or usual is None:
            return None
        first, last = (
            session.opens + _apart(usual.opens, clock) if is_of_open else session.closes + _apart(usual.closes, clock)
            for clock, is_of_open in zip((hours.opens, hours.closes), _OF_OPEN[phase], strict=True)
        )
        return first, last

    def _require(self, day: date) -> None:
        if not self.first <= day <= self.last:
            raise CalendarUncovered(day, self.first, self.last)

    def _check(self) -> None:
        for session in self._sessions:
            if not self.first <= session.day <= self.last:
                raise ValueError(f"session {session.day} lies outside the coverage {self.first} to {self.last}")
            if not session.opens < session.closes or exchange_day(session.opens) != session.day:
                raise ValueError(
                    f"session {session.day} has hours that do not fit: {session.opens} to {session.closes}"
                )
        for earlier, later in pairwise(self._sessions):
            if later.day <= earlier.day or later.opens < earlier.closes:
                raise ValueError(f"session {later.day} does not follow session {earlier.day}")


def _apart(earlier: time, later: time) -> timedelta:
    return datetime.combine(date.min, later) - datetime.combine(date.min, earlier)
