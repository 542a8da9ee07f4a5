"""Fewer keys and indexes on what is written by the hundred thousand: orders, fills, positions, re-entries.

Revision: 20261128_fewer_keys, after 20261127_queue
"""

from alembic import op

revision = "20261128_fewer_keys"
down_revision = "20261127_queue"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_constraint("fk_fills_owner", "fills", type_="foreignkey")
    op.drop_constraint("fk_reentries_owner", "reentries", type_="foreignkey")
    op.drop_index(op.f("ix_reentries_account_id"), table_name="reentries")
    op.drop_index(op.f("ix_reentries_user_id"), table_name="reentries")
    op.drop_index(op.f("ix_positions_exit_reason"), table_name="positions")
    op.drop_index(op.f("ix_orders_user_id_updated_at"), table_name="orders")
    op.drop_index(op.f("ix_orders_execution_id"), table_name="orders")
    op.create_index(
        op.f("ix_orders_execution_id"),
        "orders",
        ["execution_id"],
        unique=False,
        postgresql_where="execution_id IS NOT NULL",
    )
    op.drop_index(op.f("ix_orders_order_id_account_id"), table_name="orders")
    op.create_index(
        op.f("ix_orders_order_id_account_id"),
        "orders",
        ["order_id", "account_id"],
        unique=False,
        postgresql_where="order_id IS NOT NULL",
    )
    op.drop_constraint(op.f("uq_orders_account_id_broker_order_id"), "orders", type_="unique")
    op.create_index(
        "uq_orders_broker_order_id",
        "orders",
        ["account_id", "broker_order_id"],
        unique=True,
        postgresql_where="broker_order_id IS NOT NULL",
    )


def downgrade() -> None:
    op.drop_index("uq_orders_broker_order_id", table_name="orders", postgresql_where="broker_order_id IS NOT NULL")
    op.create_unique_constraint(
        op.f("uq_orders_account_id_broker_order_id"), "orders", ["account_id", "broker_order_id"]
    )
    op.drop_index(op.f("ix_orders_order_id_account_id"), table_name="orders", postgresql_where="order_id IS NOT NULL")
    op.create_index(op.f("ix_orders_order_id_account_id"), "orders", ["order_id", "account_id"], unique=False)
    op.drop_index(op.f("ix_orders_execution_id"), table_name="orders", postgresql_where="execution_id IS NOT NULL")
    op.create_index(op.f("ix_orders_execution_id"), "orders", ["execution_id"], unique=False)
    op.create_index(op.f("ix_orders_user_id_updated_at"), "orders", ["user_id", "updated_at"], unique=False)
    op.create_index(op.f("ix_positions_exit_reason"), "positions", ["exit_reason"], unique=False)
    op.create_index(op.f("ix_reentries_user_id"), "reentries", ["user_id"], unique=False)
    op.create_index(op.f("ix_reentries_account_id"), "reentries", ["account_id"], unique=False)
    op.create_foreign_key(
        "fk_reentries_owner", "reentries", "broker_accounts", ["account_id", "user_id"], ["id", "user_id"]
    )
    op.create_foreign_key("fk_fills_owner", "fills", "broker_accounts", ["account_id", "user_id"], ["id", "user_id"])
