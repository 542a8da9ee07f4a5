"""Imports: what was read, by whom, what became of each record, and what the predecessor told of its own shares."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Label, Moment, Name, Note, Ticker, Word, user_scoped


@user_scoped
class ImportBatchRow(Base):
    """One source brought in for one account. Every row it made names it, and a rollback takes exactly those.

    source: file or folder as given, without its path. done_records: how far a running one has come. counts: outcome ->
    records. unmapped: word -> records that were refused for it. expected: the sums of the source, by measure.
    dry_run: it was done and taken back at once; no row names it.
    """

    __tablename__ = "import_batches"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'done', 'broken', 'rolled_back')", name="state"),
        Index(None, "user_id", "id"),
        Index(None, "account_id", "kind", "sha256"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"))
    kind: Mapped[Ticker]
    source: Mapped[Label]
    sha256: Mapped[Name]
    state: Mapped[Word]
    dry_run: Mapped[bool] = mapped_column(server_default="false")
    salvage: Mapped[bool] = mapped_column(server_default="false")
    done_records: Mapped[int] = mapped_column(Integer, server_default="0")
    counts: Mapped[Json] = mapped_column(server_default="{}")
    unmapped: Mapped[Json] = mapped_column(server_default="{}")
    expected: Mapped[Json] = mapped_column(server_default="{}")
    error: Mapped[Note | None]
    actor: Mapped[Name]
    started_at: Mapped[Created]
    finished_at: Mapped[Moment | None]
    rolled_back_at: Mapped[Moment | None]
    rolled_back_by: Mapped[Name | None]


@user_scoped
class ImportRecordRow(Base):
    """A record that was not simply imported: merged with one that is there, skipped, or refused."""

    __tablename__ = "import_records"
    __table_args__ = (
        CheckConstraint("outcome IN ('merged', 'skipped', 'error')", name="outcome"),
        Index(None, "batch_id", "id"),
        Index(None, "user_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    batch_id: Mapped[Big] = mapped_column(ForeignKey("import_batches.id"))
    place: Mapped[Label]
    line: Mapped[int | None]
    symbol: Mapped[Ticker | None]
    outcome: Mapped[Word]
    kind: Mapped[Name]
    reason: Mapped[Note]


@user_scoped
class TrackedSymbolRow(Base):
    """What the predecessor said the system owned of a share, beside what the user held before it.

    pre_existing_quantity: the user's own shares; the system never sells them.
    """

    __tablename__ = "tracked_symbols"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'completed')", name="status"),
        CheckConstraint(
            "system_quantity >= 0 AND tracked_quantity >= 0 AND pre_existing_quantity >= 0", name="quantities"
        ),
        Index("uq_tracked_symbols_tracking", "account_id", "tracking_id", unique=True),
        Index(None, "user_id"),
        Index(None, "import_batch_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big] = mapped_column(ForeignKey("broker_accounts.id"))
    tracking_id: Mapped[Label]
    symbol: Mapped[Ticker]
    status: Mapped[Word]
    started_at: Mapped[Moment]
    ended_at: Mapped[Moment | None]
    system_quantity: Mapped[int]
    tracked_quantity: Mapped[int]
    pre_existing_quantity: Mapped[int]
    initial_order_id: Mapped[Name | None]
    facts: Mapped[Json]
    import_batch_id: Mapped[Big | None] = mapped_column(ForeignKey("import_batches.id"))
    created_at: Mapped[Created]


_OPEN = text(
    """
    INSERT INTO import_batches (user_id, account_id, kind, source, sha256, state, dry_run, salvage, actor)
    VALUES (:user_id, :account_id, :kind, :source, :sha256, 'running', :dry_run, :salvage, :actor)
    RETURNING id
    """
)
# One that was interrupted goes on where it stood; whoever moves it on first has it.
_UNFINISHED = text(
    """
    SELECT * FROM import_batches WHERE user_id = :user_id AND account_id = :account_id AND kind = :kind
      AND sha256 = :sha256 AND state = 'running' AND NOT dry_run ORDER BY id DESC LIMIT 1 FOR UPDATE
    """
)
_ADVANCE = text(
    """
    UPDATE import_batches SET done_records = :done, counts = CAST(:counts AS jsonb),
        unmapped = CAST(:unmapped AS jsonb), expected = CAST(:expected AS jsonb)
    WHERE id = :id AND state = 'running' AND done_records = :before RETURNING id
    """
)
_FINISH = text(
    """
    UPDATE import_batches SET state = :state, error = :error, finished_at = now()
    WHERE id = :id AND state = 'running' RETURNING id
    """
)
_EXPECT = text("UPDATE import_batches SET expected = expected || CAST(:more AS jsonb) WHERE id = :id")
_ROLLED_BACK = text(
    "UPDATE import_batches SET state = 'rolled_back', rolled_back_at = now(), rolled_back_by = :actor WHERE id = :id"
)
_RECORDS = text(
    """
    INSERT INTO import_records (user_id, batch_id, place, line, symbol, outcome, kind, reason)
    SELECT :user_id, :id, r.place, r.line, r.symbol, r.outcome, r.kind, r.reason
    FROM unnest(CAST(:places AS text[]), CAST(:lines AS int[]), CAST(:symbols AS text[]), CAST(:outcomes AS text[]),
                CAST(:kinds AS text[]), CAST(:reasons AS text[]))
         AS r(place, line, symbol, outcome, kind, reason)
    """
)
_PAGE = text(
    """
    SELECT b.id, b.user_id, u.email AS user, a.name AS account, b.kind, b.source, b.state, b.dry_run, b.done_records,
           b.counts, b.started_at, b.finished_at, b.actor, b.error
    FROM import_batches b JOIN users u ON u.id = b.user_id JOIN broker_accounts a ON a.id = b.account_id
    WHERE (CAST(:user_id AS bigint) IS NULL OR b.user_id = :user_id) AND b.id < :before ORDER BY b.id DESC LIMIT :limit
    """
)
_SHOW = text(
    """
    SELECT b.*, u.email AS user, a.name AS account, a.code, a.mode, a.venue
    FROM import_batches b JOIN users u ON u.id = b.user_id JOIN broker_accounts a ON a.id = b.account_id
    WHERE b.id = :id
    """
)
_RECORDS_OF = text(
    """
    SELECT place, line, symbol, outcome, kind, reason FROM import_records
    WHERE batch_id = :id ORDER BY outcome = 'error' DESC, id LIMIT :limit
    """
)


class ImportBatchRepository:
    """Queries over batches. Needs the system scope: whoever imports does it for a user."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def unfinished(self, user_id: int, account_id: int, kind: str, sha256: str) -> RowMapping | None:
        """Return the interrupted batch of the same source, locked, if there is one."""
        values = {"user_id": user_id, "account_id": account_id, "kind": kind, "sha256": sha256}
        return (await self.session.execute(_UNFINISHED, values)).mappings().one_or_none()

    async def open(self, **values: object) -> int:
        """Begin a batch: user_id, account_id, kind, source, sha256, dry_run, salvage, actor. Returns its id."""
        batch_id: int = (await self.session.execute(_OPEN, values)).scalar_one()
        return batch_id

    async def advance(
        self,
        batch_id: int,
        before: int,
        done: int,
        counts: Mapping[str, int],
        unmapped: Mapping[str, int],
        expected: Mapping[str, Any],
    ) -> bool:
        """Say how far a batch has come, if it stood where it should. False: somebody else imports the same."""
        told = {"counts": json.dumps(counts), "unmapped": json.dumps(unmapped), "expected": json.dumps(expected)}
        values = {"id": batch_id, "before": before, "done": done, **told}
        return (await self.session.execute(_ADVANCE, values)).one_or_none() is not None

    async def finish(self, batch_id: int, state: str, error: str | None) -> bool:
        """End a running batch. Returns whether it was running."""
        values = {"id": batch_id, "state": state, "error": error and error[:1024]}
        return (await self.session.execute(_FINISH, values)).one_or_none() is not None

    async def expect(self, batch_id: int, more: Mapping[str, Any]) -> None:
        """Add sums that the source named."""
        await self.session.execute(_EXPECT, {"id": batch_id, "more": json.dumps(more)})

    async def rolled_back(self, batch_id: int, actor: str) -> None:
        """Say that a batch was taken back."""
        await self.session.execute(_ROLLED_BACK, {"id": batch_id, "actor": actor})

    async def note(self, batch_id: int, user_id: int, records: Sequence[Mapping[str, Any]]) -> None:
        """Store what was not simply imported: place, line, symbol, outcome, kind, reason."""
        if records:
            values = {f"{name}s": [one[name] for one in records] for name in ("place", "line", "symbol", "outcome")}
            told = {f"{name}s": [one[name] for one in records] for name in ("kind", "reason")}
            await self.session.execute(_RECORDS, {"id": batch_id, "user_id": user_id, **values, **told})

    async def page(self, limit: int, before: int, user_id: int | None = None) -> list[RowMapping]:
        """Return batches, newest first."""
        values = {"limit": limit, "before": before, "user_id": user_id}
        return list((await self.session.execute(_PAGE, values)).mappings())

    async def show(self, batch_id: int) -> RowMapping | None:
        """Return one batch with the names of its user and account."""
        return (await self.session.execute(_SHOW, {"id": batch_id})).mappings().one_or_none()

    async def records(self, batch_id: int, limit: int | None) -> list[RowMapping]:
        """Return what was not simply imported, errors first. limit: None returns all."""
        return list((await self.session.execute(_RECORDS_OF, {"id": batch_id, "limit": limit})).mappings())
