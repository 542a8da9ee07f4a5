"""Every jump of every zone's clocks from 2000 to 2037, read from the tz database by the standard library's own reader."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import _zoneinfo  # type: ignore[attr-defined]  # the reader in Python shows its table, the one in C not

from trading.wall_times import zone_names

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2037, 12, 31, tzinfo=UTC)
_YEARS = range(FIRST.year - 1, LAST.year + 2)


@dataclass(frozen=True)
class Jump:
    """A moment at which a zone's distance from UTC changes, and what it was and is."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def is_gap(self) -> bool:
        """Whether wall times are left out; else they are there twice."""
        return self.after > self.before


@lru_cache(maxsize=1)
def jumps_by_zone() -> dict[str, tuple[Jump, ...]]:
    """Return the jumps of each zone by its name, oldest first."""
    return {name: _jumps(name) for name in sorted(zone_names().values())}


@lru_cache(maxsize=1)
def one_of_each() -> dict[str, tuple[Jump, ...]]:
    """Return one zone for each table of jumps: many are one another's other names."""
    return {name: jumps for jumps, name in {jumps: name for name, jumps in jumps_by_zone().items()}.items()}


def _jumps(name: str) -> tuple[Jump, ...]:
    zone = _zoneinfo.ZoneInfo.no_cache(name)
    moments = {datetime.fromtimestamp(at, UTC) for at in zone._trans_utc}
    if isinstance(zone._tz_after, _zoneinfo._TZStr):
        rule = zone._tz_after
        for year in _YEARS:
            starts, ends = rule.transitions(year)
            moments.add(datetime.fromtimestamp(starts, UTC) - rule.std.utcoff)
            moments.add(datetime.fromtimestamp(ends, UTC) - rule.dst.utcoff)
    within = sorted(at for at in moments if FIRST <= at <= LAST)
    offsets = [(_offset(zone, at - timedelta(seconds=1)), _offset(zone, at)) for at in within]
    return tuple(Jump(at, *both) for at, both in zip(within, offsets, strict=True) if both[0] != both[1])


def _offset(zone: object, at: datetime) -> timedelta:
    offset = at.astimezone(zone).utcoffset()  # type: ignore[arg-type]  # a zone
    assert offset is not None
    return offset


def nearest(jumps: tuple[Jump, ...]) -> timedelta:
    """Return the shortest time between two jumps."""
    return min((later.at - earlier.at for earlier, later in pairwise(jumps)), default=timedelta.max)
