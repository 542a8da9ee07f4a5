"""The days on which nothing fires that goes by sessions, and why. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from trading.calendar import Calendar, exchange_day
from trading.calendar_file import NamedDay

_DAY = timedelta(days=1)
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Gap:
    """Days without a session. last: None, all that follow. reason: a holiday's name, a weekend, no calendar."""

    first: date
    last: date | None
    reason: str


def closed_days(calendar: Calendar, named: Mapping[date, NamedDay], begins: datetime, ends: datetime) -> list[Gap]:
    """Return the gaps of a span, both ends included, in order; neighbours of one reason are one."""
    found: list[Gap] = []
    day, last = exchange_day(begins), exchange_day(ends)
    if day < calendar.first:
        found.append(Gap(day, min(last, calendar.first - _DAY), _uncovered(calendar)))
        day = calendar.first
    while day <= min(last, calendar.last):
        if not calendar.is_session(day):
            _add(found, day, _reason(day, named))
        day += _DAY
    if last > calendar.last:
        found.append(Gap(max(exchange_day(begins), calendar.last + _DAY), None, _uncovered(calendar)))
    return found


def _add(found: list[Gap], day: date, reason: str) -> None:
    if found and found[-1].last == day - _DAY and found[-1].reason == reason:
        found[-1] = Gap(found[-1].first, day, reason)
    else:
        found.append(Gap(day, day, reason))


def _reason(day: date, named: Mapping[date, NamedDay]) -> str:
    if day in named:
        return named[day].name
    return "weekend" if day.weekday() >= _SATURDAY else "closed, no name given"


def _uncovered(calendar: Calendar) -> str:
    return f"the calendar covers {calendar.first} to {calendar.last} only: what trades fires nowhere else"
