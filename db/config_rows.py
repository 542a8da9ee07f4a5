"""The tables of configurations: parameter sets, each user's own, and every version of it.

The columns are the fields of `TradingConfig`, with its defaults and ranges: there is one source of both.
"""

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, MappedColumn, mapped_column

from db.base import Base, Big, Created, Id, Json, Moment, Name, Rupees, Word, user_scoped
from trading.config import CHOICES, DEFAULTS, RANGES, RISING

DEFAULT_STRATEGY = "dip"


class ParameterSetRow(Base):
    """What one analysis is computed with; users with equal parameters share it."""

    __tablename__ = "parameter_sets"

    hash: Mapped[Name] = mapped_column(primary_key=True)
    strategy: Mapped[Name]
    parameters: Mapped[Json]
    created_at: Mapped[Created]


def _checks() -> tuple[CheckConstraint, ...]:
    bounds = (CheckConstraint(f"{name} BETWEEN {low} AND {high}", name=name) for name, (low, high) in RANGES.items())
    words = (CheckConstraint(f"{name} IN {allowed}", name=name) for name, allowed in CHOICES.items())
    return (*bounds, *words, *_orders())


def _orders() -> list[CheckConstraint]:
    """Return one check a field that must be below others; a null on either side is no disagreement."""
    rules: dict[str, list[str]] = {}
    for lower, upper, equal in RISING:
        rules.setdefault(lower, []).append(f"{lower} {'<=' if equal else '<'} {upper}")
    return [CheckConstraint(" AND ".join(rule), name=f"{lower}_order") for lower, rule in rules.items()]


def _field(name: str) -> MappedColumn[Any]:
    """Return the column of a field, with the value's own default: there is one source of defaults."""
    default = getattr(DEFAULTS, name)
    if default is None:
        return mapped_column()
    return mapped_column(server_default=str(default).lower() if isinstance(default, bool) else str(default))


@user_scoped
class UserTradingConfigRow(Base):
    """One user's configuration; the columns are the fields of `TradingConfig`, their defaults its own.

    task_schedule: which tasks the user asked for; what fires stands in `schedule_subscriptions`.
    """

    __tablename__ = "user_trading_config"
    __table_args__ = _checks()

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), unique=True)
    version: Mapped[int] = mapped_column(server_default="1")
    strategy: Mapped[Name] = mapped_column(server_default=DEFAULT_STRATEGY)
    parameter_hash: Mapped[Name] = mapped_column(ForeignKey("parameter_sets.hash"), index=True)
    rsi_period: Mapped[int] = _field("rsi_period")
    rsi_oversold: Mapped[float] = _field("rsi_oversold")
    rsi_extreme_oversold: Mapped[float] = _field("rsi_extreme_oversold")
    rsi_near_oversold: Mapped[float] = _field("rsi_near_oversold")
    user_capital: Mapped[Rupees] = _field("user_capital")
    max_order_value: Mapped[Rupees] = _field("max_order_value")
    paper_trading_initial_capital: Mapped[Rupees] = _field("paper_trading_initial_capital")
    max_portfolio_size: Mapped[int] = _field("max_portfolio_size")
    max_position_volume_ratio: Mapped[float] = _field("max_position_volume_ratio")
    min_absolute_avg_volume: Mapped[int] = _field("min_absolute_avg_volume")
    chart_quality_enabled: Mapped[bool] = _field("chart_quality_enabled")
    chart_quality_min_score: Mapped[float] = _field("chart_quality_min_score")
    chart_quality_max_gap_frequency: Mapped[float] = _field("chart_quality_max_gap_frequency")
    chart_quality_min_daily_range_pct: Mapped[float] = _field("chart_quality_min_daily_range_pct")
    chart_quality_max_extreme_candle_frequency: Mapped[float] = _field("chart_quality_max_extreme_candle_frequency")
    default_stop_loss_pct: Mapped[float | None] = _field("default_stop_loss_pct")
    tight_stop_loss_pct: Mapped[float | None] = _field("tight_stop_loss_pct")
    min_stop_loss_pct: Mapped[float | None] = _field("min_stop_loss_pct")
    default_target_pct: Mapped[float] = _field("default_target_pct")
    strong_buy_target_pct: Mapped[float] = _field("strong_buy_target_pct")
    excellent_target_pct: Mapped[float] = _field("excellent_target_pct")
    strong_buy_risk_reward: Mapped[float] = _field("strong_buy_risk_reward")
    buy_risk_reward: Mapped[float] = _field("buy_risk_reward")
    excellent_risk_reward: Mapped[float] = _field("excellent_risk_reward")
    default_exchange: Mapped[Word] = _field("default_exchange")
    default_product: Mapped[Word] = _field("default_product")
    default_order_type: Mapped[Word] = _field("default_order_type")
    default_variety: Mapped[Word] = _field("default_variety")
    default_validity: Mapped[Word] = _field("default_validity")
    allow_duplicate_recommendations_same_day: Mapped[bool] = _field("allow_duplicate_recommendations_same_day")
    exit_on_ema9_or_rsi50: Mapped[bool] = _field("exit_on_ema9_or_rsi50")
    min_combined_score: Mapped[int] = _field("min_combined_score")
    enable_premarket_amo_adjustment: Mapped[bool] = _field("enable_premarket_amo_adjustment")
    news_sentiment_enabled: Mapped[bool] = _field("news_sentiment_enabled")
    news_sentiment_lookback_days: Mapped[int] = _field("news_sentiment_lookback_days")
    news_sentiment_min_articles: Mapped[int] = _field("news_sentiment_min_articles")
    news_sentiment_pos_threshold: Mapped[float] = _field("news_sentiment_pos_threshold")
    news_sentiment_neg_threshold: Mapped[float] = _field("news_sentiment_neg_threshold")
    ml_enabled: Mapped[bool] = _field("ml_enabled")
    ml_model_version: Mapped[Word | None] = _field("ml_model_version")
    ml_confidence_threshold: Mapped[float] = _field("ml_confidence_threshold")
    ml_combine_with_rules: Mapped[bool] = _field("ml_combine_with_rules")
    ml_price_enabled: Mapped[bool] = _field("ml_price_enabled")
    task_schedule: Mapped[Json | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


@user_scoped
class ConfigVersionRow(Base):
    """A configuration as it stood from one change to the next: what executions, orders and errors refer to."""

    __tablename__ = "user_trading_config_versions"
    __table_args__ = (UniqueConstraint("user_id", "version"),)

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    version: Mapped[int]
    strategy: Mapped[Name]
    parameter_hash: Mapped[Name] = mapped_column(ForeignKey("parameter_sets.hash"))
    config: Mapped[Json]
    changed_by: Mapped[Name]
    changed_at: Mapped[Moment]
    created_at: Mapped[Created]
