"""Training jobs, trained predictors and their artefacts (tables keep the word `ml_models`)."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    UniqueConstraint,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Line, Moment, Name, Note, Prose, Word


class ArtifactRow(Base):
    """Bytes by their SHA-256, so that no process needs another's disk."""

    __tablename__ = "artifacts"

    sha256: Mapped[Name] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[Created]


class MLTrainingJobRow(Base):
    """A request to train, and how it went."""

    __tablename__ = "ml_training_jobs"
    __table_args__ = (CheckConstraint("status IN ('pending', 'running', 'completed', 'failed')", name="status"),)

    id: Mapped[Id]
    started_by: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
    status: Mapped[Word] = mapped_column(server_default="pending", index=True)
    model_type: Mapped[Name]
    algorithm: Mapped[Name]
    training_data_path: Mapped[str] = mapped_column(String(512))
    parameter_hash: Mapped[Name] = mapped_column(ForeignKey("parameter_sets.hash"))
    seed: Mapped[int]
    activate: Mapped[bool] = mapped_column(server_default="false")
    started_at: Mapped[Moment | None]
    completed_at: Mapped[Moment | None]
    model_path: Mapped[str | None] = mapped_column(String(512))
    accuracy: Mapped[float | None]
    error_message: Mapped[Note | None]
    logs: Mapped[Prose | None]
    hyperparameters: Mapped[Json | None]
    notes: Mapped[Line | None]
    training_run_end_date: Mapped[date | None]
    created_at: Mapped[Created]


class MLModelRow(Base):
    """One version of a predictor. `model_path` is `db:<sha256>`."""

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
    """Queries over jobs, versions and artefacts."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def request(self, model_type: str, parameter_hash: str, seed: int, *, activate: bool) -> int:
        """Store a training job over the bars in the database. Returns its id, the subject of its execution.

        activate: whoever asks wants the version active once it is trained; otherwise it stays a draft.
        """
        job = MLTrainingJobRow(
            model_type=model_type,
            algorithm="hist_gradient_boosting",
            training_data_path="db:bars",
            parameter_hash=parameter_hash,
            seed=seed,
            activate=activate,
        )
        self.session.add(job)
        await self.session.flush()
        return job.id

    async def job(self, job_id: int) -> MLTrainingJobRow:
        """Return a job, locked."""
        query = select(MLTrainingJobRow).where(MLTrainingJobRow.id == job_id).with_for_update()
        return (await self.session.execute(query)).scalar_one()

    async def store(self, model: MLModelRow, data: bytes) -> str:
        """Store an artefact and its version as the next of its type, as a draft. Returns the version.

        A job has one version: storing it again after a crash finds the first.
        """
        await self.session.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('ml_models:' || :type))"), {"type": model.model_type}
        )
        known = select(MLModelRow.version).where(MLModelRow.training_job_id == model.training_job_id)
        version: str | None = (await self.session.execute(known)).scalar_one_or_none()
        if version is not None:
            return version
        artifact = insert(ArtifactRow).values(sha256=model.sha256, data=data)
        await self.session.execute(artifact.on_conflict_do_nothing())
        newest = select(func.count(MLModelRow.id)).where(MLModelRow.model_type == model.model_type)
        model.version = f"v{(await self.session.execute(newest)).scalar_one() + 1}"
        self.session.add(model)
        await self.session.flush()
        return model.version

    async def activate(self, model_type: str, version: str, at: datetime) -> None:
        """Make one version the active one of its type, in one transaction. at: market time."""
        rows = update(MLModelRow).where(MLModelRow.model_type == model_type)
        await self.session.execute(rows.where(MLModelRow.is_active).values(is_active=False))
        await self.session.execute(rows.where(MLModelRow.version == version).values(is_active=True, activated_at=at))

    async def active(self, model_type: str) -> MLModelRow | None:
        """Return the active version of a type, if there is one."""
        query = select(MLModelRow).where(MLModelRow.model_type == model_type, MLModelRow.is_active)
        return (await self.session.execute(query)).scalar_one_or_none()

    async def of_job(self, job_id: int) -> MLModelRow | None:
        """Return the version a job trained, if it has."""
        query = select(MLModelRow).where(MLModelRow.training_job_id == job_id)
        return (await self.session.execute(query)).scalar_one_or_none()

    async def artifact(self, sha256: str) -> bytes:
        """Return an artefact's bytes."""
        return (await self.session.execute(select(ArtifactRow.data).where(ArtifactRow.sha256 == sha256))).scalar_one()
