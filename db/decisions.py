"""The journal: why each candidate was bought or not, with what was known."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, UniqueConstraint, bindparam, exists, select, text
from sqlalchemy import Sequence as DatabaseSequence
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Json, Name, Ticker, Word, user_scoped

DECISION_IDS = DatabaseSequence("decisions_id_seq", metadata=Base.metadata)


@user_scoped
class DecisionRow(Base):
    """What one account's strategy decided about one symbol on one day. Partitioned by month of `day`."""

    __tablename__ = "decisions"
    __table_args__ = (
        CheckConstraint("verdict IN ('approved', 'refused')", name="verdict"),
        PrimaryKeyConstraint("day", "id"),
        UniqueConstraint("account_id", "task_name", "day", "symbol", "leg"),
        Index(None, "user_id", "day"),
        {"postgresql_partition_by": "RANGE (day)"},
    )

    id: Mapped[Big] = mapped_column(server_default=DECISION_IDS.next_value())
    user_id: Mapped[Big]
    account_id: Mapped[Big]
    execution_id: Mapped[Big]
    task_name: Mapped[Name]
    day: Mapped[date]
    symbol: Mapped[Ticker]
    leg: Mapped[Name]
    verdict: Mapped[Word]
    code: Mapped[Name | None]
    facts: Mapped[Json]
    config_version: Mapped[int]
    model_version: Mapped[Word | None]
    confidence: Mapped[float | None]
    created_at: Mapped[Created]


_JOURNAL = text(
    """
    INSERT INTO decisions (user_id, account_id, execution_id, task_name, day, symbol, leg, verdict, code, facts,
                           config_version, model_version, confidence)
    SELECT d.user_id, d.account_id, d.execution_id, d.task_name, d.day, d.symbol, d.leg, d.verdict, d.code, d.facts,
           d.config_version, d.model_version, d.confidence
    FROM jsonb_to_recordset(CAST(:decisions AS jsonb))
         AS d(user_id bigint, account_id bigint, execution_id bigint, task_name text, day date, symbol text, leg text,
              verdict text, code text, facts jsonb, config_version int, model_version text, confidence float8)
    ON CONFLICT DO NOTHING
    """
)
_MADE = select(
    exists().where(
        DecisionRow.account_id == bindparam("account_id"),
        DecisionRow.task_name == bindparam("task_name"),
        DecisionRow.day == bindparam("day"),
        DecisionRow.execution_id == bindparam("execution_id"),
    )
)


class DecisionRepository:
    """Queries over the journal."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def journal(self, decisions: Sequence[dict[str, Any]]) -> None:
        """Store decisions; one that was journalled before is left alone."""
        if decisions:
            rows = [one | {"day": one["day"].isoformat()} for one in decisions]
            await self.session.execute(_JOURNAL, {"decisions": json.dumps(rows)})

    async def made(self, account_id: int, task_name: str, day: date, execution_id: int) -> bool:
        """Tell whether an execution has journalled already: its first transaction was committed, its end was not."""
        values = {"account_id": account_id, "task_name": task_name, "day": day, "execution_id": execution_id}
        return bool((await self.session.execute(_MADE, values)).scalar_one())
