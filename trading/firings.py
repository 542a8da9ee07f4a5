"""The one planner: the slots of a schedule and what becomes of each. Live, replay, preview and simulation use it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading.calendar import Calendar
from trading.definitions import Definition
from trading.triggers import due_between

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Firing:
    """A slot, aware UTC. outcome: 'fires' or 'skipped', then with its reason."""

    slot: datetime
    outcome: str = "fires"
    reason: str = ""


def firings(
    definition: Definition,
    calendar: Calendar,
    after: datetime,
    until: datetime,
    daily_bars: bool = False,
    *,
    runs: int = 0,
) -> Iterator[Firing]:
    """Yield what becomes of the slots in (after, until], in order."""
    for slot in slots(definition, calendar, after, until, daily_bars):
        if definition.max_runs is not None and runs >= definition.max_runs:
            return
        runs += 1
        yield Firing(slot)


def slots(
    definition: Definition, calendar: Calendar, after: datetime, until: datetime, daily_bars: bool = False
) -> Iterator[datetime]:
    """Yield the slots in (after, until] that lie from starts_at to ends_at, in order."""
    if definition.starts_at is not None:
        after = max(after, definition.starts_at - _TICK)
    if definition.ends_at is not None:
        until = min(until, definition.ends_at)
    return due_between(definition.trigger, calendar, after, until, daily_bars)
