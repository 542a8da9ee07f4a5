"""A user's trading configuration as a value, and the one source of its defaults and ranges."""

from dataclasses import dataclass, fields
from decimal import Decimal

from trading.values import Money


class ConfigError(ValueError):
    """A configuration value that cannot be used: names the field, the value and the cure."""

    def __init__(self, field: str, value: object, cure: str) -> None:
        self.field, self.value, self.cure = field, value, cure
        super().__init__(f"{field} = {value}: {cure}")


@dataclass(frozen=True, slots=True)
class TradingConfig:
    """What one user trades by. Rupees are Decimal; ratios are 0-1; percentages are 0-100. None means off."""

    rsi_period: int = 10
    rsi_oversold: float = 30.0
    rsi_extreme_oversold: float = 20.0
    rsi_near_oversold: float = 40.0
    user_capital: Money = Decimal(200_000)
    max_order_value: Money = Decimal(500_000)
    paper_trading_initial_capital: Money = Decimal(1_000_000)
    max_portfolio_size: int = 6
    max_position_volume_ratio: float = 0.10
    min_absolute_avg_volume: int = 10_000
    chart_quality_enabled: bool = True
    chart_quality_min_score: float = 50.0
    chart_quality_max_gap_frequency: float = 25.0
    chart_quality_min_daily_range_pct: float = 1.0
    chart_quality_max_extreme_candle_frequency: float = 20.0
    default_stop_loss_pct: float | None = None
    tight_stop_loss_pct: float | None = None
    min_stop_loss_pct: float | None = None
    default_target_pct: float = 0.10
    strong_buy_target_pct: float = 0.12
    excellent_target_pct: float = 0.15
    strong_buy_risk_reward: float = 3.0
    buy_risk_reward: float = 2.5
    excellent_risk_reward: float = 3.5
    default_exchange: str = "NSE"
    default_product: str = "CNC"
    default_order_type: str = "MARKET"
    default_variety: str = "AMO"
    default_validity: str = "DAY"
    allow_duplicate_recommendations_same_day: bool = False
    exit_on_ema9_or_rsi50: bool = True
    min_combined_score: int = 25
    enable_premarket_amo_adjustment: bool = True
    news_sentiment_enabled: bool = True
    news_sentiment_lookback_days: int = 30
    news_sentiment_min_articles: int = 2
    news_sentiment_pos_threshold: float = 0.25
    news_sentiment_neg_threshold: float = -0.25
    ml_enabled: bool = False
    ml_model_version: str | None = None
    ml_confidence_threshold: float = 0.5
    ml_combine_with_rules: bool = True
    ml_price_enabled: bool = False


DEFAULTS = TradingConfig()

# field -> (lowest, highest) allowed. Source: the predecessor's API ranges.
RANGES: dict[str, tuple[float, float]] = {
    "rsi_period": (2, 50),
    "rsi_oversold": (0, 50),
    "rsi_extreme_oversold": (0, 30),
    "rsi_near_oversold": (30, 50),
    "user_capital": (1, 10_000_000),
    "max_order_value": (1, 100_000_000),
    "paper_trading_initial_capital": (1, 1_000_000_000),
    "max_portfolio_size": (1, 20),
    "max_position_volume_ratio": (0, 1),
    "min_absolute_avg_volume": (0, 1_000_000_000),
    "chart_quality_min_score": (0, 100),
    "chart_quality_max_gap_frequency": (0, 100),
    "chart_quality_min_daily_range_pct": (0, 10),
    "chart_quality_max_extreme_candle_frequency": (0, 100),
    # Not 0, which people mean as "off": a stop at the price paid would sell at the first breath.
    "default_stop_loss_pct": (0.001, 1),
    "tight_stop_loss_pct": (0.001, 1),
    "min_stop_loss_pct": (0.001, 1),
    "default_target_pct": (0, 1),
    "strong_buy_target_pct": (0, 1),
    "excellent_target_pct": (0, 1),
    "strong_buy_risk_reward": (1, 100),
    "buy_risk_reward": (1, 100),
    "excellent_risk_reward": (1, 100),
    "min_combined_score": (0, 100),
    "news_sentiment_lookback_days": (1, 365),
    "news_sentiment_min_articles": (0, 1000),
    "news_sentiment_pos_threshold": (-1, 1),
    "news_sentiment_neg_threshold": (-1, 1),
    "ml_confidence_threshold": (0, 1),
}


