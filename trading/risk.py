"""The check before an order: pure, in rank order, reserving money and places as it goes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from trading.charges import charges
from trading.halts import NO_HALTS, Halts, order_of
from trading.order_form import DEFAULT_ROUTE, OrderType, Route
from trading.values import Money, Price, Quantity, Side, Symbol, money, tick_size

# A market buy placed after the close fills at an open that may gap above it. What gaps further meets the broker's own
# check of funds.
GAP_BUFFER = Decimal("1.05")

# The leg of a first buy. Other buy legs (re-entries) may add to what is held.
ENTRY_LEG = "entry"

Facts = Mapping[str, object]


class DenyCode(StrEnum):
    """Why an intent did not become an order. Those that `review` cannot see are given by the step around it."""

    KILL_SWITCH = "KILL_SWITCH"
    MARKET_CLOSED = "MARKET_CLOSED"
    CALENDAR_UNCOVERED = "CALENDAR_UNCOVERED"
    INSTRUMENT_UNKNOWN = "INSTRUMENT_UNKNOWN"
    TICK_SIZE = "TICK_SIZE"
    MAX_ORDER_VALUE = "MAX_ORDER_VALUE"
    MAX_OPEN_POSITIONS = "MAX_OPEN_POSITIONS"
    FUNDS = "FUNDS"
    DUPLICATE_INTENT = "DUPLICATE_INTENT"
    PENDING_ORDER_EXISTS = "PENDING_ORDER_EXISTS"
    HOLDING_MISSING = "HOLDING_MISSING"
    POSITION_CLOSED = "POSITION_CLOSED"
    STALE_FEATURES = "STALE_FEATURES"
    INVALID_QUANTITY = "INVALID_QUANTITY"
    VENUE_UNSUPPORTED = "VENUE_UNSUPPORTED"


@dataclass(frozen=True, slots=True)
class Intent:
    """What a strategy wants. rank: 1 is served first. facts: what it was decided on, values that JSON can hold.

    reference_price: the last known price, which sizes a market order. limit_price: None for a market order.
    """

    symbol: Symbol
    side: Side
    quantity: Quantity
    order_type: OrderType
    limit_price: Price | None
    reference_price: Price
    rank: int
    leg: str
    reason: str
    facts: Facts = field(default_factory=dict)
    route: Route = DEFAULT_ROUTE


@dataclass(frozen=True, slots=True)
class Venue:
    """What the account's venue can be asked for. The session calendar is NSE's: another exchange has other days."""

    name: str = "paper"
    varieties: frozenset[str] = frozenset({"amo", "regular"})
    exchanges: frozenset[str] = frozenset({"NSE"})
    products: frozenset[str] = frozenset({"CNC"})
    validities: frozenset[str] = frozenset({"DAY"})


PAPER = Venue()


@dataclass(frozen=True, slots=True)
class AccountState:
    """What one account has and may have. cash_available: not spent and not reserved by orders in flight.

    halts: those in force for its strategy and the task that asks.
    """

    cash_available: Money
    open_symbols: frozenset[Symbol]
    live_buy_symbols: frozenset[Symbol]
    live_sell_symbols: frozenset[Symbol]
    max_open_positions: int
    max_order_value: Money
    venue: Venue = PAPER
    halts: Halts = NO_HALTS


@dataclass(frozen=True, slots=True)
class Approved:
    """An intent that may become an order. reserved: rupees held back for it; a sale holds back nothing."""

    intent: Intent
    reserved: Money


@dataclass(frozen=True, slots=True)
class Refused:
    """An intent that may not, and the numbers that say why, as JSON can hold them (rupees as text)."""

    intent: Intent
    code: DenyCode
    facts: Facts


@dataclass(slots=True)
class _Room:
    """What is left of the account while a list is gone through."""

    state: AccountState
    on: date
    cash: Money
    positions: set[Symbol]
    buying: set[Symbol]
    selling: set[Symbol]
    seen: set[tuple[Symbol, Side, str]]


def review(intents: Iterable[Intent], state: AccountState, on: date) -> list[Approved | Refused]:
    """Return a verdict for each intent, in rank order; equal ranks go by symbol, so the order of the list is nothing.

    on: the exchange day whose charges are estimated.
    """
    positions = set(state.open_symbols | state.live_buy_symbols)
    buying, selling = set(state.live_buy_symbols), set(state.live_sell_symbols)
    room = _Room(state, on, state.cash_available, positions, buying, selling, set())
    return [_decide(intent, room) for intent in sorted(intents, key=_turn)]


def cash_needed(intent: Intent, on: date) -> Money:
    """Return the rupees to hold back for an intent: the worst price it is expected to pay, with charges. A sale: 0."""
    if intent.side is Side.SELL:
        return money(0)
    worst = intent.limit_price if intent.limit_price is not None else intent.reference_price * GAP_BUFFER
    return money(intent.quantity * worst) + charges(intent.side, intent.quantity, worst, on).total


def _turn(intent: Intent) -> tuple[int, Symbol, Side, str, Quantity, Price, OrderType, Price, str, str]:
    limit = intent.limit_price if intent.limit_price is not None else Decimal(0)
    facts = repr(sorted(intent.facts.items(), key=lambda fact: fact[0]))
    what = (intent.rank, intent.symbol, intent.side, intent.leg, intent.quantity)
    return (*what, intent.reference_price, intent.order_type, limit, intent.reason, facts)


def _decide(intent: Intent, room: _Room) -> Approved | Refused:
    refused = (
        _refuse_halted(intent, room.state.halts)
        or _refuse_form(intent)
        or _refuse_route(intent.route, room.state.venue)
        or _refuse_repeat(intent, room)
        or _refuse_limits(intent, room)
    )
    if refused is not None:
        return Refused(intent, *refused)
    room.seen.add((intent.symbol, intent.side, intent.leg))
    if intent.side is Side.SELL:
        room.selling.add(intent.symbol)
        return Approved(intent, money(0))
    reserved = cash_needed(intent, room.on)
    room.cash -= reserved
    room.positions.add(intent.symbol)
    room.buying.add(intent.symbol)
    return Approved(intent, reserved)


def _refuse_halted(intent: Intent, halts: Halts) -> tuple[DenyCode, Facts] | None:
    halt = halts.stopping(order_of(intent.side), intent.symbol)
    return None if halt is None else (DenyCode.KILL_SWITCH, halt.facts())


def _refuse_form(intent: Intent) -> tuple[DenyCode, Facts] | None:
    if intent.quantity <= 0:
        return DenyCode.INVALID_QUANTITY, {"quantity": intent.quantity}
    limit = intent.limit_price
    if (intent.order_type == "limit") != (limit is not None):
        return DenyCode.TICK_SIZE, {"order_type": intent.order_type, "limit_price": _text(limit)}
    if limit is not None and (limit <= 0 or limit % tick_size(limit)):
        return DenyCode.TICK_SIZE, {"limit_price": _text(limit), "tick_size": _text(tick_size(limit))}
    return None


def _refuse_route(route: Route, venue: Venue) -> tuple[DenyCode, Facts] | None:
    """Refuse what the venue cannot do, naming the field to change: an order is never silently sent another way."""
    for name, value, able in (
        ("default_variety", route.variety, venue.varieties),
        ("default_exchange", route.exchange, venue.exchanges),
        ("default_product", route.product, venue.products),
        ("default_validity", route.validity, venue.validities),
    ):
        if value not in able:
            facts = {"field": name, "value": value, "venue": venue.name, "supported": sorted(able)}
            return DenyCode.VENUE_UNSUPPORTED, facts
    return None


def _refuse_repeat(intent: Intent, room: _Room) -> tuple[DenyCode, Facts] | None:
    symbol, facts = intent.symbol, {"symbol": intent.symbol, "side": intent.side.value, "leg": intent.leg}
    if (symbol, intent.side, intent.leg) in room.seen:
        return DenyCode.DUPLICATE_INTENT, facts
    if symbol in (room.buying if intent.side is Side.BUY else room.selling):
        return DenyCode.PENDING_ORDER_EXISTS, facts
    if intent.side is Side.SELL and symbol not in room.state.open_symbols:
        return DenyCode.HOLDING_MISSING, facts
    if intent.side is Side.BUY and intent.leg == ENTRY_LEG and symbol in room.state.open_symbols:
        return DenyCode.DUPLICATE_INTENT, facts
    return None


def _refuse_limits(intent: Intent, room: _Room) -> tuple[DenyCode, Facts] | None:
    """Only buys are limited: a limit that stops a sale keeps the risk it was made against."""
    if intent.side is Side.SELL:
        return None
    price = intent.limit_price if intent.limit_price is not None else intent.reference_price
    value, most = money(intent.quantity * price), room.state.max_order_value
    if value > most:
        return DenyCode.MAX_ORDER_VALUE, {"value": _text(value), "max_order_value": _text(most)}
    places = room.state.max_open_positions
    if intent.symbol not in room.positions and len(room.positions) >= places:
        return DenyCode.MAX_OPEN_POSITIONS, {"open": len(room.positions), "max_open_positions": places}
    needed = cash_needed(intent, room.on)
    if needed > room.cash:
        return DenyCode.FUNDS, {"needed": _text(needed), "available": _text(room.cash)}
    return None


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)
