"""Triggers that no exchange's sessions move: each day, each interval since an anchor, once, never."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from trading.calendar import exchange_day, ist
from trading.session_triggers import Span

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_MONDAY = 0


@dataclass(frozen=True, slots=True)
class Daily:
    """Fires every day at a clock time in IST, whether the exchange trades, and whether the calendar knows the day."""

    clock: time

    def __str__(self) -> str:
        return f"daily at {self.clock:%H:%M}"

    def next_due(self, after: datetime, *, weekly: bool) -> datetime:
        """Return the first moment strictly after one; weekly: the first on a Monday."""
        day = exchange_day(after)
        if weekly:
            day -= timedelta(days=day.weekday() - _MONDAY)
        moment = ist(day, self.clock)
        while moment <= after:
            day += _WEEK if weekly else _DAY
            moment = ist(day, self.clock)
        return moment


@dataclass(frozen=True, slots=True)
class Interval:
    """Fires at its anchor and then every so often, in elapsed time: nothing that happens in between moves it."""

    every: Span
    since: datetime

    def __str__(self) -> str:
        return f"every {self.every} since {written(self.since)}"

    def next_due(self, after: datetime) -> datetime:
        """Return the first moment strictly after one, in UTC."""
        passed = 0 if after < self.since else (after - self.since) // self.every.length + 1
        return self.since.astimezone(UTC) + passed * self.every.length


@dataclass(frozen=True, slots=True)
class Once:
    """Fires at one moment."""

    at: datetime

    def __str__(self) -> str:
        return f"once {written(self.at)}"

    def next_due(self, after: datetime) -> datetime | None:
        """Return its moment in UTC if that is after another, else None."""
        return self.at.astimezone(UTC) if self.at > after else None


@dataclass(frozen=True, slots=True)
class OnRequest:
    """Never fires by itself."""

    def __str__(self) -> str:
        return "on request"


def written(moment: datetime) -> str:
    """Return a moment as triggers have it: ISO 8601 with its offset, without seconds that are zero."""
    return moment.isoformat(timespec="seconds" if moment.second else "minutes")
