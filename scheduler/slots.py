"""What becomes of a schedule that is due: which slot fires, why its rows are skipped, when the next is due. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import get_close_matches
from itertools import islice
from typing import Any

from db.fan_outs import LAST_ID, Slot
from scheduler.planning import plan
from trading.calendar import Calendar
from trading.definitions import Definition, definition_of
from trading.errors import BadDefinition, TradingError
from trading.firings import late_reason, next_slot, slots
from trading.own_times import looked_from
from worker.messages import TASKS

# Of market time. A scheduler that comes back after months tells of the last week in rows, of the rest in its log.
MISSED_RECORDED = timedelta(days=7)
# What a row may lead to that no command would have stored; of a hundred that are due that one is left out.
UNUSABLE = (TradingError, ArithmeticError, LookupError, TypeError, ValueError)
# Slots of one schedule that are looked through at a time; those behind them are due at the next look.
_LOOKED_THROUGH = 5000


@dataclass(frozen=True, slots=True)
class Choice:
    """A slot to fire. reason: why its rows are made skipped; None: they run. passed: slots before it that do not fire.

    recorded: it leaves rows, be it that they are skipped. next: when the schedule is due again; None: never.
    """

    slot: datetime
    reason: str | None
    passed: int
    recorded: bool
    next: datetime | None


def usable(row: Any) -> Definition:
    """Return a schedule's definition. Raises BadTrigger and BadDefinition for one that nobody can fire."""
    queue_of(row.task_name)
    return definition_of(row)


def queue_of(task_name: str) -> str:
    """Return the queue of a task. Raises BadDefinition for one that no worker knows."""
    if task_name not in TASKS:
        (example,) = get_close_matches(task_name, TASKS, n=1) or ["order_sync"]
        raise BadDefinition("task_name", task_name, "no worker knows such a task", example)
    return TASKS[task_name].queue


def said(error: Exception) -> str:
    """Return in words why a schedule cannot be fired."""
    return str(error) if isinstance(error, TradingError) else f"{type(error).__name__}: {error}"


def choose(row: Any, calendar: Calendar, daily_bars: bool) -> Choice:
    """Return what to do with a due schedule at its market now. Raises TradingError for what cannot be read or planned.

    row: of a schedule, with `market_now`.
    """
    definition = usable(row)
    slot, passed = row.next_due_at, 0
    if definition.catch_up != "all":
        due = slots(definition, calendar, slot, row.market_now, daily_bars)
        for later in islice(due, _LOOKED_THROUGH):
            slot, passed = later, passed + 1
    reason = late_reason(definition, slot, row.market_now, plan(row.task_name, slot, calendar).useful_until)
    return Choice(
        slot,
        reason,
        passed,
        reason is None or slot >= row.market_now - MISSED_RECORDED,
        _after(definition, row, slot, calendar, daily_bars, row.runs + (reason is None)),
    )


def following(row: Any, calendar: Calendar, daily_bars: bool) -> datetime | None:
    """Return when a schedule is due after the wide slot it has fired; None: never again as far as anybody knows.

    Raises TradingError for what cannot be read.
    """
    ran = row.firing_reason is None
    return _after(usable(row), row, row.firing_slot, calendar, daily_bars, row.runs + ran)


def _after(
    definition: Definition, row: Any, slot: datetime, calendar: Calendar, daily_bars: bool, runs: int
) -> datetime | None:
    """Return the slot after one that is fired; of a time that was changed meanwhile it is a later day's."""
    after = looked_from(definition.trigger, calendar, slot, row.held_until, daily_bars)
    return next_slot(definition, calendar, after, daily_bars, runs=runs)


def planned(
    row: Any, at: datetime, calendar: Calendar, reason: str | None, after: int = 0, until: int = LAST_ID
) -> Slot:
    """Return a firing as planned; one past its use is made of ended rows, so that the record has no gap.

    after, until: of which subscriptions. Raises BadDefinition for a task that nobody knows, and CalendarUncovered.
    """
    limits = plan(row.task_name, at, calendar)
    as_of = limits.as_of or at
    return Slot(
        row.id,
        row.task_name,
        queue_of(row.task_name),
        at,
        calendar.exchange_day(as_of),
        as_of,
        _useful_until(row.useful_seconds, at, limits.useful_until),
        limits.needs,
        reason,
        row.scope,
        row.condition,
        row.overlap,
        row.jitter_seconds,
        row.spread_seconds,
        after,
        until,
    )


def _useful_until(seconds: int | None, at: datetime, planned_until: datetime) -> datetime:
    return planned_until if seconds is None else at + timedelta(seconds=seconds)
