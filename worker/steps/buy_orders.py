"""Turns the day's candidates into one account's buy orders for the next session: filter, size, review, reserve."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession

from db.accounts import AccountRepository, AccountRow
from db.configs import ConfigSnapshot, UserTradingConfigRepository
from db.decisions import DecisionRepository
from db.executions import Execution, ServiceTaskRepository
from db.orders import OrderRepository, OrderRow
from db.positions import PositionRepository
from db.service_status import ServiceStatusRepository
from db.signals import SignalRepository
from trading.calendar import AMO_ENDS, Session
from trading.orders import OrderState, intent_key, order_tag
from trading.risk import ENTRY_LEG, AccountState, Approved, DenyCode, Refused, review
from trading.strategies.base import Candidate, Rejection
from trading.strategies.registry import strategy_named
from trading.values import Side, Symbol, money
from worker.outcome import Json, Outcome, done, skipped
from worker.resources import Resources
from worker.steps.order_life import submit_of
from worker.steps.subject import owner

Verdict = Approved | Refused | Rejection


@dataclass(frozen=True, slots=True)
class _Case:
    """What the account's decision stands on, read under its lock."""

    execution: Execution
    account: AccountRow
    config: ConfigSnapshot
    day: date
    target: Session
    candidates: Sequence[Candidate]
    taken: frozenset[Symbol]
    state: AccountState


async def buy_orders(resources: Resources, execution: Execution) -> Outcome:
    """Plan the account's buys on the analysis of the day, journal every candidate and ring the submits."""
    user_id, account_id = owner(execution)
    day = resources.calendar.exchange_day(execution.as_of)
    target = resources.calendar.next_session(day)
    async with resources.database.transaction(user_id) as session:
        tasks = ServiceTaskRepository(session)
        now = await tasks.fence(execution)
        account = await AccountRepository(session).lock(user_id, account_id)
        if account.status != "active":
            return skipped(f"{DenyCode.KILL_SWITCH}: the account is {account.status}")
        if not await ServiceStatusRepository(session).runs(user_id):
            return skipped(f"{DenyCode.KILL_SWITCH}: the service is stopped")
        if now >= target.opens - AMO_ENDS:
            return skipped(f"{DenyCode.MARKET_CLOSED}: no orders for {target.day} are taken any more")
        config = await UserTradingConfigRepository(session).snapshot(user_id, execution.config_version)
        signals = SignalRepository(session)
        if await signals.snapshot_version(config.strategy, config.parameter_hash, day) is None:
            return skipped(f"{DenyCode.STALE_FEATURES}: no analysis of {day}")
        journal = DecisionRepository(session)
        if await journal.made(account_id, execution.task_name, day, execution.id):
            return done(repeated=True)
        candidates = await signals.candidates(config.strategy, config.parameter_hash, day)
        taken, state = await _account_state(session, account, config)
        case = _Case(execution, account, config, day, target, candidates, taken, state)
        verdicts = _verdicts(case)
        await journal.journal(_journal(case, verdicts))
        orders = OrderRepository(session, user_id, account_id)
        planned = await orders.plan([_order(case, one) for one in verdicts if isinstance(one, Approved)], now)
        await tasks.follow_up(execution, [submit_of(resources.calendar, order, now) for order in planned])
    return _outcome(case, verdicts, planned)


async def _account_state(
    session: AsyncSession, account: AccountRow, config: ConfigSnapshot
) -> tuple[frozenset[Symbol], AccountState]:
    held = await PositionRepository(session, account.user_id, account.id).open()
    live = await OrderRepository(session, account.user_id, account.id).live()
    positions = frozenset(Symbol(row.symbol) for row in held)
    buys = frozenset(Symbol(order.symbol) for order in live if order.side == Side.BUY)
    sells = frozenset(Symbol(order.symbol) for order in live if order.side == Side.SELL)
    state = AccountState(
        cash_available=account.cash - sum((order.reserved for order in live), money(0)),
        open_symbols=positions,
        live_buy_symbols=buys,
        live_sell_symbols=sells,
        max_open_positions=config.config.max_portfolio_size,
        max_order_value=config.config.max_order_value,
    )
    return positions | buys | sells, state


def _verdicts(case: _Case) -> list[Verdict]:
    """Return what becomes of each candidate: the strategy's rejections, then risk's verdicts in rank order."""
    decision = strategy_named(case.config.strategy).decide(case.candidates, case.config.config, case.taken)
    return [*decision.rejections, *review(decision.intents, case.state, case.target.day)]


def _code(verdict: Verdict) -> str | None:
    return None if isinstance(verdict, Approved) else str(verdict.code)


def _journal(case: _Case, verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    found = {candidate.symbol: candidate for candidate in case.candidates}
    rows: list[dict[str, object]] = []
    for verdict in verdicts:
        symbol = verdict.symbol if isinstance(verdict, Rejection) else verdict.intent.symbol
        version, confidence = _judged(case, found[symbol])
        rows.append(
            {
                "user_id": case.account.user_id,
                "account_id": case.account.id,
                "execution_id": case.execution.id,
                "task_name": case.execution.task_name,
                "day": case.day,
                "symbol": symbol,
                "leg": ENTRY_LEG,
                "verdict": "approved" if isinstance(verdict, Approved) else "refused",
                "code": _code(verdict),
                "facts": _facts(verdict),
                "config_version": case.config.version,
                "model_version": version,
                "confidence": confidence,
            }
        )
    return rows


def _facts(verdict: Verdict) -> dict[str, object]:
    if isinstance(verdict, Rejection):
        return dict(verdict.facts)
    facts: Mapping[str, object] = verdict.facts if isinstance(verdict, Refused) else {"reserved": str(verdict.reserved)}
    return {**verdict.intent.facts, "rank": verdict.intent.rank, "quantity": verdict.intent.quantity, **facts}


def _judged(case: _Case, candidate: Candidate) -> tuple[str | None, float | None]:
    """Return the model version and confidence that had a say: none where the user's configuration asks no model."""
    if not case.config.config.ml_enabled:
        return None, None
    return candidate.model_version, candidate.confidence


def _order(case: _Case, approved: Approved) -> dict[str, object]:
    intent = approved.intent
    key = intent_key(case.config.strategy, case.day, intent.symbol, intent.side, intent.leg)
    version, confidence = _judged(case, next(one for one in case.candidates if one.symbol == intent.symbol))
    return {
        "execution_id": case.execution.id,
        "symbol": intent.symbol,
        "side": intent.side.value,
        "order_type": intent.order_type,
        "variety": "amo",
        "quantity": intent.quantity,
        "price": intent.limit_price,
        "status": OrderState.PLANNED.value,
        "intent_key": key,
        "tag": order_tag(case.account.code, key),
        "strategy": case.config.strategy,
        "leg": intent.leg,
        "rank": intent.rank,
        "reference_price": intent.reference_price,
        "reserved": approved.reserved,
        "as_of": case.execution.as_of,
        "session_day": case.target.day,
        "config_version": case.config.version,
        "model_version": version,
        "confidence": confidence,
    }


def _outcome(case: _Case, verdicts: Sequence[Verdict], planned: Sequence[OrderRow]) -> Outcome:
    refused: Mapping[str, Json] = dict(sorted(Counter(code for code in map(_code, verdicts) if code).items()))
    return done(
        day=case.day.isoformat(),
        session=case.target.day.isoformat(),
        candidates=len(case.candidates),
        approved=len(planned),
        refused=refused,
    )
