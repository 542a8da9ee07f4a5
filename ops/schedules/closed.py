"""The days on which schedules that go by sessions are silent, and why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from trading.calendar import Calendar
from trading.definitions import Definition
from trading.gaps import gaps

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Silence:
    """Days without a slot, one reason for all of them. schedules: empty when it is every one that was asked for."""

    first: date
    last: date
    reason: str
    schedules: tuple[str, ...] = ()


def silences(
    definitions: Sequence[Definition], calendar: Calendar, names: Mapping[date, str], begins: datetime, ends: datetime
) -> list[Silence]:
    """Return the days from that of one moment to that of another on which schedules are silent, in order.

    names: of holidays. Neighbouring days of one reason and the same schedules are one.
    """
    found: dict[tuple[date, str], list[str]] = {}
    silent: set[str] = set()
    for one in definitions:
        for gap in gaps(one, calendar, begins, ends, names):
            found.setdefault((gap.day, gap.reason), []).append(one.name)
            silent.add(one.name)
    told: list[Silence] = []
    for (day, reason), schedules in sorted(found.items()):
        whose = () if len(schedules) == len(silent) else tuple(schedules)
        before = Silence(day, day - _DAY, reason, whose)
        same = next((one for one in told if replace(one, first=day) == before), before)
        told = [one for one in told if one is not same]
        told.append(replace(same, last=day))
    return told
