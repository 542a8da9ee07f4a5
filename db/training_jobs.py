"""Training jobs: what was asked for, how it went, and what it said on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, String, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Line, Moment, Name, Note, Prose, Word
from db.config_rows import DEFAULT_STRATEGY, ParameterSetRow
from trading.features import FeatureParameters
from trading.lessons import MODEL_FEATURES, check_features
from trading.recipes import Recipe

BARS = "db:bars"
"""The data path of a job that learns from the bars in the database."""

LOG_LENGTH = 16_384
"""Characters of a job's log; its end is kept. Source: domain 1.3."""

_MESSAGE_LENGTH = 1024


class MLTrainingJobRow(Base):
    """A request to train, and how it went. features: None are all of the allow-list. Moments are market time.

    started_by: the user who asked; null for an operator who is none, whom the audit log names.
    """

    __tablename__ = "ml_training_jobs"
    __table_args__ = (CheckConstraint("status IN ('pending', 'running', 'completed', 'failed')", name="status"),)

    id: Mapped[Id]
    started_by: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
    status: Mapped[Word] = mapped_column(server_default="pending", index=True)
    model_type: Mapped[Name]
    algorithm: Mapped[Name]
    training_data_path: Mapped[str] = mapped_column(String(512))
    parameter_hash: Mapped[Name] = mapped_column(ForeignKey("parameter_sets.hash"))
    features: Mapped[list[Any] | None] = mapped_column(JSONB)
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


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What a job shall do. data_path: BARS or `db:<sha256>` of a CSV file.

    until: the last exchange day whose outcomes may be learnt from, None for no limit. activate: the version shall be
    active once it is trained; otherwise it stays a draft. started_by: the user who asks, None for an operator without.
    """

    recipe: Recipe
    parameters: FeatureParameters
    data_path: str = BARS
    features: tuple[str, ...] | None = None
    until: date | None = None
    activate: bool = False
    notes: str | None = None
    started_by: int | None = None


# A job's execution is the newest with its id as subject.
_EXECUTION = """
    LATERAL (SELECT e.id, e.status, e.reason, e.attempt, e.losses, e.worker FROM service_task_execution e
             WHERE e.task_name = 'train' AND e.user_id IS NULL AND e.account_id IS NULL AND e.subject = j.id::text
             ORDER BY e.id DESC LIMIT 1) e
"""

_LIST = f"""
    SELECT j.id, j.status, j.model_type, j.algorithm, m.version, m.is_active AS active, m.retired_at,
           j.training_data_path AS data, j.seed, j.created_at, j.completed_at, j.accuracy,
           j.error_message, j.notes, e.id AS execution_id, e.status AS execution_status
    FROM ml_training_jobs j LEFT JOIN ml_models m ON m.training_job_id = j.id LEFT JOIN {_EXECUTION} ON true
"""
_NEWEST = text(f"{_LIST} WHERE j.id < :before ORDER BY j.id DESC LIMIT :limit")

_SHOW = text(
    f"""
    SELECT j.id, j.status, j.model_type, j.algorithm, j.hyperparameters, j.features, j.seed,
           j.training_data_path AS data, j.parameter_hash, j.training_run_end_date AS until, j.activate, j.notes,
           j.created_at, j.started_at, j.completed_at, m.version, j.model_path, j.accuracy, j.error_message,
           e.id AS execution_id, e.status AS execution_status, e.attempt, e.losses, e.worker, j.logs
    FROM ml_training_jobs j LEFT JOIN ml_models m ON m.training_job_id = j.id LEFT JOIN {_EXECUTION} ON true
    WHERE j.id = :id
    """
)

# Machine time, on the database's clock: a log is read beside the logs of processes.
_LOGGED = """
    right(coalesce({job}logs, '') || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z" ')
          || {line} || E'\\n', {length})
