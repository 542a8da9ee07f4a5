"""Turns the day's candidates and the held shares' dips into one account's buys for the next session.

Filter, size, review, reserve: first entries, then re-entries, in rank order.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository
from db.configs import UserTradingConfigRepository
from db.decisions import DecisionRepository
from db.executions import Execution, ServiceTaskRepository
from db.halts import HaltRepository
from db.orders import OrderRepository, OrderRow
from db.reentries import ReentryRepository
from db.service_status import ServiceStatusRepository
from db.signals import SignalRepository
from db.user_signals import UserSignalRepository
from trading.orders import OrderState
from trading.risk import DenyCode, review
from trading.strategies.registry import strategy_named
from worker.outcome import Json, Outcome, done, skipped
from worker.resources import Resources
from worker.steps.buy_case import Case, read_case
from worker.steps.buy_records import Verdict, code_of, journal_rows, order_rows, shortfall_notices, signal_marks
from worker.steps.deadline import late
from worker.steps.ladders import rungs_of
from worker.steps.notices import tell
from worker.steps.order_life import submit_of
from worker.steps.subject import owner


async def buy_orders(resources: Resources, execution: Execution) -> Outcome:
    """Plan the account's buys on the analysis of the day, journal every candidate and ring the submits."""
    user_id, account_id = owner(execution)
    day = resources.calendar.exchange_day(execution.as_of)
    today, target = resources.calendar.session(day), resources.calendar.next_session(day)
    async with resources.database.transaction(user_id) as session:
        tasks = ServiceTaskRepository(session)
        now = await tasks.fence(execution)
        await HaltRepository(session).share()
        account = await AccountRepository(session).lock(user_id, account_id)
        if account.status != "active":
            return skipped(f"{DenyCode.KILL_SWITCH}: the account is {account.status}")
        if not await ServiceStatusRepository(session).runs(user_id):
            return skipped(f"{DenyCode.KILL_SWITCH}: the service is stopped")
        if now >= resources.calendar.amo_ends(target):
            return skipped(f"{DenyCode.MARKET_CLOSED}: no orders for {target.day} are taken any more")
        config = await UserTradingConfigRepository(session).snapshot(user_id, execution.config_version)
        analysed = await SignalRepository(session).snapshot_version(config.strategy, config.parameter_hash, day)
        if today is None or analysed is None:
            return skipped(f"{DenyCode.STALE_FEATURES}: no analysis of {day}")
        if await DecisionRepository(session).made(account_id, execution.task_name, day, execution.id):
            return done(repeated=True)
        if ended := late(execution, now):
            return ended
        capabilities = resources.broker(account).capabilities
        case = await read_case(session, execution, account, config, today, target, capabilities)
        verdicts = _verdicts(case)
        await DecisionRepository(session).journal(journal_rows(case, verdicts))
        orders = await OrderRepository(session, user_id, account_id).plan(order_rows(case, verdicts, now), now)
        planned = [order for order in orders if order.status == OrderState.PLANNED]
        failed = [order for order in orders if order.status == OrderState.FAILED]
        await _record(session, case, planned, failed)
        await tasks.follow_up(execution, [submit_of(resources.calendar, order, now) for order in planned])
    return _outcome(case, verdicts, planned, failed)


def _verdicts(case: Case) -> list[Verdict]:
    """Return what becomes of each candidate and each held share that dipped: the strategy's word, then risk's."""
    strategy, config = strategy_named(case.config.strategy), case.config.config
    first = strategy.decide(case.candidates, config, case.excluded)
    again = strategy.reenter(case.held, config, case.target.day, len(first.intents) + 1)
    judged = review([*first.intents, *again.intents], case.state, case.target.day)
    return [*first.rejections, *again.rejections, *judged]


async def _record(session: AsyncSession, case: Case, planned: Sequence[OrderRow], failed: Sequence[OrderRow]) -> None:
    """Leave what belongs to the orders in their transaction: rungs, marks on signals, a word to the user."""
    user_id, account_id = case.account.user_id, case.account.id
    await ReentryRepository(session, user_id, account_id).take(rungs_of(planned))
    marks = signal_marks([*planned, *failed])
    await UserSignalRepository(session, user_id).mark(case.config.strategy, case.config.parameter_hash, case.day, marks)
    await tell(session, case.execution, shortfall_notices(case, failed))


def _outcome(
    case: Case, verdicts: Sequence[Verdict], planned: Sequence[OrderRow], failed: Sequence[OrderRow]
) -> Outcome:
    refused: Mapping[str, Json] = dict(sorted(Counter(code for code in map(code_of, verdicts) if code).items()))
    return done(
        day=case.day.isoformat(),
        session=case.target.day.isoformat(),
        candidates=len(case.candidates),
        approved=len(planned),
        reentries=sum(order.entry_type == "reentry" for order in planned),
        failed_balance=len(failed),
        refused=refused,
    )
