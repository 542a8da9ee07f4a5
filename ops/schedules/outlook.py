"""What will fire and what will not, told beforehand by the planner that fires live. Pure."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from trading.calendar import Calendar, exchange_time
from trading.definitions import Definition
from trading.firings import Firing, firings


class Outcome(StrEnum):
    """What becomes of a slot for whom the look is for."""

    FIRES = "fires"
    HALTED = "halted"  # its executions are made and wait
    SKIPPED = "skipped"  # by the schedule's own policies
    PAUSED = "paused"
    OFF = "off"
    STOPPED = "stopped"
    SAME = "same"  # another schedule of its task has this slot: one execution an account


_MADE = (Outcome.FIRES, Outcome.HALTED)


@dataclass(frozen=True, slots=True)
class Part:
    """An account of a user in a schedule. paused_until: market time; forever: until somebody resumes."""

    account_id: int
    enabled: bool = True
    paused_until: datetime | None = None
    forever: bool = False
    why: str | None = None

    def is_paused(self, at: datetime) -> bool:
        """Tell whether a slot finds it paused."""
        return self.forever or (self.paused_until is not None and at < self.paused_until)


@dataclass(frozen=True, slots=True)
class Halting:
    """A halt in force that keeps a task from beginning, in words. until: market time, None until somebody resumes."""

    said: str
    task_name: str | None = None
    account_id: int | None = None
    until: datetime | None = None

    def stops(self, task_name: str, accounts: Sequence[int], at: datetime) -> bool:
        """Tell whether all that a slot makes would wait for its end."""
        if self.until is not None and at >= self.until:
            return False
        if self.task_name not in (None, task_name):
            return False
        return self.account_id is None or list(accounts) == [self.account_id]


@dataclass(frozen=True, slots=True)
class Watched:
    """A schedule whose slots are wanted. parts: a user's in it, None when the look is for nobody in particular.

    stopped: why nothing fires for the user, or None. passes: accounts that it fires for whatever stops, as they have
    live orders. held: slots of this span, the end excluded, do not fire: the next is planned for its end, as after a
    change of the day's time.
    """

    definition: Definition
    runs: int = 0
    enabled: bool = True
    parts: tuple[Part, ...] | None = None
    stopped: str | None = None
    passes: frozenset[int] = frozenset()
    halts: Sequence[Halting] = field(default_factory=tuple)
    held: tuple[datetime, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Coming:
    """A slot to come. accounts: those it makes executions for, None when nobody in particular was asked for."""

    slot: datetime
    schedule: str
    task: str
    outcome: Outcome
    why: str | None = None
    condition: str | None = None
    accounts: tuple[int, ...] | None = None


def outlook(
    watched: Sequence[Watched], calendar: Calendar, after: datetime, until: datetime, daily_bars: bool = False
) -> Iterator[Coming]:
    """Yield the slots of schedules in (after, until], in the order in which they are fired."""
    streams = [_of(one, calendar, after, until, daily_bars) for one in watched]
    merged = heapq.merge(*streams, key=_slot_of)
    return (coming for _, some in groupby(merged, key=_slot_of) for coming in _once(list(some)))


def _slot_of(coming: Coming) -> datetime:
    return coming.slot


def _once(some: Sequence[Coming]) -> Iterator[Coming]:
    """Yield the slots of one moment; of those that make the same execution the first without a condition makes it."""
    makers: dict[str, Coming] = {}
    for one in some:
        if one.condition is None and one.outcome in _MADE:
            makers.setdefault(one.task, one)
    for one in some:
        maker = makers.get(one.task, one)
        left = tuple(account for account in one.accounts or () if account not in (maker.accounts or ()))
        if maker is one or one.outcome not in _MADE:
            yield one
        elif left:
            yield replace(one, accounts=left)
        else:
            why = f"one execution with {maker.schedule!r}"
            yield replace(one, outcome=Outcome.SAME, why=why, accounts=None if one.accounts is None else ())


def _of(one: Watched, calendar: Calendar, after: datetime, until: datetime, daily_bars: bool) -> Iterator[Coming]:
    for firing in firings(one.definition, calendar, after, until, daily_bars, runs=one.runs):
        yield _told(one, firing)


def _told(one: Watched, firing: Firing) -> Coming:
    made = _accounts(one, firing.slot)
    outcome, why = _outcome(one, firing, made)
    if outcome not in _MADE:
        made = ()
    name, task = one.definition.name, one.definition.task_name
    return Coming(firing.slot, name, task, outcome, why, one.definition.condition, None if one.parts is None else made)


def _accounts(one: Watched, at: datetime) -> tuple[int, ...]:
    return tuple(
        part.account_id
        for part in one.parts or ()
        if part.account_id in one.passes or (part.enabled and not part.is_paused(at) and one.stopped is None)
    )


def _outcome(one: Watched, firing: Firing, made: Sequence[int]) -> tuple[Outcome, str | None]:
    at = firing.slot
    if not one.enabled:
        return Outcome.OFF, "the schedule is switched off"
    if one.held is not None and one.held[0] <= at < one.held[1]:
        return Outcome.SKIPPED, f"planned from {exchange_time(one.held[1]):%Y-%m-%d %H:%M} IST on"
    if one.parts is not None and not made:
        return (Outcome.STOPPED, one.stopped) if one.stopped is not None else _unmade(one.parts, at)
    if firing.outcome != "fires":
        return Outcome.SKIPPED, firing.reason
    for halt in one.halts:
        stopped = [account for account in made if account not in one.passes]
        if (stopped or one.parts is None) and halt.stops(one.definition.task_name, stopped, at):
            return Outcome.HALTED, halt.said
    paused = [part for part in one.parts or () if part.enabled and part.account_id not in made]
    return Outcome.FIRES, f"without account {', '.join(str(part.account_id) for part in paused)}" if paused else None


def _unmade(parts: Sequence[Part], at: datetime) -> tuple[Outcome, str]:
    paused = next((part for part in parts if part.enabled and part.is_paused(at)), None)
    if paused is None:
        return Outcome.OFF, "the user switched it off"
    ends = paused.paused_until
    until = f"until {exchange_time(ends):%Y-%m-%d %H:%M} IST" if ends is not None else "until resumed"
    return Outcome.PAUSED, f"paused {until}" + (f": {paused.why}" if paused.why else "")
