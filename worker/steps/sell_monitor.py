"""Places each held share's exit once a session, keeps it as large as the position, and sells at market what has
recovered or fallen too far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from math import isfinite

from db.accounts import AccountRepository, AccountRow
from db.configs import ConfigSnapshot, UserTradingConfigRepository
from db.decisions import DecisionRepository
from db.executions import Execution, ServiceTaskRepository
from db.halts import HaltRepository
from db.orders import OrderRepository, OrderRow
from db.positions import PositionRepository, PositionRow
from trading.calendar import Session
from trading.config import TradingConfig
from trading.exits import ExitReason, Shown, exit_rsi, target, target_again, to_market
from trading.halts import Halt, Halts, Stops
from trading.orders import OrderState, intent_key, order_tag
from trading.risk import DenyCode
from trading.values import Price, Side, Symbol
from worker.outcome import Json, Outcome, done, skipped
from worker.resources import Resources
from worker.steps.market_view import is_open, last_known, open_session, shown_at
from worker.steps.order_life import has_asked, submit_of, want
from worker.steps.subject import owner

EXIT_LEG = "exit"

_LEGS = {Stops.EXITS: EXIT_LEG, Stops.CHANGES: "change"}
_ASKERS = frozenset({"sell_monitor"})
_AT_BROKER = frozenset({OrderState.ACKED, OrderState.OPEN, OrderState.PARTIAL})


@dataclass(frozen=True, slots=True)
class _View:
    """Today's session, and what the market shows of held shares. dark: nothing yet, they stand at their last close."""

    session: Session
    shown: Mapping[Symbol, Shown]
    dark: bool


@dataclass(frozen=True, slots=True)
class _Wish:
    """What an exit at the broker shall become. reason: why it goes to the market, None when it does not."""

    order: OrderRow
    change: Mapping[str, Json]
    reason: ExitReason | None
    rsi: float


@dataclass(frozen=True, slots=True)
class _Gate:
    """The halts that concern exits, and what they refused: what was wanted, of which share, and which halt it was."""

    halts: Halts
    refused: list[tuple[Stops, str, Halt]]

    def lets(self, what: Stops, symbol: str) -> bool:
        """Tell whether nothing stops this of a share; what is stopped is kept."""
        halt = self.halts.stopping(what, symbol)
        if halt is not None:
            self.refused.append((what, symbol, halt))
        return halt is None


async def sell_monitor(resources: Resources, execution: Execution) -> Outcome:
    """Plan missing exits and change those that no longer fit. Raises Retry when there are no prices.

    A share bought in this session gets its first exit in the next one.
    """
    user_id, account_id = owner(execution)
    view = await _look(resources, execution)
    if isinstance(view, Outcome):
        return view
    async with resources.database.transaction(user_id) as session:
        tasks = ServiceTaskRepository(session)
        now = await tasks.fence(execution)
        await HaltRepository(session).share()
        account = await AccountRepository(session).lock(user_id, account_id)
        if account.status != "active":
            return skipped(f"{DenyCode.KILL_SWITCH}: the account is {account.status}")
        if not is_open(view.session, now):
            return skipped(f"{DenyCode.MARKET_CLOSED}: the session closed while prices were asked for")
        config = await UserTradingConfigRepository(session).snapshot(user_id, execution.config_version)
        positions = PositionRepository(session, user_id, account_id)
        held = [one for one in await positions.open() if one.opened_at < view.session.opens]
        orders = OrderRepository(session, user_id, account_id)
        sells = {order.symbol: order for order in await orders.live() if order.side == Side.SELL}
        priced = [(one, shown) for one in held if (shown := view.shown.get(Symbol(one.symbol))) is not None]
        missing = [_order(execution, account, config, *one) for one in priced if one[0].symbol not in sells]
        halts = (await HaltRepository(session).stops(user_id, account_id)).of(_ASKERS, config.strategy)
        gate = _Gate(halts, [])
        planned = await orders.plan([one for one in missing if gate.lets(Stops.EXITS, str(one["symbol"]))], now)
        wanted = _wishes(sells, priced, config.config)
        wishes = [wish for wish in wanted if gate.lets(Stops.CHANGES, wish.order.symbol)]
        day = view.session.day
        await DecisionRepository(session).journal(
            [_refusal(execution, account, config.version, day, *one) for one in gate.refused]
        )
        for wish in wishes:
            _ask(orders, wish, now)
        rung = [submit_of(resources.calendar, order, now) for order in [*planned, *(wish.order for wish in wishes)]]
        await tasks.follow_up(execution, rung)
    return done(
        positions=len(held),
        planned=len(planned),
        to_market=sum(wish.reason is not None for wish in wishes),
        resized=sum("quantity" in wish.change for wish in wishes),
        without_price=sorted({one.symbol for one in held} - {one.symbol for one, _ in priced}),
        **({"halted": len(gate.refused)} if gate.refused else {}),
        **({"priced_at": "last close"} if view.dark else {}),
    )


