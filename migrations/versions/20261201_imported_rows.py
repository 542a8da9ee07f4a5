"""What imported rows are found by, and their old records as they were written, in a column of their own.

Revision: 20261201_imported_rows, after 20261130_tags
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261201_imported_rows"
down_revision = "20261130_tags"
branch_labels = None
depends_on = None

_BY_PAGES = (
    ("orders", "session_day", None),
    ("orders", "import_batch_id", "import_batch_id IS NOT NULL"),
    ("positions", "closed_at", None),
    ("positions", "import_batch_id", "import_batch_id IS NOT NULL"),
)
_REFERRING = (("orders", "position_id"), ("orders", "retry_of"), ("positions", "sell_order_id"))
# Row security is on for the owner too.
_FOR_ALL = "SELECT set_config('muhurat.scope', 'system', true)"


def upgrade() -> None:
    op.add_column("orders", sa.Column("old_record", postgresql.JSON(), nullable=True))
    op.execute(_FOR_ALL)
    op.execute(
        "UPDATE orders SET old_record = CAST(metadata -> 'legacy' AS json), metadata = metadata - 'legacy' "
        "WHERE metadata ? 'legacy'"
    )
    for table, column, where in _BY_PAGES:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
        op.create_index(
            f"ix_{table}_{column}", table, [column], unique=False, postgresql_where=where,
            postgresql_using="brin", postgresql_with={"pages_per_range": 16, "autosummarize": True},
        )  # fmt: skip
    for table, column in _REFERRING:
        op.create_index(f"ix_{table}_{column}", table, [column], unique=False, postgresql_where=f"{column} IS NOT NULL")


def downgrade() -> None:
    for table, column in _REFERRING:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
    for table, column, where in _BY_PAGES:
        op.drop_index(f"ix_{table}_{column}", table_name=table)
        op.create_index(f"ix_{table}_{column}", table, [column], unique=False, postgresql_where=where)
    op.execute(_FOR_ALL)
    op.execute(
        "UPDATE orders SET metadata = coalesce(metadata, '{}') || jsonb_build_object('legacy', old_record) "
        "WHERE old_record IS NOT NULL"
    )
    op.drop_column("orders", "old_record")
