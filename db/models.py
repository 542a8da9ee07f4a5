"""Versions of trained predictors (tables keep the word `ml_models`): drafts, the active one of a type, retired ones."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, func, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.artifacts import PREFIX, ArtifactRepository
from db.audit_logs import AuditLogRepository
from db.base import Base, Big, Created, Id, Json, Moment, Name, Word
from db.config_rows import UserTradingConfigRow
from trading.predictor_errors import ModelRefused
from trading.recipes import VERDICT_CLASSIFIER


class MLModelRow(Base):
    """One version of a predictor. `model_path` is `db:<sha256>`. Moments are market time."""

    __tablename__ = "ml_models"
    __table_args__ = (
        CheckConstraint("NOT (is_active AND retired_at IS NOT NULL)", name="retired"),
        UniqueConstraint("model_type", "version"),
        Index("uq_ml_models_active", "model_type", unique=True, postgresql_where="is_active"),
    )

    id: Mapped[Id]
    model_type: Mapped[Name] = mapped_column(index=True)
    version: Mapped[Word]
    model_path: Mapped[str] = mapped_column(String(512))
    sha256: Mapped[Name] = mapped_column(ForeignKey("artifacts.sha256"))
    features: Mapped[list[Any]] = mapped_column(JSONB)
    metrics: Mapped[Json]
    library_version: Mapped[Name]
    accuracy: Mapped[float | None]
    training_job_id: Mapped[Big] = mapped_column(ForeignKey("ml_training_jobs.id"), unique=True)
    training_data_through_date: Mapped[date | None]
    is_active: Mapped[bool] = mapped_column(server_default="false", index=True)
    activated_at: Mapped[Moment | None]
    activated_by: Mapped[Name | None]
    retired_at: Mapped[Moment | None]
    created_by: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[Created]


class MLModelRepository:
    """Queries over versions, and the only way to make one active."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def store(self, model: MLModelRow, data: bytes) -> str:
        """Store an artefact and its version as the next of its type, as a draft. Returns the version.

        A job has one version: storing it again after a crash finds the first.
        """
        await self._lock_type(model.model_type)
        known = await self.of_job(model.training_job_id)
        if known is not None:
            return known.version
        model.sha256 = await ArtifactRepository(self.session).put(data)
        model.model_path = f"{PREFIX}{model.sha256}"
        newest = select(func.count(MLModelRow.id)).where(MLModelRow.model_type == model.model_type)
        model.version = f"v{(await self.session.execute(newest)).scalar_one() + 1}"
        self.session.add(model)
        await self.session.flush()
        return model.version

    async def activate(self, model_type: str, version: str, by: str, at: datetime) -> MLModelRow:
        """Make a version the active one of its type, if its artefact passes every check. at: market time.

        The next analysis asks it. Raises ModelRefused, ArtifactRefused, FeatureRefused.
        """
        await self._lock_type(model_type)
        row = await self._row(model_type, version)
        if row.retired_at is not None:
            raise ModelRefused(model_type, version, "it is retired for good; train another with `muhurat ml train`")
        from trading.artifacts import opened  # scikit-learn: scheduler and commands are quick without it

        data = await ArtifactRepository(self.session).get(row.sha256)
        await asyncio.to_thread(opened, data, row.sha256, model_type, row.features, row.library_version)
        if row.is_active:
            return row
        before = await self._end_active(model_type)
        row.is_active, row.activated_at, row.activated_by = True, at, by
        await self._record(by, "activate", row, {"active": [before, version]})
        return row

    async def deactivate(self, model_type: str, by: str) -> str | None:
        """Leave a type without an active version: the rules decide alone. Returns the one that was active."""
        await self._lock_type(model_type)
        row = await self.active(model_type)
        if row is None:
            return None
        await self._end_active(model_type)
        await self._record(by, "deactivate", row, {"active": [row.version, None]})
        return row.version

    async def retire(self, model_type: str, version: str, by: str, at: datetime) -> MLModelRow:
        """Put a version away for good: it can be read, never activated again. at: market time. Raises ModelRefused."""
        await self._lock_type(model_type)
        row = await self._row(model_type, version)
        if row.is_active:
            raise ModelRefused(model_type, version, "it is active; activate another first, or `muhurat ml deactivate`")
        users = await self._pins(version) if model_type == VERDICT_CLASSIFIER else 0
        if users:
            cure = "`muhurat config set ml_model_version=off`"
            raise ModelRefused(
                model_type, version, f"{users} users have pinned it; let them choose another with {cure}"
            )
        if row.retired_at is None:
            row.retired_at = at
            await self._record(by, "retire", row, {"retired": [False, True]})
        return row

    async def active(self, model_type: str) -> MLModelRow | None:
        """Return the active version of a type, if there is one."""
        query = select(MLModelRow).where(MLModelRow.model_type == model_type, MLModelRow.is_active)
        return (await self.session.execute(query)).scalar_one_or_none()

    async def version(self, model_type: str, version: str) -> MLModelRow | None:
        """Return one version of a type, if there is such."""
        query = select(MLModelRow).where(MLModelRow.model_type == model_type, MLModelRow.version == version)
        return (await self.session.execute(query)).scalar_one_or_none()

    async def named(self, version: str) -> Sequence[MLModelRow]:
        """Return the versions of that name, one a type, by type."""
        query = select(MLModelRow).where(MLModelRow.version == version).order_by(MLModelRow.model_type)
        return (await self.session.execute(query)).scalars().all()

    async def pinned(self, parameter_hash: str) -> Sequence[MLModelRow]:
        """Return the classifiers that users of a parameter set have pinned, by id.

        A version that was never activated, or is retired, has no say: a pin cannot go round the audited activation.
        """
        config = UserTradingConfigRow
        pins = select(config.ml_model_version).where(config.parameter_hash == parameter_hash, config.ml_enabled)
        query = select(MLModelRow).where(
            MLModelRow.model_type == VERDICT_CLASSIFIER,
            MLModelRow.version.in_(pins),
            MLModelRow.activated_at.is_not(None),
            MLModelRow.retired_at.is_(None),
        )
        return (await self.session.execute(query.order_by(MLModelRow.id))).scalars().all()

    async def of_job(self, job_id: int) -> MLModelRow | None:
        """Return the version a job trained, if it has."""
        query = select(MLModelRow).where(MLModelRow.training_job_id == job_id)
        return (await self.session.execute(query)).scalar_one_or_none()

    async def _lock_type(self, model_type: str) -> None:
        """Let one transaction at a time number or switch the versions of a type."""
        lock = text("SELECT pg_advisory_xact_lock(hashtext('ml_models:' || :type))")
        await self.session.execute(lock, {"type": model_type})

    async def _row(self, model_type: str, version: str) -> MLModelRow:
        row = await self.version(model_type, version)
        if row is None:
            raise ModelRefused(model_type, version, "there is no such version; `muhurat ml jobs` lists them")
        return row

    async def _end_active(self, model_type: str) -> str | None:
        """Make no version active, as a statement of its own: the index allows no two, not even in between."""
        row = await self.active(model_type)
        if row is None:
            return None
        row.is_active = False
        await self.session.flush()
        return row.version

    async def _pins(self, version: str) -> int:
        config = UserTradingConfigRow
        query = select(func.count(config.id)).where(config.ml_model_version == version, config.ml_enabled)
        return int((await self.session.execute(query)).scalar_one())

    async def _record(self, by: str, action: str, row: MLModelRow, changes: dict[str, Any]) -> None:
        what = {"type": row.model_type, "version": row.version, "sha256": row.sha256, **changes}
        await AuditLogRepository(self.session).record(by, action, "ml_model", row.id, changes=what)
