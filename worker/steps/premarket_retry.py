"""Tries again, before the open, the buys there was no money for: decided and sized anew, once a session."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository, AccountRow
from db.configs import UserTradingConfigRepository
from db.decisions import DecisionRepository
from db.executions import Execution, ServiceTaskRepository
from db.halts import HaltRepository
from db.notifications import Notice
from db.orders import OrderRepository, OrderRow
from db.reentries import ReentryRepository
from db.service_status import ServiceStatusRepository
from db.signals import SignalRepository
from db.user_signals import UserSignalRepository
from trading.calendar import Session
from trading.orders import FailureKind, OrderEvent, order_tag, retry_key
from trading.risk import Approved, DenyCode, Refused, review
from trading.strategies.base import Rejection
from trading.strategies.registry import strategy_named
from trading.values import Symbol
from worker.outcome import Json, Outcome, done, skipped
from worker.resources import Resources
from worker.steps.buy_case import Case, read_case
from worker.steps.buy_records import Verdict, code_of, journal_rows, order_rows, signal_marks
from worker.steps.deadline import late
from worker.steps.ladders import rungs_of
from worker.steps.notices import tell
from worker.steps.order_life import move, submit_of
from worker.steps.subject import owner

NO_LONGER_WANTED = "no_longer_wanted"

_Wanted = Mapping[Symbol, OrderRow]


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of the failed orders."""

    planned: Sequence[OrderRow]
    still_short: int
    superseded: int


async def premarket_retry(resources: Resources, execution: Execution) -> Outcome:
    """Plan anew each failed buy that the last analysis, the configuration and the money there is now still allow."""
    user_id, account_id = owner(execution)
    async with resources.database.transaction(user_id) as session:
        tasks = ServiceTaskRepository(session)
        now = await tasks.fence(execution)
        await HaltRepository(session).share()
        account = await AccountRepository(session).lock(user_id, account_id)
        target = resources.calendar.current_or_next(now)
        if reason := await _halted(session, account, target, resources.calendar.amo_ends(target), now):
            return skipped(reason)
        orders = OrderRepository(session, user_id, account_id)
        failed = [order for order in await orders.failed() if _may_retry(order, now)]
        today = resources.calendar.previous_session(target.day)
        if not failed or await DecisionRepository(session).made(
            account_id, execution.task_name, today.day, execution.id
        ):
            return done(retried=0, placed=0, failed=0, skipped=0)
        if ended := late(execution, now):
            return ended
        config = await UserTradingConfigRepository(session).snapshot(user_id, execution.config_version)
        key = (config.strategy, config.parameter_hash, today.day)
        if await SignalRepository(session).snapshot_version(*key) is None:
            return skipped(f"{DenyCode.STALE_FEATURES}: no analysis of {today.day}")
        capabilities = resources.broker(account).capabilities
        case = await read_case(session, execution, account, config, today, target, capabilities)
        wanted = _newest(failed)
        verdicts = _verdicts(case, wanted)
        await DecisionRepository(session).journal(journal_rows(case, verdicts))
        result = await _take(orders, case, wanted, failed, verdicts, now)
        await ReentryRepository(session, user_id, account_id).take(rungs_of(result.planned))
        await UserSignalRepository(session, user_id).mark(*key, signal_marks(result.planned))
        await tasks.follow_up(execution, [submit_of(resources.calendar, order, now) for order in result.planned])
        await tell(session, execution, _notices(case, result.planned))
    return _outcome(failed, verdicts, result)


async def _halted(
    session: AsyncSession, account: AccountRow, target: Session, amo_ends: datetime, now: datetime
) -> str | None:
    """Return why nothing may be placed now, None if something may."""
    if account.status != "active":
        return f"{DenyCode.KILL_SWITCH}: the account is {account.status}"
    if not await ServiceStatusRepository(session).runs(account.user_id):
        return f"{DenyCode.KILL_SWITCH}: the service is stopped"
    if now >= amo_ends:
        return f"{DenyCode.MARKET_CLOSED}: no orders for {target.day} are taken any more"
    return None


def _may_retry(order: OrderRow, now: datetime) -> bool:
    """Tell whether a failed order may be tried again: only for want of money, in its time, and with nothing bought."""
    in_time = order.retry_until is not None and now <= order.retry_until
    return order.failure_kind == FailureKind.INSUFFICIENT_FUNDS and in_time and not order.filled_quantity


