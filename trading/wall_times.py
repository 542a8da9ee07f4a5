"""Stretches of time in which a zone's clocks keep one distance from UTC, and where they jump."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

_DAY = timedelta(days=1)
# How far past its year a stretch's ends are true: more than any clock jumps (Apia left out a day in 2011).
_MARGIN = 2 * _DAY
_SECOND = timedelta(seconds=1)
# No zones of the world: a machine's own, and one that says that none was set.
_NO_PLACES = frozenset({"localtime", "Factory", "posixrules"})


class Stretch(NamedTuple):
    """A time without a jump, [begins, ends) in UTC without a zone. before, offset, after: local time less UTC.

    stop: its end or its year's: a stretch that goes on is another one then, which sees further.
    """

    begins: datetime
    ends: datetime
    stop: datetime
    before: timedelta
    offset: timedelta
    after: timedelta


@lru_cache(maxsize=1)
def zone_names() -> dict[str, str]:
    """Return the zones of the installed database by their names in small letters."""
    return {name.lower(): name for name in available_timezones() - _NO_PLACES}


def stretch_at(zone: str, at: datetime) -> Stretch:
    """Return the stretch of a moment (UTC without a zone). Its ends are jumps if they lie in its year or near it."""
    for stretch in _of_year(zone, at.year):
        if at < stretch.ends:
            return stretch
    raise AssertionError(f"{at} lies in no stretch of its year")


@lru_cache(maxsize=4096)
def _of_year(zone: str, year: int) -> tuple[Stretch, ...]:
    """Return the stretches of a year, oldest first; the first begins before the year, the last ends after it."""
    over = datetime(year + 1, 1, 1)  # noqa: DTZ001  # UTC
    first, last = datetime(year, 1, 1) - _MARGIN, over + _MARGIN  # noqa: DTZ001  # UTC
    info = ZoneInfo(zone)
    edges = [first, *_jumps(info, first, last), last]
    offsets = [_offset(info, edge) for edge in edges]
    offsets[-1] = offsets[-2]  # what lies behind the margin is another year's to tell
    before = [offsets[0], *offsets]
    return tuple(
        Stretch(edges[n], edges[n + 1], min(edges[n + 1], over), before[n], offsets[n], offsets[n + 1])
        for n in range(len(edges) - 1)
    )


def _jumps(info: ZoneInfo, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the moments in (first, last] from which on the offset is another, by looking at it once a day."""
    at, offset = first, _offset(info, first)
    while at < last:
        later = min(at + _DAY, last)
        reached = _offset(info, later)
        while offset != reached:
            at = _first_jump(info, at, later)
            offset = _offset(info, at)
            yield at
        at = later


def _first_jump(info: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Return a moment in (low, high] at which the offset changes from that of `low`, to the second."""
    offset = _offset(info, low)
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if _offset(info, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(info: ZoneInfo, at: datetime) -> timedelta:
    offset = at.replace(tzinfo=UTC).astimezone(info).utcoffset()
    assert offset is not None  # noqa: S101  # a zone of the database always has one
    return offset
