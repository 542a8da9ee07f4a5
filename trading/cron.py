"""Cron: moments by the fields of a zone's wall clock, and what becomes of them when that clock jumps."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from trading.cron_fields import ZERO, Field
from trading.wall_times import Stretch, stretch_at

GAPS = ("skip", "shift")
FOLDS = ("first", "second", "both")

_SECOND = timedelta(seconds=1)
# No clock has jumped further; from here before a match on, every stretch is looked at.
_FARTHEST = timedelta(days=2)
# A 29 February on one day of the week comes back after 28 years, after 40 where a century has no leap day.
_YEARS = 41
_LAST_YEAR = 9990


@dataclass(frozen=True, slots=True)
class Cron:
    """Fires when a zone's wall clock shows a second, minute, hour and day that all its fields name.

    Two day fields that both name days: one that fits is enough, as in every cron; beside a `*` or `*/n` both must.

    gap: of a wall time that the clock jumps over. 'skip' leaves it out, 'shift' fires at the moment of the jump, once
    for all that it jumps over. fold: of a wall time that is there twice. None stands for what suits the fields:

    - Fields that name a time of day (`0 2 * * *`) mean one firing a day: shift, first.
    - A `*` or `*/n` in second, minute or hour means a rhythm, which goes on in elapsed time: every quarter of an hour
      there are still fifteen minutes between two firings, whatever the clock shows. So both, and nothing in the place
      of what is not there: skip.
    """

    second: Field
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field
    zone: str
    gap: str
    fold: str

    def __str__(self) -> str:
        seconds = () if self.second == ZERO else (self.second,)
        fields = (*seconds, self.minute, self.hour, self.day, self.month, self.weekday)
        gap, fold = default_policy(self.second, self.minute, self.hour)
        said = [f", gap {self.gap}"] if self.gap != gap else []
        said += [f", fold {self.fold}"] if self.fold != fold else []
        return f"cron {' '.join(map(str, fields))} in {self.zone}{''.join(said)}"

    def next_due(self, after: datetime) -> datetime | None:
        """Return the first moment strictly after an aware one, in UTC; None: there is none in the next 41 years."""
        at = after.astimezone(UTC).replace(tzinfo=None, microsecond=0) + _SECOND
        last_year = min(at.year + _YEARS, _LAST_YEAR)
        while at.year <= last_year:
            stretch = stretch_at(self.zone, at)
            if at == stretch.begins and self.gap == "shift" and self._leaps(stretch):
                return at.replace(tzinfo=UTC)
            begins, ends = self._wall(stretch, at)
            wall = self.next_wall(begins, last_year)
            if wall is None:
                return None
            moment = wall - stretch.offset
            if wall < ends:
                return moment.replace(tzinfo=UTC)
            at = max(stretch.stop, moment - _FARTHEST)
        return None

    def _wall(self, stretch: Stretch, at: datetime) -> tuple[datetime, datetime]:
        """Return the wall times of a stretch from a moment on that fire in it: of doubled ones those of the fold."""
        begins, ends = at + stretch.offset, stretch.stop + stretch.offset
        if self.fold == "first" and stretch.before > stretch.offset:
            begins = max(begins, stretch.begins + stretch.before)
        if self.fold == "second" and stretch.after < stretch.offset:
            ends = min(ends, stretch.ends + stretch.after)
        return begins, ends

    def _leaps(self, stretch: Stretch) -> bool:
        """Tell whether the jump at a stretch's begin leaves out a wall time that the fields name."""
        if stretch.offset <= stretch.before:
            return False
        wall = self.next_wall(stretch.begins + stretch.before, stretch.begins.year + 1)
        return wall is not None and wall < stretch.begins + stretch.offset

    def next_wall(self, wall: datetime, last_year: int) -> datetime | None:
        """Return the first wall time at or after one that all fields name; None: none until that year's end."""
        year, month, day = wall.year, wall.month, wall.day
        days = self._days(year, month)
        if days >> day & 1:
            clock = self._next_clock(wall.hour, wall.minute, wall.second)
            if clock is not None:
                return datetime(year, month, day, *clock)  # noqa: DTZ001  # a wall time
        days = days >> day + 1 << day + 1
        while not days:
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)  # months
            if year > last_year:
                return None
            days = self._days(year, month)
        clock = _lowest(self.hour.bits), _lowest(self.minute.bits), _lowest(self.second.bits)
        return datetime(year, month, _lowest(days), *clock)  # noqa: DTZ001  # a wall time

    def _days(self, year: int, month: int) -> int:
        if not self.month.bits >> month & 1:
            return 0
        either = not self.day.starred and not self.weekday.starred
        return _days_of(year, month, self.day.bits, self.weekday.bits, either)

    def _next_clock(self, hour: int, minute: int, second: int) -> tuple[int, int, int] | None:
        """Return the first time of day at or after one that the fields name, if the day has one."""
        hours, minutes, seconds = self.hour.bits, self.minute.bits, self.second.bits
        if hours >> hour & 1:
            if minutes >> minute & 1 and seconds >> second:
                return hour, minute, _lowest(seconds >> second << second)
            if minutes >> minute + 1:
                return hour, _lowest(minutes >> minute + 1 << minute + 1), _lowest(seconds)
        if hours >> hour + 1:
            return _lowest(hours >> hour + 1 << hour + 1), _lowest(minutes), _lowest(seconds)
        return None


def default_policy(second: Field, minute: Field, hour: Field) -> tuple[str, str]:
    """Return the policies of gap and fold that suit a cron's time fields."""
    repeats = second.starred or minute.starred or hour.starred
    return ("skip", "both") if repeats else ("shift", "first")


@lru_cache(maxsize=4096)
def _days_of(year: int, month: int, days: int, weekdays: int, either: bool) -> int:  # a key of the cache
    """Return the days of a month as bits. weekdays: bit 0 is Sunday."""
    first = datetime(year, month, 1)  # noqa: DTZ001  # a day
    following = datetime(year + month // 12, month % 12 + 1, 1)  # noqa: DTZ001
    length = (following - first).days
    sunday_is_0 = first.isoweekday()
    by_weekday = sum(1 << day for day in range(1, length + 1) if weekdays >> (sunday_is_0 + day - 1) % 7 & 1)
    by_day = days & (2 << length) - 2
    return by_day | by_weekday if either else by_day & by_weekday


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
