"""Imports: what was read, by whom, what became of each record, and what the predecessor told of its own shares."""


from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Label, Moment, Name, Note, Ticker, Word, user_scoped

STATES = ("running", "done", "broken", "rolled_back")


@user_scoped
class ImportBatchRow(Base):
    """One source brought in for one account. Every row it made names it, and a rollback takes exactly those.

    source: file or folder as given, without its path. done_records: how far a running one has come. counts: outcome ->
    records. unmapped: word -> records that were refused for it. expected: the sums of the source, by measure. undo:
    what a rollback needs beside the rows. dry_run: it was done and taken back at once; no row names it.
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
    undo: Mapped[Json] = mapped_column(server_default="{}")
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
