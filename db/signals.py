"""What analysis found: a versioned snapshot of features a day, and the candidates in it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, ExactPrice, Id, Json, Name, Ticker, Word
from db.signal_values import signal_values
from trading.strategies.base import Assessment, Candidate
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
    price_model_version: Mapped[Word | None]
    created_at: Mapped[Created]


class SignalRow(Base):
    """A candidate. Shared by all users: what each one makes of it stands in decisions and `user_signal_status`.

    Verdict, scores, range, stop and target are what the default configuration makes of it; a user's own may differ.
    status: active until a newer analysis no longer finds it. ml_probabilities: of versions that users have pinned.
    """

    __tablename__ = "signals"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'expired', 'traded', 'rejected', 'failed')", name="status"),
        UniqueConstraint("strategy", "parameter_hash", "day", "symbol"),
        Index(None, "day"),
        Index("ix_signals_active", "strategy", "parameter_hash", "day", postgresql_where="status = 'active'"),
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


@dataclass(frozen=True, slots=True)
class Analysis:
    """One analysis run, ready to store. assessments: what the default configuration makes of each candidate."""

    strategy: str
    parameter_hash: str
    day: date
    sha256: str
    features: dict[str, Any]
    left_out: dict[str, Any]
    model_version: str | None
    candidates: Sequence[Candidate]
    assessments: Mapping[Symbol, Assessment] = field(default_factory=dict)
    price_model_version: str | None = None


_KEY = ("strategy", "parameter_hash", "day", "symbol")
_INSERT = insert(SignalRow.__table__)  # type: ignore[arg-type]  # a Table, not any FromClause: no unit of work for each
_FOUND = _INSERT.on_conflict_do_update(
    index_elements=_KEY,
    set_={
        column.name: func.now() if column.name == "ts" else _INSERT.excluded[column.name]
        for column in SignalRow.__table__.columns
        if column.name not in {"id", *_KEY}
    },
)
# What this analysis no longer found, and what older days left behind.
_EXPIRE = text(
    """
    UPDATE signals SET status = 'expired'
    WHERE strategy = :strategy AND parameter_hash = :parameter_hash AND status = 'active'
      AND (day < :day OR day = :day AND snapshot_id <> :snapshot_id)
    """
)
_OF_DAY = (
    SignalRow.strategy == bindparam("strategy"),
    SignalRow.parameter_hash == bindparam("parameter_hash"),
    SignalRow.day == bindparam("day"),
)
_CANDIDATES = (
    select(
        SignalRow.symbol,
        SignalRow.day,
        SignalRow.last_close,
        SignalRow.features,
        SignalRow.ml_confidence,
        SignalRow.ml_model_version,
        SignalRow.ml_predicted_gain,
        SignalRow.ml_probabilities,
    )
    .where(*_OF_DAY, SignalRow.status == "active")
    .order_by(SignalRow.symbol)
)
_NEWEST = (
    select(FeatureSnapshotRow)
    .where(
        FeatureSnapshotRow.strategy == bindparam("strategy"),
        FeatureSnapshotRow.parameter_hash == bindparam("parameter_hash"),
        FeatureSnapshotRow.day == bindparam("day"),
    )
    .order_by(FeatureSnapshotRow.version.desc())
    .limit(1)
)
_VERSION = _NEWEST.with_only_columns(FeatureSnapshotRow.version)
# The snapshot is one object of columns: only the few shares asked for leave the database.
_SHARES = text(
    """
    WITH snapshot AS (
        SELECT features FROM feature_snapshots
        WHERE strategy = :strategy AND parameter_hash = :parameter_hash AND day = :day ORDER BY version DESC LIMIT 1)
    SELECT s.symbol, jsonb_object_agg(c.name, c.numbers -> (s.place - 1)::int) AS features
    FROM snapshot, jsonb_array_elements_text(snapshot.features -> 'symbols') WITH ORDINALITY AS s(symbol, place),
         jsonb_each(snapshot.features -> 'columns') AS c(name, numbers)
    WHERE s.symbol = ANY(CAST(:symbols AS text[]))
    GROUP BY s.symbol ORDER BY s.symbol
    """
)


class SignalRepository:
    """Queries over snapshots and signals."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def store(self, analysis: Analysis) -> int:
        """Store a snapshot as the next version of its day and bring the signals up to it. Returns the version.

        A signal keeps its id: found again it is updated, no longer found it expires, as do those of older days.
        """
        newest = await self.snapshot_version(analysis.strategy, analysis.parameter_hash, analysis.day) or 0
        snapshot = FeatureSnapshotRow(
            strategy=analysis.strategy,
            parameter_hash=analysis.parameter_hash,
            day=analysis.day,
            version=newest + 1,
            sha256=analysis.sha256,
            features=analysis.features,
            left_out=analysis.left_out,
            model_version=analysis.model_version,
            price_model_version=analysis.price_model_version,
        )
        self.session.add(snapshot)
        await self.session.flush()
        key = _key(analysis.strategy, analysis.parameter_hash, analysis.day)
        same = {**key, "snapshot_id": snapshot.id, "status": "active"}
        found = [(one, analysis.assessments.get(one.symbol)) for one in analysis.candidates]
        for rows in _alike([same | signal_values(*one) for one in found]):
            await self.session.execute(_FOUND, rows)
        await self.session.execute(_EXPIRE, {**key, "snapshot_id": snapshot.id})
        return snapshot.version

    async def candidates(self, strategy: str, parameter_hash: str, day: date) -> list[Candidate]:
        """Return the active signals of a day as candidates, by symbol."""
        rows = await self.session.execute(_CANDIDATES, _key(strategy, parameter_hash, day))
        return [
            Candidate(
                Symbol(row.symbol),
                row.day,
                row.last_close,
                row.features,
                row.ml_confidence,
                row.ml_model_version,
                row.ml_predicted_gain,
                row.ml_probabilities or {},
            )
            for row in rows
        ]

    async def shares(
        self, strategy: str, parameter_hash: str, day: date, symbols: Collection[Symbol]
    ) -> dict[Symbol, dict[str, float | None]]:
        """Return the day's features of some shares, candidates or not; one the snapshot left out is missing."""
        if not symbols:
            return {}
        values = {**_key(strategy, parameter_hash, day), "symbols": sorted(symbols)}
        return {Symbol(row.symbol): row.features for row in await self.session.execute(_SHARES, values)}

    async def newest(self, strategy: str, parameter_hash: str, day: date) -> FeatureSnapshotRow | None:
        """Return the newest snapshot of a day, if analysis ran."""
        return (await self.session.execute(_NEWEST, _key(strategy, parameter_hash, day))).scalar_one_or_none()

    async def snapshot_version(self, strategy: str, parameter_hash: str, day: date) -> int | None:
        """Return the newest snapshot version of a day, if analysis ran."""
        return (await self.session.execute(_VERSION, _key(strategy, parameter_hash, day))).scalar_one_or_none()


def _key(strategy: str, parameter_hash: str, day: date) -> dict[str, Any]:
    return {"strategy": strategy, "parameter_hash": parameter_hash, "day": day}


def _alike(rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Return the rows by the columns they have, which is what one statement can take: a plan or none, a pin or none."""
    alike: dict[frozenset[str], list[dict[str, Any]]] = {}
    for row in rows:
        alike.setdefault(frozenset(row), []).append(row)
    return list(alike.values())
