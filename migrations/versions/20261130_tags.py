"""A tag for orders that a venue knows of, and for no others: most of an imported history has none to write.

Revision: 20261130_tags, after 20261129_scheduler
"""

from alembic import op

revision = "20261130_tags"
down_revision = "20261129_scheduler"
branch_labels = None
depends_on = None

_LIVE = "'acked', 'cancelling', 'open', 'parked', 'partial', 'planned', 'sending', 'unknown'"


def upgrade() -> None:
    op.alter_column("orders", "tag", nullable=True)
    op.drop_index(op.f("ix_orders_account_id_tag"), table_name="orders")
    op.create_index(
        op.f("ix_orders_account_id_tag"),
        "orders",
        ["account_id", "tag"],
        unique=False,
        postgresql_where="tag IS NOT NULL",
    )
    op.create_check_constraint(op.f("ck_orders_tag"), "orders", f"tag IS NOT NULL OR status NOT IN ({_LIVE})")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_orders_tag"), "orders", type_="check")
    # Row security is on for the owner too.
    op.execute("SELECT set_config('muhurat.scope', 'system', true)")
    op.execute("UPDATE orders SET tag = 'IMPORTED' || id WHERE tag IS NULL")
    op.drop_index(op.f("ix_orders_account_id_tag"), table_name="orders", postgresql_where="tag IS NOT NULL")
    op.create_index(op.f("ix_orders_account_id_tag"), "orders", ["account_id", "tag"], unique=False)
    op.alter_column("orders", "tag", nullable=False)
