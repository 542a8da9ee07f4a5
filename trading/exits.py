"""When and at what price a held share is sold: at its average, or at market once RSI is back; a stop loss on request.

Pure. Source: domain 4.11.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

import numpy as np

from trading.bars import Bars, Quote
from trading.config import TradingConfig
from trading.indicators import ema
from trading.strategies.base import price_of
from trading.strategies.dip import exit_limit, exits_on_rsi, live_ema9, rsi_with
from trading.values import Price

EXIT_EMA_PERIOD = 9  # bars
EXIT_RSI_PERIOD = 10  # bars; RSI(10) decides the exit, whatever the entry's period is
TREND_PERIOD = 200  # bars; domain 4.1
SUPPORT_DAYS = 20  # bars; domain 4.6
UNDER_SUPPORT = Decimal("0.98")
"""A stop stands 2 % under the support; domain 4.8."""


class ExitReason(StrEnum):
    """Why a position was closed."""

    EMA9_TARGET = "EMA9_TARGET"
    RSI_EXIT = "RSI_EXIT"
    STOP_LOSS = "STOP_LOSS"


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What the days before say of a share. support: the lowest low of SUPPORT_DAYS. falling: it closed below EMA200."""

    support: Price
    falling: bool


def backdrop(bars: Bars) -> Backdrop:
    """Return what a share's bars say. bars: up to the session before, oldest first, at least one."""
    support = price_of(float(np.min(bars.low[-SUPPORT_DAYS:])))
    return Backdrop(support, bool(bars.close[-1] < ema(bars.close, TREND_PERIOD)[-1]))


def stop_price(average_price: Price, behind: Backdrop, config: TradingConfig) -> Price | None:
    """Return the price at or below which a position is sold; None: never.

    `default_stop_loss_pct` is the largest loss, `tight_stop_loss_pct` in its place while the share is falling. Where
    `min_stop_loss_pct` is set too, the stop stands under the share's support if that is nearer, but never nearer than
    so. Without the first two there is no stop. average_price: what a share held cost.
    """
    limit = config.tight_stop_loss_pct if behind.falling else None
    limit = config.default_stop_loss_pct if limit is None else limit
    if limit is None:
        return None
    share = Decimal(str(limit))
    if config.min_stop_loss_pct is not None:
        to_support = 1 - behind.support * UNDER_SUPPORT / average_price
        share = min(share, max(Decimal(str(config.min_stop_loss_pct)), to_support))
    return average_price * (1 - share)


@dataclass(frozen=True, slots=True)
class Shown:
    """What the market shows of one held share. bars: up to the session before. whole: the quote is the whole day's."""

    quote: Quote
    bars: Bars
    whole: bool


def to_market(shown: Shown, average_price: Price, limit: Price | None, config: TradingConfig) -> ExitReason | None:
    """Return why a held share is sold at market now, None if it is not. limit: its exit at the broker, None without.

    A limit that was touched is left alone: it is sold already, whether or not a sync has told so yet.
    """
    if limit is not None and shown.quote.high >= limit:
        return None
    stop = stop_price(average_price, backdrop(shown.bars), config)
    if stop is not None and shown.quote.last <= stop:
        return ExitReason.STOP_LOSS
    recovered = limit is not None and shown.whole and config.exit_on_ema9_or_rsi50
    return ExitReason.RSI_EXIT if recovered and exits_on_rsi(exit_rsi(shown, shown.quote.last)) else None


def exit_rsi(shown: Shown, price: Price) -> float:
    """Return RSI(10) as it stands at a price of today; NaN with too few bars."""
    return rsi_with(shown.bars, price, EXIT_RSI_PERIOD) if len(shown.bars) >= EXIT_RSI_PERIOD else math.nan


def target(shown: Shown) -> Price:
    """Return the day's sell limit: EMA9 with today's open, floored to the tick."""
    return exit_limit(_average(shown), shown.quote.open)


def target_again(shown: Shown, limit: Price) -> Price:
    """Return the limit of an exit that is resized: EMA9 with the last price, and never above the limit it has.

    A whole day's bar does not tell what came after this moment: there the limit stays.
    """
    return limit if shown.whole else min(limit, exit_limit(_average(shown), shown.quote.last))


def average_now(shown: Shown) -> Price:
    """Return EMA9 as it stands with the last price."""
    return live_ema9(_average(shown), shown.quote.last)


def _average(shown: Shown) -> float:
    return float(ema(shown.bars.close, EXIT_EMA_PERIOD)[-1])
