"""What one account's buys are decided on, read under its lock: candidates, holdings, money and places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy.ext.asyncio import AsyncSession

from adapters.brokers.base import Capabilities
from db.accounts import AccountRow
from db.configs import ConfigSnapshot
from db.executions import Execution
from db.halts import HaltRepository
from db.orders import OrderRepository
from db.positions import FillRepository, PositionRepository, PositionRow
from db.signals import SignalRepository
from db.user_signals import UserSignalRepository
from trading.calendar import Session
from trading.halts import Halts
from trading.risk import AccountState, Venue
from trading.strategies.base import Candidate, Held
from trading.values import Side, Symbol, money
from worker.steps.ladders import held_shares


@dataclass(frozen=True, slots=True)
class Case:
    """One decision's ground. day: of the analysis. target: the session to buy in.

    excluded: symbol -> the code for which the account buys it not now. held: by symbol, with the ladder of each.
    """

    execution: Execution
    account: AccountRow
    config: ConfigSnapshot
    day: date
    target: Session
    candidates: Sequence[Candidate]
    excluded: Mapping[Symbol, str]
    held: Sequence[Held]
    positions: Mapping[Symbol, PositionRow]
    state: AccountState


async def read_case(
    session: AsyncSession,
    execution: Execution,
    account: AccountRow,
    config: ConfigSnapshot,
    today: Session,
    target: Session,
    capabilities: Capabilities,
) -> Case:
    """Read the case of an account whose row is locked, and bring the ladders of its positions up to the day.

    Halts are shared by then: none begins before this transaction has ended.
    """
    signals, key = SignalRepository(session), (config.strategy, config.parameter_hash, today.day)
    positions = await PositionRepository(session, account.user_id, account.id).open()
    halts = await HaltRepository(session).stops(account.user_id, account.id)
    mine = halts.of(frozenset({execution.task_name}), config.strategy)
    state = await account_state(session, account, config, positions, capabilities, mine)
    taken = state.open_symbols | state.live_buy_symbols | state.live_sell_symbols
    excluded: dict[Symbol, str] = {}
    if not config.config.allow_duplicate_recommendations_same_day:
        fills = FillRepository(session, account.user_id, account.id)
        excluded |= dict.fromkeys(await fills.symbols_between(today.opens, today.closes), "traded_today")
    refused = await UserSignalRepository(session, account.user_id).rejected(*key)
    excluded |= dict.fromkeys(refused, "rejected_by_user")
    excluded |= dict.fromkeys(taken, "already_held")
    return Case(
        execution=execution,
        account=account,
        config=config,
        day=today.day,
        target=target,
        candidates=await signals.candidates(*key),
        excluded=excluded,
        held=await held_shares(session, account, positions, await signals.shares(*key, state.open_symbols), today.day),
        positions={Symbol(row.symbol): row for row in positions},
        state=state,
    )


async def account_state(
    session: AsyncSession,
    account: AccountRow,
    config: ConfigSnapshot,
    positions: Sequence[PositionRow],
    capabilities: Capabilities,
    halts: Halts,
) -> AccountState:
    """Return what an account has and may have. positions: its open ones. halts: those that concern who asks."""
    live = await OrderRepository(session, account.user_id, account.id).live()
    return AccountState(
        cash_available=account.cash - sum((order.reserved for order in live), money(0)),
        open_symbols=frozenset(Symbol(row.symbol) for row in positions),
        live_buy_symbols=frozenset(Symbol(order.symbol) for order in live if order.side == Side.BUY),
        live_sell_symbols=frozenset(Symbol(order.symbol) for order in live if order.side == Side.SELL),
        max_open_positions=config.config.max_portfolio_size,
        max_order_value=config.config.max_order_value,
        venue=Venue(
            account.venue,
            frozenset({"amo", "regular"} if capabilities.after_market_orders else {"regular"}),
            capabilities.exchanges,
            capabilities.products,
            capabilities.validities,
        ),
        halts=halts,
    )
