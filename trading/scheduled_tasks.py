"""What a schedule may fire, for whom, and when that can act at all: the facts that definitions are held to."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from trading.calendar import Calendar, Phase

# What is decided before the last after-market orders are taken still has to reach the broker.
_TO_BE_SENT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Acting:
    """When a task can act. said: in words. holds: whether it can at a moment. example: a trigger that fits."""

    said: str
    holds: Callable[[Calendar, datetime], bool]
    example: str


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A task that a schedule may fire. scope: of its executions. acting: None: it can act at any time."""

    scope: str
    acting: Acting | None = None


def _is_open(calendar: Calendar, at: datetime) -> bool:
    session = calendar.session(calendar.exchange_day(at))
    return session is not None and session.opens <= at < session.closes


def _takes_orders(calendar: Calendar, at: datetime) -> bool:
    """Tell whether orders are taken on a session day: buys stand on that day's analysis."""
    trades = calendar.is_session(calendar.exchange_day(at))
    return trades and (calendar.phase(at) is Phase.AMO or _is_open(calendar, at))


def _before_open(calendar: Calendar, at: datetime) -> bool:
    session = calendar.session(calendar.exchange_day(at))
    return session is not None and at < session.opens and calendar.phase(at + _TO_BE_SENT) is Phase.AMO


SCHEDULED: dict[str, Scheduled] = {
    "prices": Scheduled("shared"),
    "analysis": Scheduled("parameters"),
    "buy_orders": Scheduled(
        "account",
        Acting("on a session day, while the market is open or takes after-market orders", _takes_orders, "close+35m"),
    ),
    "premarket_retry": Scheduled(
        "account", Acting("on a session day, before the last after-market orders are taken", _before_open, "open-30m")
    ),
    "order_sync": Scheduled("account"),
    "sell_monitor": Scheduled("account", Acting("while the market is open", _is_open, "every 60s while open")),
    "position_monitor": Scheduled(
        "account", Acting("while the market is open", _is_open, "every 1h from open+15m until close")
    ),
    "eod_cleanup": Scheduled("account"),
    "retention": Scheduled("shared"),
    "housekeeping": Scheduled("shared"),
}
"""By task. What is not here is made by other work: a submit by the order it is for, a training by its job."""
