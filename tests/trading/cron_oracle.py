"""Cron by brute force: every wall time of some days is asked of the standard library whether it is there once, twice or not."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.trading.tz_jumps import Jump

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Clocks:
    """The times of day of a cron that fires every day."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]

    @classmethod
    def of(cls, at: time) -> "Clocks":
        """Return one time of day."""
        return cls((at.second,), (at.minute,), (at.hour,))

    def fields(self) -> str:
        """Return the first three fields of a cron text."""
        return " ".join(",".join(map(str, values)) for values in (self.seconds, self.minutes, self.hours))

    def times(self) -> Iterator[time]:
        """Yield the times of day, earliest first."""
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                for second in sorted(self.seconds):
                    yield time(hour, minute, second)


def fires(
    clocks: Clocks, zone: str, jumps: tuple[Jump, ...], span: tuple[datetime, datetime], gap: str, fold: str
) -> list[datetime]:
    """Return the moments of (after, until] at which a daily cron fires, by the meaning of its policies."""
    after, until = span
    info = ZoneInfo(zone)
    day, last = (after - 2 * DAY).date(), (until + 2 * DAY).date()
    moments: set[datetime] = set()
    while day <= last:
        for clock in clocks.times():
            moments |= _of(datetime.combine(day, clock), info, jumps, gap, fold)
        day += DAY
    return sorted(moment for moment in moments if after < moment <= until)


def _of(wall: datetime, info: ZoneInfo, jumps: tuple[Jump, ...], gap: str, fold: str) -> set[datetime]:
    both = [wall.replace(tzinfo=info, fold=n).astimezone(UTC) for n in (0, 1)]
    there = [moment for moment in both if moment.astimezone(info).replace(tzinfo=None) == wall]
    if not there:
        return {_jump_over(wall, jumps)} if gap == "shift" else set()
    return {"first": {min(there)}, "second": {max(there)}, "both": {*there}}[fold]


def _jump_over(wall: datetime, jumps: tuple[Jump, ...]) -> datetime:
    (jump,) = [
        one.at
        for one in jumps
        if one.at.replace(tzinfo=None) + one.before <= wall < one.at.replace(tzinfo=None) + one.after
    ]
    return jump
