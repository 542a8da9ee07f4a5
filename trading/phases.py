"""The phases of a market day, and the clock hours an exchange gives them: each with its validity and its source."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, time
from enum import StrEnum

ALL = "all"
"""The segment of every share. A share of another segment has that segment's hours where it has its own."""


class Phase(StrEnum):
    """What the market is doing. After-market orders may be taken already while `post_close` lasts: then it is `amo`."""

    CLOSED = "closed"
    PREOPEN = "preopen"
    OPEN = "open"
    CLOSING_AUCTION = "closing_auction"
    POST_CLOSE = "post_close"
    AMO = "amo"


# As a calendar file and its readers call them.
PHASE_WORDS = {
    "pre-open": Phase.PREOPEN,
    "continuous": Phase.OPEN,
    "closing-auction": Phase.CLOSING_AUCTION,
    "post-close": Phase.POST_CLOSE,
    "amo": Phase.AMO,
}


@dataclass(frozen=True, slots=True)
class Hours:
    """The clock hours, exchange time, that a phase has in regular sessions while they are valid.

    Of a phase that lasts over night (`amo`) opens is the later one. valid_to: None: until other hours are known. Hours
    that are valid for one day are that session's own, whatever others hold. source: who says so.
    """

    phase: Phase
    segment: str
    opens: time
    closes: time
    valid_from: date
    valid_to: date | None
    source: str

    @property
    def is_of_one_day(self) -> bool:
        """Whether they are the own hours of one session."""
        return self.valid_to == self.valid_from

    def __str__(self) -> str:
        """Return the head line of a calendar file, behind its `# hours:`."""
        word = next(word for word, phase in PHASE_WORDS.items() if phase is self.phase)
        until = f" to {self.valid_to}" if self.valid_to else ""
        valid = f"on {self.valid_from}" if self.is_of_one_day else f"from {self.valid_from}{until}"
        return f"{word} {self.segment} {self.opens:%H:%M}-{self.closes:%H:%M} {valid} source {self.source}"


class Timetable:
    """Which hours a phase has on a day."""

    def __init__(self, hours: Iterable[Hours]) -> None:
        """hours: in any order; of two that overlap the later one counts."""
        self.hours = tuple(sorted(hours, key=lambda one: (list(Phase).index(one.phase), one.segment, one.valid_from)))
        self._lasting: dict[tuple[Phase, str], list[Hours]] = {}
        self._own: dict[tuple[Phase, str, date], Hours] = {}
        for one in self.hours:
            if one.is_of_one_day:
                self._own[one.phase, one.segment, one.valid_from] = one
            else:
                self._lasting.setdefault((one.phase, one.segment), []).append(one)

    @property
    def segments(self) -> list[str]:
        """The segments that have hours, `all` first."""
        return [ALL, *sorted({one.segment for one in self.hours} - {ALL})]

    def lasting(self, phase: Phase, segment: str, day: date) -> Hours | None:
        """Return the hours of regular sessions that hold on a day, the segment's before those of all; None: none."""
        found = self._valid(phase, segment, day)
        return found if found is not None or segment == ALL else self._valid(phase, ALL, day)

    def own(self, phase: Phase, segment: str, day: date) -> Hours | None:
        """Return the hours that a day has for itself; None: it has those of regular sessions."""
        return self._own.get((phase, segment, day)) or self._own.get((phase, ALL, day))

    def _valid(self, phase: Phase, segment: str, day: date) -> Hours | None:
        known = self._lasting.get((phase, segment), [])
        index = bisect_right(known, day, key=lambda one: one.valid_from)
        if not index:
            return None
        newest = known[index - 1]
        return newest if newest.valid_to is None or day <= newest.valid_to else None
