"""Looks at an account's open positions every hour and tells what is worth knowing. It never trades."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from math import isfinite

from db.executions import Execution, ServiceTaskRepository
from db.notifications import Notice
from db.positions import PositionRepository, PositionRow
from db.reentries import ReentryRepository, ReentryRow
from trading.alerts import Alert, Watched, alerts
from trading.calendar import exchange_time
from trading.exits import Shown, average_now, exit_rsi
from trading.reentry import Ladder, next_level, observe
from trading.risk import DenyCode
from trading.values import Symbol
from worker.outcome import Outcome, done, skipped
from worker.resources import Resources
from worker.steps.ladders import taken_levels
from worker.steps.market_view import open_session, shown_at
from worker.steps.notices import tell
from worker.steps.subject import owner

_TITLES = {
    Alert.PRICE_MOVE: "moved",
    Alert.EXIT_IMMINENT: "is near its exit",
    Alert.AVERAGING: "may be bought again",
}


async def position_monitor(resources: Resources, execution: Execution) -> Outcome:
    """Tell of moves, exits near and chances to average down, each once a day. Raises Retry when there are no prices."""
    user_id, account_id = owner(execution)
    now = execution.market_now
    today = open_session(resources.calendar, now)
    if today is None:
        return skipped(f"{DenyCode.MARKET_CLOSED}: no session is open")
    async with resources.database.reading(user_id) as session:
        rows = await PositionRepository(session, user_id, account_id).open()
    view = await shown_at(resources, today, [Symbol(row.symbol) for row in rows], now) if rows else {}
    async with resources.database.transaction(user_id) as session:
        await ServiceTaskRepository(session).fence(execution)
        positions = await PositionRepository(session, user_id, account_id).open()
        rungs = await _rungs(ReentryRepository(session, user_id, account_id), positions)
        shown = [(one, seen) for one in positions if (seen := view.get(Symbol(one.symbol))) is not None]
        told = [
            (one, alert, share) for one, seen in shown for alert, share in _told(one, seen, rungs[one.id], today.day)
        ]
        for position, seen in shown:
            position.seen_price = seen.quote.last
            position.mark(seen.quote.last)
        await tell(session, execution, [_notice(*one, today.day) for one in told])
    counts = Counter(alert for _, alert, _ in told)
    return done(
        hour=exchange_time(now).hour,
        summary={
            "monitored": len(shown),
            "alerts_sent": len(told),
            "exit_imminent": counts[Alert.EXIT_IMMINENT],
            "averaging_opportunities": counts[Alert.AVERAGING],
        },
        without_price=sorted({one.symbol for one in positions} - {one.symbol for one, _ in shown}),
    )


async def _rungs(reentries: ReentryRepository, positions: Sequence[PositionRow]) -> Mapping[int, list[ReentryRow]]:
    rungs: dict[int, list[ReentryRow]] = defaultdict(list)
    for rung in await reentries.of([position.id for position in positions]):
        rungs[rung.position_id].append(rung)
    return rungs


def _told(position: PositionRow, shown: Shown, rungs: Sequence[ReentryRow], day: date) -> list[tuple[Alert, Watched]]:
    last = shown.quote.last
    rsi = exit_rsi(shown, last)
    share = Watched(last, position.seen_price, average_now(shown), rsi, _next_level(position, rungs, rsi, day))
    return [(alert, share) for alert in alerts(share)]


def _next_level(position: PositionRow, rungs: Sequence[ReentryRow], rsi: float, day: date) -> int | None:
    """Return the level RSI has come under and the account has not bought. It is bought in the evening, if at all."""
    if position.entry_rsi is None:
        return None
    newest = max((rung.day for rung in rungs), default=None)
    taken = taken_levels(position, rungs)
    ladder = Ladder(position.cycle, position.reset_ready, taken, newest, position.last_rsi_day)
    return next_level(observe(ladder, rsi, day), rsi, day)


def _notice(position: PositionRow, alert: Alert, share: Watched, day: date) -> Notice:
    seen = "" if share.seen is None else f" (before: {share.seen.normalize():f})"
    level = "" if share.next_level is None else f"; under level {share.next_level}"
    rsi = f"{share.rsi:.1f}" if isfinite(share.rsi) else "not known"
    message = (
        f"{position.quantity} {position.symbol}: last {share.last.normalize():f}{seen}, EMA9 {share.target:.2f}, "
        f"RSI {rsi}{level}"
    )
    moved = alert is Alert.PRICE_MOVE
    return Notice(
        user_id=position.user_id,
        event="system_warning" if moved else "system_info",
        level="warning" if moved else "info",
        title=f"{position.symbol} {_TITLES[alert]}",
        message=message,
        dedupe_key=f"position:{position.id}:{alert}:{day}",
    )