def _newest(failed: Sequence[OrderRow]) -> _Wanted:
    """Return the newest decision on each share. failed: newest first."""
    return {Symbol(order.symbol): order for order in reversed(failed)}


def _verdicts(case: Case, wanted: _Wanted) -> list[Verdict]:
    """Return what becomes of each wanted share: decided and sized as if it were new, then reviewed in rank order."""
    strategy, config = strategy_named(case.config.strategy), case.config.config
    first = strategy.decide(case.candidates, config, case.excluded)
    again = strategy.reenter(case.held, config, case.target.day, len(first.intents) + 1)
    intents = [one for one in [*first.intents, *again.intents] if _is_wanted(wanted, one.symbol, one.leg)]
    refusals = [one for one in [*first.rejections, *again.rejections] if _is_wanted(wanted, one.symbol, one.leg)]
    spoken = {one.symbol for one in intents} | {one.symbol for one in refusals}
    gone = [
        Rejection(symbol, NO_LONGER_WANTED, {}, order.leg) for symbol, order in wanted.items() if symbol not in spoken
    ]
    return [*refusals, *gone, *review(intents, case.state, case.target.day)]


def _is_wanted(wanted: _Wanted, symbol: Symbol, leg: str) -> bool:
    return symbol in wanted and wanted[symbol].leg == leg


async def _take(
    orders: OrderRepository,
    case: Case,
    wanted: _Wanted,
    failed: Sequence[OrderRow],
    verdicts: Sequence[Verdict],
    now: datetime,
) -> _Result:
    approved = [one for one in verdicts if isinstance(one, Approved)]
    planned = await orders.plan([_again(case, wanted, row) for row in order_rows(case, approved, now)], now)
    for order in planned:
        _give_up(orders, wanted[Symbol(order.symbol)], f"tried again as order {order.id}", now)
    superseded = [order for order in failed if wanted[Symbol(order.symbol)] is not order]
    for order in superseded:
        _give_up(orders, order, f"a newer decision stands in order {wanted[Symbol(order.symbol)].id}", now)
    short = [one for one in verdicts if isinstance(one, Refused) and one.code is DenyCode.FUNDS]
    for refused in short:
        _still_short(orders, wanted[refused.intent.symbol], refused, now)
    return _Result(planned, len(short), len(superseded))


def _again(case: Case, wanted: _Wanted, row: dict[str, object]) -> dict[str, object]:
    """Return a new order as the next try of its failed one: a key and a tag of its own, the time limit of the first."""
    before = wanted[Symbol(str(row["symbol"]))]
    number = before.retry_count + 1
    key = retry_key(before.intent_key, number)
    return row | {
        "intent_key": key,
        "tag": order_tag(case.account.code, key),
        "retry_of": before.id,
        "retry_count": number,
        "first_failed_at": before.first_failed_at,
        "retry_until": before.retry_until,
    }


def _give_up(orders: OrderRepository, order: OrderRow, reason: str, now: datetime) -> None:
    order.reason, order.last_retry_attempt = reason, now
    move(orders, order, OrderEvent.GIVE_UP, now, reason=reason)


def _still_short(orders: OrderRepository, order: OrderRow, refused: Refused, now: datetime) -> None:
    order.retry_count += 1
    order.last_retry_attempt = now
    order.reason = f"needs {refused.facts['needed']}, {refused.facts['available']} available"
    orders.note(order, "retry_failed", order.status, now, {"reason": order.reason, "retry_count": order.retry_count})


def _notices(case: Case, planned: Sequence[OrderRow]) -> list[Notice]:
    """Return one digest of what was tried again, if anything was."""
    if not planned:
        return []
    named = ", ".join(f"{order.quantity} {order.symbol}" for order in planned)
    return [
        Notice(
            user_id=case.account.user_id,
            event="retry_queue_retried",
            level="info",
            title=f"{len(planned)} failed order{'s' if len(planned) > 1 else ''} tried again",
            message=f"There is money now for the session of {case.target.day}: {named}"[:1024],
            dedupe_key=f"retry_queue_retried:{case.account.id}:{case.target.day}",
        )
    ]


def _outcome(failed: Sequence[OrderRow], verdicts: Sequence[Verdict], result: _Result) -> Outcome:
    refused: Mapping[str, Json] = dict(sorted(Counter(code for code in map(code_of, verdicts) if code).items()))
    return done(
        retried=len(failed),
        placed=len(result.planned),
        failed=result.still_short,
        skipped=len(failed) - len(result.planned) - result.still_short,
        superseded=result.superseded,
        refused=refused,
    )
