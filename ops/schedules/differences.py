"""Which slots come, go or move between two definitions of a schedule. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby, zip_longest

from trading.calendar import Calendar, exchange_day
from trading.definitions import Definition
from trading.firings import firings


@dataclass(frozen=True, slots=True)
class Difference:
    """A slot that is not the same by both. before: None, it comes. after: None, it goes. Else it moves."""

    day: date
    before: datetime | None
    after: datetime | None

    @property
    def kind(self) -> str:
        """Say what becomes of it."""
        if self.before is None:
            return "comes"
        return "goes" if self.after is None else "moves"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences in order, and how many slots are the same by both."""

    differences: tuple[Difference, ...]
    same: int

    def count(self, kind: str) -> int:
        """Return how many come, go or move."""
        return sum(one.kind == kind for one in self.differences)


def compare(
    before: Definition,
    after: Definition,
    calendar: Calendar,
    first: datetime,
    last: datetime,
    daily_bars: bool = False,
) -> Comparison:
    """Return what is different in (first, last]. What goes and what comes on one exchange day is one move.

    Of a schedule that has run before, each definition counts its runs from the first moment on.
    """
    old, new = (
        {one.slot for one in firings(side, calendar, first, last, daily_bars) if one.outcome == "fires"}
        for side in (before, after)
    )
    gone, come = _by_day(old - new), _by_day(new - old)
    found = [one for day in sorted(gone.keys() | come.keys()) for one in _paired(day, gone.get(day), come.get(day))]
    return Comparison(tuple(found), len(old & new))


def _paired(day: date, gone: list[datetime] | None, come: list[datetime] | None) -> Iterator[Difference]:
    for before, after in zip_longest(gone or [], come or []):
        yield Difference(day, before, after)


def _by_day(slots: set[datetime]) -> dict[date, list[datetime]]:
    return {day: list(some) for day, some in groupby(sorted(slots), key=exchange_day)}
