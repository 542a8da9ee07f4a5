"""Each user's trading configuration, and the parameter sets that analysis is run for."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String, bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Name, Rupees, Word, user_scoped
from trading.config import DEFAULTS, RANGES, TradingConfig, check_config
from trading.strategies.registry import strategy_named

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
    return (*bounds, CheckConstraint("rsi_extreme_oversold < rsi_oversold", name="oversold_order"))


@user_scoped
class UserTradingConfigRow(Base):
    """One user's configuration; the columns are the fields of `TradingConfig`."""

    __tablename__ = "user_trading_config"
    __table_args__ = _checks()

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"), unique=True)
    version: Mapped[int] = mapped_column(server_default="1")
    strategy: Mapped[Name] = mapped_column(server_default=DEFAULT_STRATEGY)
    parameter_hash: Mapped[Name] = mapped_column(ForeignKey("parameter_sets.hash"), index=True)
    rsi_period: Mapped[int]
    rsi_oversold: Mapped[float]
    rsi_extreme_oversold: Mapped[float]
    user_capital: Mapped[Rupees]
    max_order_value: Mapped[Rupees]
    paper_trading_initial_capital: Mapped[Rupees]
    max_portfolio_size: Mapped[int]
    max_position_volume_ratio: Mapped[float]
    min_absolute_avg_volume: Mapped[int]
    chart_quality_enabled: Mapped[bool]
    chart_quality_min_score: Mapped[float]
    chart_quality_max_gap_frequency: Mapped[float]
    chart_quality_min_daily_range_pct: Mapped[float]
    chart_quality_max_extreme_candle_frequency: Mapped[float]
    exit_on_ema9_or_rsi50: Mapped[bool]
    ml_enabled: Mapped[bool]
    ml_model_version: Mapped[Word | None] = mapped_column(String(16))
    ml_confidence_threshold: Mapped[float]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class ConfigSnapshot:
    """A configuration as it stood when a step began, with the version that names it in the record."""

    config: TradingConfig
    strategy: str
    parameter_hash: str
    version: int


_SNAPSHOT = select(UserTradingConfigRow).where(UserTradingConfigRow.user_id == bindparam("user_id"))


class UserTradingConfigRepository:
    """Queries over configurations."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def create(self, user_id: int, config: TradingConfig = DEFAULTS) -> None:
        """Store a user's first configuration. Raises ConfigError when it is out of range."""
        check_config(config)
        parameters = strategy_named(DEFAULT_STRATEGY).parameters(config)
        known = insert(ParameterSetRow).values(
            hash=parameters.hash, strategy=DEFAULT_STRATEGY, parameters=parameters.to_json()
        )
        await self.session.execute(known.on_conflict_do_nothing())
        self.session.add(UserTradingConfigRow(user_id=user_id, parameter_hash=parameters.hash, **asdict(config)))

    async def snapshot(self, user_id: int) -> ConfigSnapshot:
        """Return the configuration as a value."""
        row = (await self.session.execute(_SNAPSHOT, {"user_id": user_id})).scalar_one()
        values: dict[str, Any] = {field.name: getattr(row, field.name) for field in fields(TradingConfig)}
        return ConfigSnapshot(TradingConfig(**values), row.strategy, row.parameter_hash, row.version)

    async def parameters(self, parameter_hash: str) -> ParameterSetRow:
        """Return one parameter set."""
        return (
            await self.session.execute(select(ParameterSetRow).where(ParameterSetRow.hash == parameter_hash))
        ).scalar_one()
