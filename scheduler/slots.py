"""What becomes of a schedule that is due: which slot fires, why its rows are skipped, when the next is due. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from db.fan_outs import LAST_ID, Slot
from scheduler.planning import plan
from trading.calendar import Calendar
from trading.definitions import definition_of
from trading.firings import late_reason, next_slot, slots
from worker.messages import TASKS

# Of market time. A scheduler that comes back after months tells of the last week in rows, of the rest in its log.
MISSED_RECORDED = timedelta(days=7)
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


def choose(row: Any, calendar: Calendar, daily_bars: bool) -> Choice:
    """Return what to do with a due schedule at its market now. Raises TradingError for what cannot be read or planned.

    row: of a schedule, with `market_now`.
    """
    definition = definition_of(row)
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
        next_slot(definition, calendar, slot, daily_bars, runs=row.runs + (reason is None)),
    )


def following(row: Any, calendar: Calendar, daily_bars: bool) -> datetime | None:
    """Return when a schedule is due after the wide slot it has fired; None: never again as far as anybody knows."""
    ran = row.firing_reason is None
    return next_slot(definition_of(row), calendar, row.firing_slot, daily_bars, runs=row.runs + ran)


def planned(
    row: Any, at: datetime, calendar: Calendar, reason: str | None, after: int = 0, until: int = LAST_ID
) -> Slot:
    """Return a firing as planned; one past its use is made of ended rows, so that the record has no gap.

    after, until: of which subscriptions.
    """
    limits = plan(row.task_name, at, calendar)
    as_of = limits.as_of or at
    return Slot(
        row.id,
        row.task_name,
        TASKS[row.task_name].queue,
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
