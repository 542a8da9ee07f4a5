"""Exchange sessions, market phases and exchange time. The one place that knows IST."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise
from zoneinfo import ZoneInfo

from trading.errors import CalendarUncovered

_IST = ZoneInfo("Asia/Kolkata")
_DAY = timedelta(days=1)

# A daily bar counts as whole from here: late enough for its close, early enough to sell in the session.
BEFORE_CLOSE = timedelta(minutes=5)
# Pre-open order entry and matching, 09:00-09:15; evening sessions keep the same quarter of an hour.
_PREOPEN = timedelta(minutes=15)
# After-market orders are taken 15:45-08:57 (Kotak's page); brokers kept 17:57 for the 18:15 session of 2019-10-27.
_AMO_BEGINS = timedelta(minutes=15)
AMO_ENDS = timedelta(minutes=18)
# The post-close window began 10 minutes after the close. Since the closing auction of 2026-08-03 it begins 20 minutes
# after, when after-market orders are already taken.
_POST_CLOSE = timedelta(minutes=10)
_CLOSING_AUCTION_SINCE = date(2026, 8, 3)


class Phase(StrEnum):
    """What the market is doing. From 15 minutes after a close on, `amo` stands before `post_close`."""

    CLOSED = "closed"
    PREOPEN = "preopen"
    OPEN = "open"
    POST_CLOSE = "post_close"
    AMO = "amo"


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

    def __init__(self, exchange: str, sessions: Sequence[Session], first: date, last: date) -> None:
        """sessions: oldest first, at most one a day, all from first to last. Raises ValueError otherwise."""
        self.exchange, self.first, self.last = exchange, first, last
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

    def phase(self, at: datetime) -> Phase:
        """Return the market phase of a moment, from the hours of the sessions around it."""
        self._require(exchange_day(at))
        index = bisect_right(self._closes, at)
        if index < len(self) and (before := _phase_before_close(self._sessions[index], at)):
            return before
        return _phase_after_close(self._sessions[index - 1], at) if index else Phase.AMO

    def bar_is_whole(self, at: datetime) -> bool:
        """Tell whether the bar of a moment's exchange day is as good as complete; False on a day without a session."""
        session = self.session(exchange_day(at))
        return session is not None and at >= session.closes - BEFORE_CLOSE

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


def _phase_before_close(session: Session, at: datetime) -> Phase | None:
    if at >= session.opens:
        return Phase.OPEN
    if at >= session.opens - _PREOPEN:
        return Phase.PREOPEN
    return Phase.CLOSED if at >= session.opens - AMO_ENDS else None


def _phase_after_close(session: Session, at: datetime) -> Phase:
    since = at - session.closes
    if since >= _AMO_BEGINS:
        return Phase.AMO
    return Phase.POST_CLOSE if since >= _POST_CLOSE and session.day < _CLOSING_AUCTION_SINCE else Phase.CLOSED
