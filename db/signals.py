"""What analysis found: a versioned snapshot of features a day, and the candidates in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, ExactPrice, Id, Json, Name, Ticker, Word, user_scoped
from trading.strategies.base import Candidate
from trading.values import Symbol


class FeatureSnapshotRow(Base):
    """The features of every symbol on a day for one strategy and parameter set."""

    __tablename__ = "feature_snapshots"
    __table_args__ = (UniqueConstraint("strategy", "parameter_hash", "day", "version"),)

    id: Mapped[Id]
    strategy: Mapped[Name]
    parameter_hash: Mapped[Name] = mapped_column(ForeignKey("parameter_sets.hash"))
    day: Mapped[date]
    version: Mapped[int]
    sha256: Mapped[Name]
    features: Mapped[Json]
    left_out: Mapped[Json]
    model_version: Mapped[Word | None]
    created_at: Mapped[Created]


class SignalRow(Base):
    """A candidate. Shared by all users: what each one makes of it stands in decisions."""

    __tablename__ = "signals"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'expired', 'traded', 'rejected', 'failed')", name="status"),
        UniqueConstraint("strategy", "parameter_hash", "day", "symbol"),
        Index(None, "day"),
    )

    id: Mapped[Id]
    snapshot_id: Mapped[Big] = mapped_column(ForeignKey("feature_snapshots.id"), index=True)
    strategy: Mapped[Name]
    parameter_hash: Mapped[Name]
    day: Mapped[date]
    symbol: Mapped[Ticker]
    last_close: Mapped[ExactPrice]
    features: Mapped[Json]
    ml_confidence: Mapped[float | None]
    ml_model_version: Mapped[Word | None]
    ml_verdict: Mapped[Word | None]
    ml_probabilities: Mapped[Json | None]
    ml_predicted_gain: Mapped[float | None]
    status: Mapped[Word] = mapped_column(server_default="active")
    ts: Mapped[Created]
    rsi10: Mapped[float | None]
    ema9: Mapped[ExactPrice | None]
    ema200: Mapped[ExactPrice | None]
    distance_to_ema9: Mapped[float | None]
    is_above_ema200: Mapped[bool | None]
    clean_chart: Mapped[bool | None]
    chart_quality: Mapped[Json | None]
    monthly_support_dist: Mapped[float | None]
    confidence: Mapped[float | None]
    verdict: Mapped[Ticker | None]
    final_verdict: Mapped[Ticker | None]
    rule_verdict: Mapped[Ticker | None]
    verdict_source: Mapped[Word | None]
    backtest_score: Mapped[float | None]
    backtest_confidence: Mapped[Word | None]
    strength_score: Mapped[float | None]
    combined_score: Mapped[float | None]
    priority_score: Mapped[float | None]
    buy_range: Mapped[Json | None]
    target: Mapped[ExactPrice | None]
    stop: Mapped[ExactPrice | None]
    trading_params: Mapped[Json | None]
    avg_vol: Mapped[Big | None]
    today_vol: Mapped[Big | None]
    volume_ratio: Mapped[float | None]
    vol_ok: Mapped[bool | None]
    vol_strong: Mapped[bool | None]
    liquidity_recommendation: Mapped[Json | None]
    pe: Mapped[float | None]
    pb: Mapped[float | None]
    fundamental_assessment: Mapped[Name | None]
    fundamental_ok: Mapped[bool | None]
    signals: Mapped[list[Any] | None] = mapped_column(JSONB)
    justification: Mapped[list[Any] | None] = mapped_column(JSONB)
    timeframe_analysis: Mapped[Json | None]
    news_sentiment: Mapped[Json | None]
    candle_analysis: Mapped[Json | None]


@user_scoped
class UserSignalStatusRow(Base):
    """What one user made of a shared signal: nobody sees another's."""

    __tablename__ = "user_signal_status"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'expired', 'traded', 'rejected', 'failed')", name="status"),
        UniqueConstraint("user_id", "signal_id"),
        Index(None, "signal_id"),
        Index(None, "user_id", "symbol", "updated_at"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    signal_id: Mapped[Big] = mapped_column(ForeignKey("signals.id"))
    symbol: Mapped[Ticker]
    status: Mapped[Word]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis run, ready to store."""

    strategy: str
    parameter_hash: str
    day: date
    sha256: str
    features: dict[str, Any]
    left_out: dict[str, Any]
    model_version: str | None
    candidates: Sequence[Candidate]


class SignalRepository:
    """Queries over snapshots and signals."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def store(self, analysis: Analysis) -> int:
        """Store a snapshot as the next version of its day, its signals in place of older ones. Returns the version."""
        row = FeatureSnapshotRow
        key = (
            row.strategy == analysis.strategy,
            row.parameter_hash == analysis.parameter_hash,
            row.day == analysis.day,
        )
        newest = (await self.session.execute(select(func.max(row.version)).where(*key))).scalar_one() or 0
        snapshot = row(
            strategy=analysis.strategy,
            parameter_hash=analysis.parameter_hash,
            day=analysis.day,
            version=newest + 1,
            sha256=analysis.sha256,
            features=analysis.features,
            left_out=analysis.left_out,
            model_version=analysis.model_version,
        )
        self.session.add(snapshot)
        await self.session.flush()
        await self._replace_signals(analysis, snapshot.id)
        return snapshot.version

    async def _replace_signals(self, analysis: Analysis, snapshot_id: int) -> None:
        old = (SignalRow.strategy == analysis.strategy, SignalRow.parameter_hash == analysis.parameter_hash)
        await self.session.execute(delete(SignalRow).where(*old, SignalRow.day == analysis.day))
        if analysis.candidates:
            rows = [_signal(analysis, candidate, snapshot_id) for candidate in analysis.candidates]
            await self.session.execute(insert(SignalRow), rows)

    async def candidates(self, strategy: str, parameter_hash: str, day: date) -> list[Candidate]:
        """Return the signals of a day as candidates, by symbol."""
        query = (
            select(SignalRow)
            .where(SignalRow.strategy == strategy, SignalRow.parameter_hash == parameter_hash, SignalRow.day == day)
            .order_by(SignalRow.symbol)
        )
        rows = (await self.session.execute(query)).scalars()
        return [
            Candidate(
                Symbol(row.symbol), row.day, row.last_close, row.features, row.ml_confidence, row.ml_model_version
            )
            for row in rows
        ]

    async def newest(self, strategy: str, parameter_hash: str, day: date) -> FeatureSnapshotRow | None:
        """Return the newest snapshot of a day, if analysis ran."""
        row = FeatureSnapshotRow
        query = select(row).where(row.strategy == strategy, row.parameter_hash == parameter_hash, row.day == day)
        return (await self.session.execute(query.order_by(row.version.desc()).limit(1))).scalar_one_or_none()

    async def snapshot_version(self, strategy: str, parameter_hash: str, day: date) -> int | None:
        """Return the newest snapshot version of a day, if analysis ran."""
        row = FeatureSnapshotRow
        query = select(func.max(row.version)).where(
            row.strategy == strategy, row.parameter_hash == parameter_hash, row.day == day
        )
        return (await self.session.execute(query)).scalar_one()


def _signal(analysis: Analysis, candidate: Candidate, snapshot_id: int) -> dict[str, Any]:
    return {
        "snapshot_id": snapshot_id,
        "strategy": analysis.strategy,
        "parameter_hash": analysis.parameter_hash,
        "day": analysis.day,
        "symbol": candidate.symbol,
        "last_close": candidate.close,
        "features": dict(candidate.features),
        "ml_confidence": candidate.confidence,
        "ml_model_version": candidate.model_version,
    }
