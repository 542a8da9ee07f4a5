"""The one planner: the slots of a schedule and what becomes of each. Live, replay, preview and simulation use it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trading.calendar import Calendar
from trading.definitions import Definition
from trading.triggers import due_between

_TICK = timedelta(microseconds=1)
# Behind every slot that any trigger has.
_ALWAYS = datetime(9990, 1, 1, tzinfo=UTC)
# Without a grace of its own a slot counts as missed after this, for a schedule that catches nothing up.
ON_TIME = timedelta(minutes=1)


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
    seen_at: datetime | None = None,
    useful_until: Callable[[datetime], datetime] | None = None,
) -> Iterator[Firing]:
    """Yield what becomes of the slots in (after, until], in order.

    daily_bars: as `next_due` has it. runs: slots that fired before; none is left after max_runs.
    seen_at: market time at which somebody looks at what is due by then; slots later than that are on time, as all are
    without it. useful_until: by its slot the end of a firing's use, for definitions that have no `useful` of their own.
    Raises CalendarUncovered when a session's trigger is asked of a moment before the coverage.
    """
    for slot, passed in _with_passed(slots(definition, calendar, after, until, daily_bars), definition, seen_at):
        if definition.max_runs is not None and runs >= definition.max_runs:
            return
        reason = "a later slot was due too" if passed else None
        if reason is None and seen_at is not None and slot <= seen_at:
            reason = late_reason(definition, slot, seen_at, None if useful_until is None else useful_until(slot))
        runs += reason is None
        yield Firing(slot) if reason is None else Firing(slot, "skipped", reason)


def next_slot(
    definition: Definition, calendar: Calendar, after: datetime, daily_bars: bool = False, *, runs: int = 0
) -> datetime | None:
    """Return the first slot strictly after a moment; None: never again, as far as the calendar tells.

    What `next_due` is for a trigger this is for its schedule: starts_at, ends_at and max_runs hold. runs: of before.
    """
    if definition.max_runs is not None and runs >= definition.max_runs:
        return None
    return next(slots(definition, calendar, after, _ALWAYS, daily_bars), None)


def slots(
    definition: Definition, calendar: Calendar, after: datetime, until: datetime, daily_bars: bool = False
) -> Iterator[datetime]:
    """Yield the slots in (after, until] that lie from starts_at to ends_at, in order."""
    if definition.starts_at is not None:
        after = max(after, definition.starts_at - _TICK)
    if definition.ends_at is not None:
        until = min(until, definition.ends_at)
    return due_between(definition.trigger, calendar, after, until, daily_bars)


def late_reason(
    definition: Definition, slot: datetime, seen_at: datetime, useful_until: datetime | None = None
) -> str | None:
    """Return why a slot that is seen at a moment does not fire any more, None: it fires.

    It must still be useful, and within its grace; without one, a schedule that catches nothing up waits ON_TIME.
    """
    if definition.useful is not None:
        useful_until = slot + definition.useful
    if useful_until is not None and useful_until < seen_at:
        return f"missed: no scheduler ran until {seen_at:%Y-%m-%d %H:%M} UTC"
    grace = definition.grace
    if grace is None and definition.catch_up == "none":
        grace = ON_TIME
    if grace is None or seen_at <= slot + grace:
        return None
    seconds = int(grace.total_seconds())
    return f"late: it could begin {seconds} s after its slot, and it was {seen_at:%Y-%m-%d %H:%M:%S} UTC"


def _with_passed(
    found: Iterator[datetime], definition: Definition, seen_at: datetime | None
) -> Iterator[tuple[datetime, bool]]:
    """Yield slots with whether one is passed over because a later one is due too."""
    if seen_at is None or definition.catch_up == "all":
        yield from ((slot, False) for slot in found)
        return
    earlier: datetime | None = None
    for slot in found:
        if earlier is not None:
            yield earlier, slot <= seen_at
        earlier = slot
    if earlier is not None:
        yield earlier, False
