"""Closes an account's day: what failed for good is given up, what does not agree is named, and the books are closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository, AccountRow
from db.bars import BarRepository
from db.executions import Execution, ServiceTaskRepository
from db.notifications import Notice
from db.orders import OrderRepository, OrderRow
from db.positions import PositionRepository
from db.user_signals import UserSignalRepository
from trading.calendar import Session
from trading.orders import OrderEvent
from trading.values import Price, Symbol
from worker.outcome import Json, Outcome, done, skipped
from worker.resources import Resources
from worker.steps.daily_books import close_books
from worker.steps.notices import tell
from worker.steps.order_life import move
from worker.steps.subject import owner


@dataclass(slots=True)
class _Findings:
    """What the evening found. leftovers: orders of an ended session that are still live. disagreements: of shares."""

    expired: Sequence[OrderRow] = ()
    leftovers: list[Json] = field(default_factory=list)
    disagreements: list[Json] = field(default_factory=list)
    without_close: list[str] = field(default_factory=list)
    statistics: dict[str, Json] = field(default_factory=dict)


async def eod_cleanup(resources: Resources, execution: Execution) -> Outcome:
    """Close the account's day, once or again: nothing is counted twice, and nothing is guessed away."""
    user_id, account_id = owner(execution)
    session_of_day = resources.calendar.session(resources.calendar.exchange_day(execution.as_of))
    if session_of_day is None:
        return skipped("the exchange was closed that day")
    async with resources.database.transaction(user_id) as session:
        now = await ServiceTaskRepository(session).fence(execution)
        account = await AccountRepository(session).lock(user_id, account_id)
        found = await _findings(session, account, session_of_day, now)
        closes = await _closes(session, account, session_of_day.day, found)
        await UserSignalRepository(session, user_id).expire(session_of_day.day)
        await session.flush()
        await close_books(session, account, session_of_day.day, closes)
        await tell(session, execution, _notices(account, session_of_day.day, found))
    return done(
        day=session_of_day.day.isoformat(),
        eod_cleanup_ran=True,
        removed_failed_orders=len(found.expired),
        leftovers=found.leftovers,
        disagreements=found.disagreements,
        without_close=found.without_close,
        statistics=found.statistics,
    )


async def _findings(session: AsyncSession, account: AccountRow, ended: Session, now: datetime) -> _Findings:
    orders = OrderRepository(session, account.user_id, account.id)
    positions = PositionRepository(session, account.user_id, account.id)
    expired = _expire(orders, await orders.failed(), now)
    # The sync before this read the whole book: an order that is still live is for a person to look at.
    leftovers = [order for order in await orders.live() if order.session_day <= ended.day]
    opened, closed, realized = await positions.day(ended.opens, ended.closes)
    await session.flush()
    return _Findings(
        expired=expired,
        leftovers=[{"order": order.id, "symbol": order.symbol, "status": order.status} for order in leftovers],
        disagreements=[
            {"symbol": symbol, "by_fills": by_fills, "held": held}
            for symbol, by_fills, held in await positions.disagreements()
        ],
        statistics={
            "orders": dict(await orders.counts(ended.day)),
            "positions_opened": opened,
            "positions_closed": closed,
            "realized_pnl": str(realized),
        },
    )


def _expire(orders: OrderRepository, failed: Sequence[OrderRow], now: datetime) -> list[OrderRow]:
    """Give up the failed orders whose time to be tried again is over. Returns them."""
    expired = [order for order in failed if order.retry_until is None or order.retry_until < now]
    for order in expired:
        order.reason = "its time to be tried again is over"
        move(orders, order, OrderEvent.GIVE_UP, now, reason=order.reason)
    return expired


async def _closes(session: AsyncSession, account: AccountRow, day: date, found: _Findings) -> Mapping[Symbol, Price]:
    """Return the closes of what is held, and value it by them; a share without one of the day counts at its last."""
    rows = await PositionRepository(session, account.user_id, account.id).open()
    positions = {Symbol(row.symbol): row for row in rows}
    held = list(positions)
    last = await BarRepository(session).last_closes(day, held) if held else {}
    for symbol, (_, close) in last.items():
        positions[symbol].mark(close)
    found.without_close = [symbol for symbol in held if symbol not in last or last[symbol][0] != day]
    return {symbol: close for symbol, (_, close) in last.items()}


def _notices(account: AccountRow, day: date, found: _Findings) -> list[Notice]:
    notices = []
    if found.expired:
        named = ", ".join(f"{order.quantity} {order.symbol}" for order in found.expired)
        message = f"There was no money in time for {named}"[:1024]
        title = f"{len(found.expired)} failed orders given up"
        key = f"retry_queue_removed:{account.id}:{day}"
        notices.append(Notice(account.user_id, "retry_queue_removed", "info", title, message, key))
    if found.leftovers or found.disagreements:
        message = f"Live after their session: {found.leftovers or 'none'}; shares: {found.disagreements or 'agree'}"[
            :1024
        ]
        key = f"eod_cleanup:{account.id}:{day}"
        title = "The books of the day do not agree"
        notices.append(Notice(account.user_id, "system_warning", "error", title, message, key))
    return notices