"""
_LOG = text(
    "UPDATE ml_training_jobs SET logs = "
    + _LOGGED.format(job="", line="CAST(:line AS text)", length=LOG_LENGTH)
    + " WHERE id = :id"
)

_CLOSE_ENDED = text(
    f"""
    WITH ended AS (
        SELECT j.id, left('execution ' || e.id || ' ended ' || e.status || coalesce(': ' || e.reason, ''),
                          {_MESSAGE_LENGTH}) AS reason
        FROM ml_training_jobs j CROSS JOIN {_EXECUTION}
        WHERE j.status IN ('pending', 'running') AND e.status IN ('success', 'failed', 'skipped', 'cancelled')
        ORDER BY j.id FOR UPDATE OF j SKIP LOCKED)
    UPDATE ml_training_jobs j
    SET status = 'failed', completed_at = market_now(), error_message = ended.reason,
        logs = {_LOGGED.format(job="j.", line="ended.reason", length=LOG_LENGTH)}
    FROM ended WHERE j.id = ended.id RETURNING j.id
    """
)


_TAKERS = text(
    "SELECT count(*) FROM worker_processes WHERE ended_at IS NULL AND lease_until > now() "
    "AND 'ml' = ANY(string_to_array(queues, ','))"
)


class MLTrainingJobRepository:
    """Queries over training jobs. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def request(self, wanted: TrainingRequest) -> int:
        """Store a training job. Returns its id, the subject of its execution. Raises RecipeRefused, FeatureRefused."""
        settings = wanted.recipe.settings()
        check_features(wanted.features or MODEL_FEATURES)
        parameters = insert(ParameterSetRow).values(
            hash=wanted.parameters.hash, strategy=DEFAULT_STRATEGY, parameters=wanted.parameters.to_json()
        )
        await self.session.execute(parameters.on_conflict_do_nothing())
        job = MLTrainingJobRow(
            model_type=wanted.recipe.model_type,
            algorithm=wanted.recipe.algorithm,
            hyperparameters=settings,
            seed=wanted.recipe.seed,
            training_data_path=wanted.data_path,
            parameter_hash=wanted.parameters.hash,
            features=list(wanted.features) if wanted.features else None,
            training_run_end_date=wanted.until,
            activate=wanted.activate,
            notes=wanted.notes,
            started_by=wanted.started_by,
        )
        self.session.add(job)
        await self.session.flush()
        return job.id

    async def repeat(self, job_id: int, started_by: int | None = None) -> int | None:
        """Store the same job once more, whatever became of it. Returns the new one's id, None if there is no such.

        started_by: the user who asks for it now.
        """
        job = await self.session.get(MLTrainingJobRow, job_id)
        if job is None:
            return None
        kept = (
            "model_type", "algorithm", "hyperparameters", "seed", "training_data_path", "parameter_hash", "features",
            "training_run_end_date", "activate",
        )  # fmt: skip
        values = {name: getattr(job, name) for name in kept}
        again = MLTrainingJobRow(**values, notes=f"job {job_id} again", started_by=started_by)
        self.session.add(again)
        await self.session.flush()
        return again.id

    async def lock(self, job_id: int) -> MLTrainingJobRow:
        """Return a job, locked."""
        query = select(MLTrainingJobRow).where(MLTrainingJobRow.id == job_id).with_for_update()
        return (await self.session.execute(query)).scalar_one()

    async def log(self, job_id: int, line: str) -> None:
        """Add a line to a job's log, with the machine's time."""
        await self.session.execute(_LOG, {"id": job_id, "line": line})

    async def newest(self, limit: int, before: int | None = None) -> Sequence[Mapping[str, Any]]:
        """Return the latest jobs with their versions and executions, newest first. before: an id."""
        values = {"limit": limit, "before": before or 2**63 - 1}
        return [dict(row) for row in (await self.session.execute(_NEWEST, values)).mappings()]

    async def show(self, job_id: int) -> Mapping[str, Any] | None:
        """Return everything about a job, if there is one."""
        row = (await self.session.execute(_SHOW, {"id": job_id})).mappings().one_or_none()
        return dict(row) if row is not None else None

    async def takers(self) -> int:
        """Return how many live workers take training jobs."""
        return int((await self.session.execute(_TAKERS)).scalar_one())

    async def close_ended(self) -> int:
        """Mark jobs failed whose execution ended without a word about them. Returns how many."""
        return len((await self.session.execute(_CLOSE_ENDED)).all())