# field -> the words it may hold.
CHOICES: dict[str, tuple[str, ...]] = {
    "default_exchange": ("NSE", "BSE"),
    "default_product": ("CNC", "MIS", "NRML"),
    "default_order_type": ("MARKET", "LIMIT"),
    "default_variety": ("AMO", "REGULAR"),
    "default_validity": ("DAY", "IOC", "GTC"),
}


def _starting(prefix: str) -> tuple[str, ...]:
    return tuple(field.name for field in fields(TradingConfig) if field.name.startswith(prefix))


# Purpose -> its fields, as people are shown them.
GROUPS: dict[str, tuple[str, ...]] = {
    "entry": (
        "rsi_period",
        "rsi_oversold",
        "rsi_extreme_oversold",
        "rsi_near_oversold",
        "min_combined_score",
        "allow_duplicate_recommendations_same_day",
    ),
    "money": ("user_capital", "max_order_value", "paper_trading_initial_capital", "max_portfolio_size"),
    "volume": ("max_position_volume_ratio", "min_absolute_avg_volume"),
    "chart quality": _starting("chart_quality_"),
    "exit": ("exit_on_ema9_or_rsi50", "default_stop_loss_pct", "tight_stop_loss_pct", "min_stop_loss_pct"),
    "targets": (
        "default_target_pct",
        "strong_buy_target_pct",
        "excellent_target_pct",
        "buy_risk_reward",
        "strong_buy_risk_reward",
        "excellent_risk_reward",
    ),
    "orders": (
        "default_exchange",
        "default_product",
        "default_order_type",
        "default_variety",
        "default_validity",
        "enable_premarket_amo_adjustment",
    ),
    "models": _starting("ml_"),
    "news": _starting("news_sentiment_"),
}

# Stored and shown, but nothing reads news yet: they change no decision.
RESERVED = frozenset(GROUPS["news"])

# Something that decides, sizes or sells reads each of these.
LIVE = frozenset(field.name for field in fields(TradingConfig)) - RESERVED

OPTIONAL = frozenset(field.name for field in fields(TradingConfig) if field.default is None)

# Pairs that must rise, and whether they may be equal. A rule holds where both are set. A user's capital and the cap on
# one order are no pair: either may be the one that binds.
RISING: tuple[tuple[str, str, bool], ...] = (
    ("rsi_extreme_oversold", "rsi_oversold", False),
    ("rsi_oversold", "rsi_near_oversold", False),
    ("min_stop_loss_pct", "tight_stop_loss_pct", False),
    ("tight_stop_loss_pct", "default_stop_loss_pct", False),
    ("min_stop_loss_pct", "default_stop_loss_pct", False),
    ("default_target_pct", "strong_buy_target_pct", True),
    ("strong_buy_target_pct", "excellent_target_pct", True),
    ("buy_risk_reward", "strong_buy_risk_reward", True),
    ("strong_buy_risk_reward", "excellent_risk_reward", True),
    ("news_sentiment_neg_threshold", "news_sentiment_pos_threshold", False),
)


def check_config(config: TradingConfig) -> TradingConfig:
    """Return the configuration if every field is in range and the fields agree. Raises ConfigError."""
    for field in fields(config):
        _check_field(field.name, getattr(config, field.name))
    for lower, upper, equal in RISING:
        low, high = getattr(config, lower), getattr(config, upper)
        if low is not None and high is not None and (low > high or (low == high and not equal)):
            relation = "at most" if equal else "below"
            raise ConfigError(lower, low, f"keep it {relation} {upper} ({high}), or change {upper} with it")
    return config


def _check_field(name: str, value: object) -> None:
    if name in CHOICES and value not in CHOICES[name]:
        raise ConfigError(name, value, f"use one of {', '.join(CHOICES[name])}")
    bounds = RANGES.get(name)
    if bounds is None or value is None:
        return
    if not isinstance(value, int | float | Decimal) or not bounds[0] <= value <= bounds[1]:
        off = ", or off" if name in OPTIONAL else ""
        ratio = "; it is a ratio: 0.08 is 8 %" if bounds[1] == 1 else ""
        raise ConfigError(name, value, f"use a value from {bounds[0]} to {bounds[1]}{off}{ratio}")
