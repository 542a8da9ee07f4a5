"""What a replay came to: one object for machines, with the tables that people read beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import STATUSES as EXECUTION_STATUSES
from db.transaction import Database
from ops.replay import queries
from ops.replay.digest import digest
from ops.replay.equity import equity_curve
from ops.replay.plan import Plan
from ops.replay.queries import rows
from trading.calendar import exchange_day

NEWEST_ERRORS = 5


@dataclass(frozen=True, slots=True)
class TaskLine:
    """One task's executions. p50, p95: seconds of those that succeeded, None without any."""

    task: str
    success: int
    failed: int
    skipped: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class UserLine:
    """One user's result, accounts taken together. Rupees; realised is less all charges so far."""

    name: str
    rsi_period: int
    ml_enabled: bool
    orders: int
    fills: int
    open_positions: int
    realised: Decimal
    equity_start: Decimal
    equity_end: Decimal

    @property
    def return_pct(self) -> float:
        """Return the gain in per cent of the money at the start."""
        return float(self.equity_end / self.equity_start - 1) * 100


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """Errors of one kind."""

    task: str | None
    kind: str
    message: str
    times: int


@dataclass(frozen=True, slots=True)
class Report:
    """The result. summary: what --json prints. buy_and_hold_pct: None without a close before the period.

    curve: rupees of all accounts after each session.
    """

    summary: dict[str, Any]
    tasks: Sequence[TaskLine]
    users: Sequence[UserLine]
    errors: Sequence[ErrorLine]
    error_count: int
    buy_and_hold_pct: float | None
    curve: Sequence[Decimal]


async def report_of(database: Database, plan: Plan, seconds: float) -> Report:
    """Return the report of a replay that ended. seconds: it took, of machine time."""
    async with database.reading(None) as session:
        users = [_user(row) for row in await rows(session, queries.USERS)]
        trades = (await rows(session, queries.TRADES))[0]._asdict()
        error_count = trades.pop("errors")
        executions = await _executions(session)
        summary = {
            "sessions": len(plan.sessions),
            "users": len(users),
            "slots": (await rows(session, queries.SLOTS))[0][0],
            "executions": executions,
            "unfinished": (await rows(session, queries.UNFINISHED, ends_at=plan.ends_at))[0][0],
            **trades,
            "equity": {
                "start": float(sum(user.equity_start for user in users)),
                "end": float(sum(user.equity_end for user in users)),
            },
            "workers": [row._asdict() for row in await rows(session, queries.WORKERS)],
            "digest": await _digest(session),
            "seconds": round(seconds, 2),
        }
        return Report(
            summary,
            [TaskLine(*row) for row in await rows(session, queries.TASKS)],
            users,
            [ErrorLine(*row) for row in await rows(session, queries.ERRORS, limit=NEWEST_ERRORS)],
            error_count,
            await _buy_and_hold(session, plan),
            await equity_curve(session, plan.sessions),
        )


async def _executions(session: AsyncSession) -> dict[str, int]:
    counted: dict[str, int] = {row[0]: row[1] for row in await rows(session, queries.STATUSES)}
    return {status: counted.get(status, 0) for status in EXECUTION_STATUSES}


def _user(row: Any) -> UserLine:
    return UserLine(
        row.name,
        row.rsi_period,
        row.ml_enabled,
        row.orders,
        row.fills,
        row.open_positions,
        row.realised,
        row.equity_start,
        (row.cash + row.holdings).quantize(Decimal("0.01")),
    )


async def _digest(session: AsyncSession) -> str:
    orders = [tuple(row) for row in await rows(session, queries.ORDER_FACTS)]
    fills = [_on_exchange_day(row) for row in await rows(session, queries.FILL_FACTS)]
    return digest(orders, fills)


def _on_exchange_day(row: Any) -> tuple[Any, ...]:
    filled_at: datetime = row.filled_at
    return (row.code, exchange_day(filled_at), *row[2:])


async def _buy_and_hold(session: AsyncSession, plan: Plan) -> float | None:
    first, last = plan.sessions[0].day, plan.sessions[-1].day
    before = (await rows(session, queries.LAST_DAY_BEFORE, first=first))[0][0]
    if before is None:
        return None
    mean: float | None = (await rows(session, queries.BUY_AND_HOLD, before=before, first=first, last=last))[0][0]
    return None if mean is None else mean * 100
