"""The form and the size of a buy: at what limit, by what route, and how many shares."""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Literal

from trading.config import TradingConfig
from trading.values import Price, Quantity, tick_floor

LIMIT_OVER_CLOSE = Decimal("1.01")
"""A LIMIT buy pays at most the upper end of the buy range; domain 4.8."""

UNDER_EMA9 = Decimal("0.99")
"""An after-market buy is worth nothing at the price it would be sold at: the 09:05 adjustment's limit; domain 3.2."""

OrderType = Literal["market", "limit"]


@dataclass(frozen=True, slots=True)
class Route:
    """Where and how an order goes, as the user asked for it. A venue that cannot do it refuses; nothing is replaced."""

    variety: str = "amo"
    exchange: str = "NSE"
    product: str = "CNC"
    validity: str = "DAY"


DEFAULT_ROUTE = Route()


@dataclass(frozen=True, slots=True)
class OrderForm:
    """A buy's type, limit (None: market) and route."""

    order_type: OrderType
    limit_price: Price | None
    route: Route


def route_of(config: TradingConfig) -> Route:
    """Return the route a configuration asks for."""
    return Route(
        config.default_variety.lower(), config.default_exchange, config.default_product, config.default_validity
    )


def buy_form(close: Price, ema9: Price | None, config: TradingConfig) -> OrderForm:
    """Return the form of a buy decided at a close. ema9: at that close; None sets no cap.

    LIMIT pays at most one percent over the close. With enable_premarket_amo_adjustment an after-market buy becomes a
    limit order just under EMA9 where that is the tighter cap: daily bars know no pre-open price to cancel it by. Limits
    are floored to the tick, so a buy is never rounded up.
    """
    route = route_of(config)
    caps: list[Price] = []
    if config.default_order_type == "LIMIT":
        caps.append(close * LIMIT_OVER_CLOSE)
    if config.enable_premarket_amo_adjustment and route.variety == "amo" and ema9 is not None:
        caps.append(ema9 * UNDER_EMA9)
    limit = tick_floor(min(caps)) if caps else None
    return OrderForm("market", None, route) if limit is None else OrderForm("limit", limit, route)


def order_quantity(close: Price, average_volume: float, config: TradingConfig, limit: Price | None = None) -> Quantity:
    """Return the shares that fit the capital, the order cap and the share of average volume; 0 if not even one.

    average_volume: shares a day. limit: the most the order may pay a share; the order cap is held against it.
    Source: domain 4.9, without its max(1, ...).
    """
    shares = Decimal(average_volume) * Decimal(str(config.max_position_volume_ratio))
    capital = min(config.user_capital, shares * close, config.max_order_value)
    quantity = int((capital / close).to_integral_value(rounding=ROUND_FLOOR))
    if limit is None:
        return quantity
    return min(quantity, int((config.max_order_value / limit).to_integral_value(rounding=ROUND_FLOOR)))
