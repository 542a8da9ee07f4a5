"""The dip strategy over a symbol's past, by the live strategy's gates and exits: its trades train and judge predictors.

Verdicts and scores are not asked: a model that combines with them must have seen what they refuse.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt

from trading.bars import Bars, Days, Floats
from trading.charges import charges
from trading.config import TradingConfig
from trading.features import FeatureParameters, feature_histories
from trading.order_form import order_quantity
from trading.strategies.base import price_of
from trading.strategies.dip import exit_limit, exits_on_rsi
from trading.strategies.dip_gates import gates
from trading.values import Price, Quantity, Side, Symbol

ExitReason = Literal["ema9", "rsi50"]

GAIN_SESSIONS = 20
"""What a price regressor foretells: the most an entry is up in so many sessions, its own included; domain 8.1."""


@dataclass(frozen=True, slots=True, eq=False)
class DipTrades:
    """Finished trades of one symbol, oldest first, each column (n,).

    entry_index: the entry's position in the bars. Prices are rupees a share. pnl_pct: net of charges, per hundred
    rupees put in. best_gain_pct: the highest price of GAIN_SESSIONS from the entry's, above the entry price; it is
    known on best_gain_day, and NaN where the bars end before that. features: every column of the feature table at the
    signal's close, one bar before the entry.
    """

    symbol: Symbol
    entry_index: npt.NDArray[np.intp]
    entry_day: Days
    entry_price: Floats
    exit_day: Days
    exit_price: Floats
    exit_reason: tuple[ExitReason, ...]
    pnl_pct: Floats
    best_gain_pct: Floats
    best_gain_day: Days
    features: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.entry_index)


@dataclass(frozen=True, slots=True)
class _Trade:
    signal: int
    entry_price: Price
    exit: int
    exit_price: Price
    reason: ExitReason
    pnl_pct: float


def dip_trades(bars: Bars, config: TradingConfig, parameters: FeatureParameters) -> DipTrades:
    """Return the finished trades that the configuration would have made in a symbol, one at a time.

    Signal at a close, entry at the next open, exits from the day after the entry. The model is not asked; a trade still
    open at the last bar is left out.
    """
    return next(all_dip_trades([bars], config, parameters))


def all_dip_trades(bars: Sequence[Bars], config: TradingConfig, parameters: FeatureParameters) -> Iterator[DipTrades]:
    """Yield the trades of each symbol, in the order given, as `dip_trades` finds them."""
    for one, history in zip(bars, feature_histories(bars, parameters), strict=True):
        yield _trades(one, history, config)


def _trades(bars: Bars, history: dict[str, Floats], config: TradingConfig) -> DipTrades:
    refused = np.any(list(gates(history, config).values()), axis=0)
    trades: list[_Trade] = []
    free_from = 0
    for signal in np.flatnonzero(~refused).tolist():
        if signal < free_from:
            continue
        close, volume = price_of(float(bars.close[signal])), float(history["avg_volume_50"][signal])
        quantity = order_quantity(close, volume, config)
        if quantity == 0:
            continue
        trade = _trade(bars, history, signal, quantity)
        if trade is None:
            break
        trades.append(trade)
        free_from = trade.exit
    return _columns(bars, history, trades)


def _trade(bars: Bars, history: dict[str, Floats], signal: int, quantity: Quantity) -> _Trade | None:
    """Return the trade a signal led to; None if the bars end before its exit."""
    entry = signal + 1
    if entry >= len(bars):
        return None
    bought = price_of(float(bars.open[entry]))
    for day in range(entry + 1, len(bars)):
        found = _exit(bars, history, day)
        if found is not None:
            sold, reason = found
            return _Trade(signal, bought, day, sold, reason, _pnl_pct(bars, entry, bought, day, sold, quantity))
    return None


def _exit(bars: Bars, history: dict[str, Floats], day: int) -> tuple[Price, ExitReason] | None:
    opened = price_of(float(bars.open[day]))
    limit = exit_limit(float(history["ema9"][day - 1]), opened)
    if price_of(float(bars.high[day])) >= limit:
        return max(opened, limit), "ema9"
    if exits_on_rsi(float(history["rsi"][day])):
        return price_of(float(bars.close[day])), "rsi50"
    return None


def _pnl_pct(bars: Bars, entry: int, bought: Price, exit_: int, sold: Price, quantity: Quantity) -> float:
    paid = quantity * bought + charges(Side.BUY, quantity, bought, bars.days[entry].item()).total
    received = quantity * sold - charges(Side.SELL, quantity, sold, bars.days[exit_].item()).total
    return float((received / paid - 1) * Decimal(100))


def _columns(bars: Bars, history: dict[str, Floats], trades: list[_Trade]) -> DipTrades:
    signals = np.array([trade.signal for trade in trades], dtype=np.intp)
    exits = np.array([trade.exit for trade in trades], dtype=np.intp)
    prices = np.array([trade.entry_price for trade in trades], dtype=np.float64)
    return DipTrades(
        symbol=bars.symbol,
        entry_index=signals + 1,
        entry_day=bars.days[signals + 1],
        entry_price=prices,
        exit_day=bars.days[exits],
        exit_price=np.array([trade.exit_price for trade in trades], dtype=np.float64),
        exit_reason=tuple(trade.reason for trade in trades),
        pnl_pct=np.array([trade.pnl_pct for trade in trades], dtype=np.float64),
        best_gain_pct=_best_gains(bars, signals + 1, prices),
        best_gain_day=bars.days[np.minimum(signals + GAIN_SESSIONS, len(bars) - 1)],
        features={name: values[signals] for name, values in history.items()},
    )


def _best_gains(bars: Bars, entries: npt.NDArray[np.intp], prices: Floats) -> Floats:
    """Per cent above each entry price; NaN where fewer than GAIN_SESSIONS bars follow."""
    ends = entries + GAIN_SESSIONS
    highest = [
        bars.high[entry:end].max() if end <= len(bars) else np.nan for entry, end in zip(entries, ends, strict=True)
    ]
    return (np.array(highest, dtype=np.float64) / prices - 1) * 100
