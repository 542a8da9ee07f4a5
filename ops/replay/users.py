"""The users of a replay: different configurations, the same for everybody who asks for as many."""

from dataclasses import dataclass
from decimal import Decimal

from trading.config import DEFAULTS, TradingConfig, check_config

_RSI_PERIODS = (10, 7, 14)
# (oversold, extreme): the second counts where the price stands below its EMA200.
_OVERSOLD = ((30.0, 20.0), (33.0, 22.0), (35.0, 25.0), (28.0, 15.0))
_CAPITAL = (200_000, 100_000, 150_000, 300_000, 75_000)
_PORTFOLIO_SIZE = (6, 4, 5, 8, 3, 7, 2)
# Some have less than their portfolio may cost: their orders run short of money and are tried again.
_DEPOSIT = (1_000_000, 250_000, 1_000_000, 500_000)


@dataclass(frozen=True, slots=True)
class ReplayUser:
    """A user to be signed up."""

    email: str
    name: str
    config: TradingConfig


def replay_users(count: int) -> list[ReplayUser]:
    """Return users with valid configurations; the first has the defaults, every other one trades by the model."""
    return [_user(number) for number in range(count)]


def _user(number: int) -> ReplayUser:
    return ReplayUser(f"user{number + 1:03d}@replay.invalid", f"User {number + 1}", check_config(_config(number)))


def _config(number: int) -> TradingConfig:
    """Lists of different lengths go round at different paces, so that few users are alike."""
    oversold, extreme = _OVERSOLD[number % len(_OVERSOLD)]
    return TradingConfig(
        rsi_period=_RSI_PERIODS[number % len(_RSI_PERIODS)],
        rsi_oversold=oversold,
        rsi_extreme_oversold=extreme,
        user_capital=Decimal(_CAPITAL[number % len(_CAPITAL)]),
        paper_trading_initial_capital=Decimal(_DEPOSIT[number % len(_DEPOSIT)]),
        max_portfolio_size=_PORTFOLIO_SIZE[number % len(_PORTFOLIO_SIZE)],
        chart_quality_enabled=number % 3 != 2,
        chart_quality_min_score=DEFAULTS.chart_quality_min_score + 10 * (number % 2),
        ml_enabled=number % 2 == 1,
    )
