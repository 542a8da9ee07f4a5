"""Places each held share's exit limit once a session, and before the close sells at market what has recovered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np

from adapters.prices.base import PriceSourceError
from db.accounts import AccountRepository, AccountRow
from db.configs import ConfigSnapshot, UserTradingConfigRepository
from db.executions import Execution, ServiceTaskRepository
from db.orders import OrderRepository, OrderRow
from db.positions import PositionRepository, PositionRow
from trading.bars import Bars, Quote
from trading.calendar import Calendar, Session
from trading.indicators import ema
from trading.orders import OrderState, intent_key, order_tag
from trading.risk import DenyCode
from trading.strategies.dip import exit_limit, exits_on_rsi, rsi_with
from trading.values import Side, Symbol
from worker.outcome import Outcome, Retry, done, skipped
from worker.resources import Resources
from worker.steps.order_life import submit_of
from worker.steps.subject import owner

EXIT_LEG = "exit"
EXIT_EMA_PERIOD = 9  # bars; domain 4.11
EXIT_RSI_PERIOD = 10  # bars; domain 4.11 names RSI(10) for the exit, whatever the entry's period is

# All accounts ask for the same history in the same minute: one comparison with the table serves them.
HISTORY_SECONDS_OLD = 5.0

_AT_BROKER = frozenset({OrderState.ACKED, OrderState.OPEN, OrderState.PARTIAL})


@dataclass(frozen=True, slots=True)
class _View:
    """What the market shows of the held shares. history: up to `before`, the session before. whole: of the bar."""

    session: Session
    before: date
    whole: bool
    history: Mapping[Symbol, Bars]
    quotes: Mapping[Symbol, Quote]


async def sell_monitor(resources: Resources, execution: Execution) -> Outcome:
    """Plan missing exits and ask for the market where RSI has recovered. Raises Retry when there are no prices.

    A share bought in this session gets its first exit in the next one.
    """
    user_id, account_id = owner(execution)
    view = await _look(resources, execution)
    if isinstance(view, Outcome):
        return view
    async with resources.database.transaction(user_id) as session:
        tasks = ServiceTaskRepository(session)
        now = await tasks.fence(execution)
        account = await AccountRepository(session).lock(user_id, account_id)
        if account.status != "active":
            return skipped(f"{DenyCode.KILL_SWITCH}: the account is {account.status}")
        if not _is_open(view.session, now):
            return skipped(f"{DenyCode.MARKET_CLOSED}: the session closed while prices were asked for")
        config = await UserTradingConfigRepository(session).snapshot(user_id, execution.config_version)
        positions = PositionRepository(session, user_id, account_id)
        held = [one for one in await positions.open() if one.opened_at < view.session.opens]
        orders = OrderRepository(session, user_id, account_id)
        sells = {order.symbol: order for order in await orders.live() if order.side == Side.SELL}
        unpriced = [one.symbol for one in held if not _is_priced(view, Symbol(one.symbol))]
        missing = [one for one in held if one.symbol not in sells and one.symbol not in unpriced]
        planned = await orders.plan([_order(execution, account, config, view, one) for one in missing], now)
        changed = _to_market(orders, config, view, list(sells.values()), now)
        rung = [submit_of(resources.calendar, order, now) for order in [*planned, *changed]]
        await tasks.follow_up(execution, rung)
    return done(positions=len(held), planned=len(planned), to_market=len(changed), without_price=unpriced)


async def _look(resources: Resources, execution: Execution) -> _View | Outcome:
    """Read positions, then ask for prices with no transaction open."""
    user_id, account_id = owner(execution)
    calendar = resources.calendar
    async with resources.database.reading(user_id) as session:
        now = execution.market_now
        today = _open_session(calendar, now)
        if today is None:
            return skipped(f"{DenyCode.MARKET_CLOSED}: no session is open")
        rows = await PositionRepository(session, user_id, account_id).open()
        symbols = [Symbol(row.symbol) for row in rows if row.opened_at < today.opens]
        if not symbols:
            return done(positions=0, planned=0, to_market=0)
    before = calendar.previous_session(today.day).day
    history = await resources.history.until(before, HISTORY_SECONDS_OLD)
    whole = calendar.bar_is_whole(now)
    try:
        quotes = await resources.prices.quotes(symbols, today.day, now, whole)
    except PriceSourceError as error:
        raise Retry(str(error)) from error
    return _View(today, before, whole, history, quotes)


def _open_session(calendar: Calendar, now: datetime) -> Session | None:
    session = calendar.session(calendar.exchange_day(now))
    return session if session is not None and _is_open(session, now) else None


def _is_open(session: Session, now: datetime) -> bool:
    return session.opens <= now < session.closes


def _is_priced(view: _View, symbol: Symbol) -> bool:
    """Tell whether a share has a quote and bars up to the session before: an older average is another one."""
    bars = view.history.get(symbol)
    return symbol in view.quotes and bars is not None and bars.days[-1] == np.datetime64(view.before, "D")


def _order(
    execution: Execution, account: AccountRow, config: ConfigSnapshot, view: _View, position: PositionRow
) -> dict[str, object]:
    symbol, day = Symbol(position.symbol), view.session.day
    quote = view.quotes[symbol]
    average = float(ema(view.history[symbol].close, EXIT_EMA_PERIOD)[-1])
    key = intent_key(config.strategy, day, symbol, Side.SELL, EXIT_LEG)
    return {
        "execution_id": execution.id,
        "symbol": symbol,
        "side": Side.SELL.value,
        "order_type": "limit",
        "variety": "regular",
        "quantity": position.quantity,
        "price": exit_limit(average, quote.open),
        "status": OrderState.PLANNED.value,
        "intent_key": key,
        "tag": order_tag(account.code, key),
        "strategy": config.strategy,
        "leg": EXIT_LEG,
        "rank": 1,
        "reference_price": quote.last,
        "as_of": execution.as_of,
        "session_day": day,
        "config_version": config.version,
    }


def _to_market(
    orders: OrderRepository, config: ConfigSnapshot, view: _View, sells: list[OrderRow], now: datetime
) -> list[OrderRow]:
    """Mark the exits that shall sell at market, each under a new attempt. Returns them."""
    if not (view.whole and config.config.exit_on_ema9_or_rsi50):
        return []
    changed = [order for order in sells if order.status in _AT_BROKER and _recovered(view, order)]
    for order in changed:
        order.change = {"limit_price": None}
        order.attempt += 1
        orders.note(order, "change_wanted", order.status, now, {"limit_price": None, "attempt": order.attempt})
    return changed


def _recovered(view: _View, order: OrderRow) -> bool:
    """Tell whether an exit's limit has become the wrong price: RSI is back, and the market never came to the limit.

    A limit that was touched is left alone: it is sold already, whether or not a sync has told so yet.
    """
    symbol = Symbol(order.symbol)
    if order.leg != EXIT_LEG or order.change is not None or order.price is None or not _is_priced(view, symbol):
        return False
    quote, bars = view.quotes[symbol], view.history[symbol]
    if quote.high >= order.price or len(bars) < EXIT_RSI_PERIOD:
        return False
    return exits_on_rsi(rsi_with(bars, quote.last, EXIT_RSI_PERIOD))