def _refusal(
    execution: Execution, account: AccountRow, config_version: int, day: date, what: Stops, symbol: str, halt: Halt
) -> dict[str, object]:
    """Return what the journal says of what a halt refused: once a day of each share's exit, and of its change."""
    return {
        "user_id": account.user_id,
        "account_id": account.id,
        "execution_id": execution.id,
        "task_name": execution.task_name,
        "day": day,
        "symbol": symbol,
        "leg": _LEGS[what],
        "verdict": "refused",
        "code": DenyCode.KILL_SWITCH.value,
        "facts": halt.facts(),
        "config_version": config_version,
    }


async def _look(resources: Resources, execution: Execution) -> _View | Outcome:
    """Read positions, then ask for prices with no transaction open."""
    user_id, account_id = owner(execution)
    today = open_session(resources.calendar, execution.market_now)
    if today is None:
        return skipped(f"{DenyCode.MARKET_CLOSED}: no session is open")
    async with resources.database.reading(user_id) as session:
        rows = await PositionRepository(session, user_id, account_id).open()
    symbols = [Symbol(row.symbol) for row in rows if row.opened_at < today.opens]
    if not symbols:
        return done(positions=0, planned=0, to_market=0, resized=0)
    shown = await shown_at(resources, today, symbols, execution.market_now)
    if shown:
        return _View(today, shown, dark=False)
    shown = await last_known(resources, today, symbols, execution.market_now)
    return _View(today, shown, dark=bool(shown))


def _order(
    execution: Execution, account: AccountRow, config: ConfigSnapshot, position: PositionRow, shown: Shown
) -> dict[str, object]:
    """Return the exit of a position for this session: its limit, or the market where its stop loss was passed."""
    reason = to_market(shown, position.avg_price, None, config.config)
    limit = None if reason else target(shown)
    key = intent_key(config.strategy, shown.quote.day, Symbol(position.symbol), Side.SELL, EXIT_LEG)
    return {
        "execution_id": execution.id,
        "symbol": position.symbol,
        "side": Side.SELL.value,
        "order_type": "market" if limit is None else "limit",
        "variety": "regular",
        "trade_mode": account.mode,
        "orig_source": "exit",
        "order_metadata": _why(exit_rsi(shown, shown.quote.last if limit is None else limit), reason),
        "quantity": position.quantity,
        "price": limit,
        "status": OrderState.PLANNED.value,
        "intent_key": key,
        "tag": order_tag(account.code, key),
        "strategy": config.strategy,
        "leg": EXIT_LEG,
        "rank": 1,
        "reference_price": shown.quote.last,
        "as_of": execution.as_of,
        "session_day": shown.quote.day,
        "position_id": position.id,
        "config_version": config.version,
    }


def _wishes(
    sells: Mapping[str, OrderRow], priced: Sequence[tuple[PositionRow, Shown]], config: TradingConfig
) -> list[_Wish]:
    """Return what the exits at the broker shall become; what was asked for already is not asked for again."""
    found = [
        _wish(sells[position.symbol], position, shown, config) for position, shown in priced if position.symbol in sells
    ]
    return [wish for wish in found if wish is not None and not has_asked(wish.order, wish.change)]


def _wish(order: OrderRow, position: PositionRow, shown: Shown, config: TradingConfig) -> _Wish | None:
    """Return what an exit shall become: of the position's size, and at market where that is called for."""
    pending = order.change is not None and "accepted" not in order.change
    if order.leg != EXIT_LEG or order.status not in _AT_BROKER or order.price is None or pending:
        return None
    quantity = position.quantity + order.filled_quantity
    size: dict[str, Json] = {} if quantity == order.quantity else {"quantity": quantity}
    reason = to_market(shown, position.avg_price, order.price, config)
    if reason is not None:
        return _Wish(order, {"limit_price": None, **size}, reason, exit_rsi(shown, shown.quote.last))
    if not size:
        return None
    limit: Price = target_again(shown, order.price)
    return _Wish(order, {"limit_price": str(limit), **size}, None, exit_rsi(shown, limit))


def _ask(orders: OrderRepository, wish: _Wish, now: datetime) -> None:
    wish.order.order_metadata = {**(wish.order.order_metadata or {}), **_why(wish.rsi, wish.reason)}
    want(orders, wish.order, wish.change, now)


def _why(rsi: float, reason: ExitReason | None) -> dict[str, Json]:
    """Return what the position will keep of its exit; booking reads it when the sale is filled."""
    known: dict[str, Json] = {"rsi": round(rsi, 4)} if isfinite(rsi) else {}
    return known if reason is None else {**known, "exit_reason": reason.value}
