"""The queue's own columns and indexes: a claim stays within its page, a user's share is counted, healings are told.

Revision: 20261127_queue, after 20261125_imports
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.row_security import PARTITIONS

revision = "20261127_queue"
down_revision = "20261125_imports"
branch_labels = None
depends_on = None

_COPY = "INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition, parent);"
# Generated columns are copied too, and beside each execution stays room for what a claim makes of it.
_COPY_ALL = """INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED)',
                partition, parent);
            IF parent = 'service_task_execution' THEN
                EXECUTE format('ALTER TABLE %I SET (fillfactor = 60)', partition);
            END IF;"""
_MAKE = PARTITIONS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
_FILL = """
DO $$
DECLARE partition regclass;
BEGIN
    FOR partition IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'service_task_execution'::regclass
    LOOP
        EXECUTE format('ALTER TABLE %s SET (fillfactor = 60)', partition);
    END LOOP;
END $$
"""
_OPEN = "status IN ('waiting', 'queued', 'running', 'retrying')"
_WORD = "(status)::text = "
_MEANS = (
    ("is_open", f"{_WORD}ANY (ARRAY['waiting'::text, 'queued'::text, 'running'::text, 'retrying'::text])"),
    ("is_waiting", f"{_WORD}'waiting'::text"),
    ("is_failure", f"{_WORD}ANY (ARRAY['failed'::text, 'cancelled'::text])"),
    ("is_ringable", f"({_WORD}'queued'::text) AND (rung_at IS NULL)"),
    ("is_retrying", f"{_WORD}'retrying'::text"),
)


def upgrade() -> None:
    op.create_table(
        "healings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("facts", postgresql.JSONB(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_healings")),
    )
    op.create_index(op.f("ix_healings_at"), "healings", ["at"])
    op.execute(_MAKE.replace(_COPY, _COPY_ALL))
    op.execute(_FILL)
    for name in ("failed", "unfinished", "unrung"):
        op.drop_index(f"ix_service_task_execution_{name}", table_name="service_task_execution")
    columns = (f"ADD COLUMN {name} boolean NOT NULL GENERATED ALWAYS AS ({means}) STORED" for name, means in _MEANS)
    op.execute(f"ALTER TABLE service_task_execution {', '.join(columns)}")
    for name, rows in (("rung", "is_open AND rung_at IS NOT NULL"), ("ringable", "is_ringable")):
        op.create_index(
            f"ix_service_task_execution_{name}",
            "service_task_execution",
            ["user_id", "queue", "id"],
            postgresql_where=rows,
        )
    op.create_index(
        "ix_service_task_execution_retrying",
        "service_task_execution",
        ["next_attempt_at", "id"],
        postgresql_where="is_retrying",
    )
    op.create_index(
        "ix_service_task_execution_waiting", "service_task_execution", ["id"], postgresql_where="is_waiting"
    )
    op.create_index(
        "ix_service_task_execution_failed", "service_task_execution", ["scheduled_for"], postgresql_where="is_failure"
    )


def downgrade() -> None:
    for name in ("failed", "waiting", "retrying", "ringable", "rung"):
        op.drop_index(f"ix_service_task_execution_{name}", table_name="service_task_execution")
    for name in ("is_retrying", "is_ringable", "is_failure", "is_waiting", "is_open"):
        op.drop_column("service_task_execution", name)
    op.execute(_MAKE)
    op.create_index(
        "ix_service_task_execution_unfinished", "service_task_execution", ["status", "id"], postgresql_where=_OPEN
    )
    op.create_index(
        "ix_service_task_execution_unrung",
        "service_task_execution",
        ["parent_id"],
        postgresql_where="status IN ('queued', 'retrying') AND rung_at IS NULL",
    )
    op.create_index(
        "ix_service_task_execution_failed",
        "service_task_execution",
        ["status", "scheduled_for"],
        postgresql_where="status IN ('failed', 'cancelled')",
    )
    op.drop_index(op.f("ix_healings_at"), table_name="healings")
    op.drop_table("healings")
