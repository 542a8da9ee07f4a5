"""What a run on request stands for: the latest slot while its work is of use, else now. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from json import loads

from scheduler.planning import Plan, plan
from trading.calendar import Calendar, exchange_day, exchange_time
from trading.definitions import Definition
from trading.errors import TradingError
from trading.firings import firings

# How far back the latest slot may lie whose work is still of use: a long weekend.
_BACK = (timedelta(days=1), timedelta(days=10))


class NotNowError(TradingError):
    """Work that would be too late, or whose ground is not there yet."""

    def __init__(self, task: str, why: str) -> None:
        self.task = task
        super().__init__(f"{task} cannot be run now: {why}")


@dataclass(frozen=True, slots=True)
class Wish:
    """The limits of a run on request. slot: the latest one, whose work it does; None: of its own."""

    slot: datetime | None
    as_of: datetime
    useful_until: datetime
    needs: str | None


def wish(definition: Definition, calendar: Calendar, now: datetime, daily_bars: bool = False) -> Wish:
    """Return what a run on request is for. Raises NotNowError, and CalendarUncovered outside the calendar."""
    slot = _latest(definition, calendar, now, daily_bars)
    if slot is not None:
        limits = plan(definition.task_name, slot, calendar)
        until = _until(definition, slot, limits)
        if now < until:
            return Wish(slot, limits.as_of or slot, until, limits.needs)
    limits = plan(definition.task_name, now, calendar)
    until = _until(definition, now, limits)
    if until <= now:
        raise NotNowError(definition.task_name, f"its work of {exchange_day(now)} was of use until {_said(until)}")
    later = [need["after"] for need in loads(limits.needs or "[]") if datetime.fromisoformat(need["after"]) > now]
    if later:
        ground = _said(max(datetime.fromisoformat(one) for one in later))
        raise NotNowError(definition.task_name, f"what it stands on is not there before {ground}")
    return Wish(None, limits.as_of or now, until, limits.needs)


def _until(definition: Definition, at: datetime, limits: Plan) -> datetime:
    return limits.useful_until if definition.useful is None else at + definition.useful


def _latest(definition: Definition, calendar: Calendar, now: datetime, daily_bars: bool) -> datetime | None:
    for span in _BACK:
        came = [one.slot for one in firings(definition, calendar, now - span, now, daily_bars)]
        if came:
            return came[-1]
    return None


def _said(at: datetime) -> str:
    return f"{exchange_time(at):%Y-%m-%d %H:%M} IST"
