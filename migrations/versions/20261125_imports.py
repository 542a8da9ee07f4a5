"""Imports: batches, their records, tracked shares, and on every imported row the batch that made it.

Revision: 20261125_imports, after 20261122_initial
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261125_imports"
down_revision = "20261122_initial"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "market_days",
        sa.Column("exchange", sa.String(length=16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("source", sa.String(length=512), nullable=False),
        sa.CheckConstraint("kind IN ('holiday', 'special')", name=op.f("ck_market_days_kind")),
        sa.PrimaryKeyConstraint("exchange", "day", name=op.f("pk_market_days")),
    )
    op.create_table(
        "import_batches",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("dry_run", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("salvage", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("done_records", sa.Integer(), server_default="0", nullable=False),
        sa.Column("counts", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("unmapped", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("expected", postgresql.JSONB(), server_default="{}", nullable=False),
        sa.Column("error", sa.String(length=1024), nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rolled_back_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rolled_back_by", sa.String(length=64), nullable=True),
        sa.CheckConstraint(
            "state IN ('running', 'done', 'broken', 'rolled_back')", name=op.f("ck_import_batches_state")
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_import_batches_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_import_batches_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_batches")),
    )
    op.create_index(
        op.f("ix_import_batches_account_id_kind_sha256"),
        "import_batches",
        ["account_id", "kind", "sha256"],
        unique=False,
    )
    op.create_index(op.f("ix_import_batches_user_id_id"), "import_batches", ["user_id", "id"], unique=False)
    op.create_table(
        "import_records",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.String(length=255), nullable=False),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("symbol", sa.String(length=32), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=1024), nullable=False),
        sa.CheckConstraint("outcome IN ('merged', 'skipped', 'error')", name=op.f("ck_import_records_outcome")),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["import_batches.id"], name=op.f("fk_import_records_batch_id_import_batches")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_import_records_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_records")),
    )
    op.create_index(op.f("ix_import_records_batch_id_id"), "import_records", ["batch_id", "id"], unique=False)
    op.create_index(op.f("ix_import_records_user_id"), "import_records", ["user_id"], unique=False)
    op.create_table(
        "tracked_symbols",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("tracking_id", sa.String(length=255), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("system_quantity", sa.Integer(), nullable=False),
        sa.Column("tracked_quantity", sa.Integer(), nullable=False),
        sa.Column("pre_existing_quantity", sa.Integer(), nullable=False),
        sa.Column("initial_order_id", sa.String(length=64), nullable=True),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("import_batch_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('active', 'completed')", name=op.f("ck_tracked_symbols_status")),
        sa.CheckConstraint(
            "system_quantity >= 0 AND tracked_quantity >= 0 AND pre_existing_quantity >= 0",
            name=op.f("ck_tracked_symbols_quantities"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_tracked_symbols_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["import_batch_id"], ["import_batches.id"], name=op.f("fk_tracked_symbols_import_batch_id_import_batches")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tracked_symbols_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tracked_symbols")),
    )
    op.create_index(op.f("ix_tracked_symbols_import_batch_id"), "tracked_symbols", ["import_batch_id"], unique=False)
    op.create_index(op.f("ix_tracked_symbols_user_id"), "tracked_symbols", ["user_id"], unique=False)
    op.create_index("uq_tracked_symbols_tracking", "tracked_symbols", ["account_id", "tracking_id"], unique=True)
    op.create_unique_constraint(op.f("uq_broker_accounts_id_user_id"), "broker_accounts", ["id", "user_id"])
    op.add_column("cash_entries", sa.Column("import_batch_id", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_cash_entries_import_batch_id"),
        "cash_entries",
        ["import_batch_id"],
        unique=False,
        postgresql_where="import_batch_id IS NOT NULL",
    )
    op.create_foreign_key(
        op.f("fk_cash_entries_import_batch_id_import_batches"),
        "cash_entries",
        "import_batches",
        ["import_batch_id"],
        ["id"],
    )
    op.add_column("fills", sa.Column("import_batch_id", sa.BigInteger(), nullable=True))
    op.drop_constraint(op.f("fk_fills_account_id_broker_accounts"), "fills", type_="foreignkey")
    op.drop_constraint(op.f("fk_fills_user_id_users"), "fills", type_="foreignkey")
    op.create_foreign_key("fk_fills_owner", "fills", "broker_accounts", ["account_id", "user_id"], ["id", "user_id"])
    op.add_column("orders", sa.Column("import_batch_id", sa.BigInteger(), nullable=True))
    op.alter_column("orders", "execution_id", existing_type=sa.BIGINT(), nullable=True)
    op.drop_index(op.f("ix_orders_order_id"), table_name="orders")
    op.create_index(
        op.f("ix_orders_import_batch_id"),
        "orders",
        ["import_batch_id"],
        unique=False,
        postgresql_where="import_batch_id IS NOT NULL",
    )
    op.create_index(op.f("ix_orders_order_id_account_id"), "orders", ["order_id", "account_id"], unique=False)
    op.drop_constraint(op.f("fk_orders_user_id_users"), "orders", type_="foreignkey")
    op.drop_constraint(op.f("fk_orders_account_id_broker_accounts"), "orders", type_="foreignkey")
    op.create_foreign_key("fk_orders_owner", "orders", "broker_accounts", ["account_id", "user_id"], ["id", "user_id"])
    op.add_column("paper_orders", sa.Column("import_batch_id", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_paper_orders_import_batch_id"),
        "paper_orders",
        ["import_batch_id"],
        unique=False,
        postgresql_where="import_batch_id IS NOT NULL",
    )
    op.add_column("positions", sa.Column("import_batch_id", sa.BigInteger(), nullable=True))
    op.create_index(
        op.f("ix_positions_import_batch_id"),
        "positions",
        ["import_batch_id"],
        unique=False,
        postgresql_where="import_batch_id IS NOT NULL",
    )
    op.drop_constraint(op.f("fk_positions_user_id_users"), "positions", type_="foreignkey")
    op.drop_constraint(op.f("fk_positions_account_id_broker_accounts"), "positions", type_="foreignkey")
    op.create_foreign_key(
        "fk_positions_owner", "positions", "broker_accounts", ["account_id", "user_id"], ["id", "user_id"]
    )
    op.add_column("reentries", sa.Column("import_batch_id", sa.BigInteger(), nullable=True))
    op.drop_constraint(op.f("fk_reentries_user_id_users"), "reentries", type_="foreignkey")
    op.drop_constraint(op.f("fk_reentries_account_id_broker_accounts"), "reentries", type_="foreignkey")
    op.create_foreign_key(
        "fk_reentries_owner", "reentries", "broker_accounts", ["account_id", "user_id"], ["id", "user_id"]
    )
    for table in ("import_batches", "import_records", "tracked_symbols"):
        op.execute(f"SELECT protect_rows('{table}'::regclass, 'user_id')")


def downgrade() -> None:
    op.drop_constraint("fk_reentries_owner", "reentries", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_reentries_account_id_broker_accounts"), "reentries", "broker_accounts", ["account_id"], ["id"]
    )
    op.create_foreign_key(op.f("fk_reentries_user_id_users"), "reentries", "users", ["user_id"], ["id"])
    op.drop_column("reentries", "import_batch_id")
    op.drop_constraint("fk_positions_owner", "positions", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_positions_account_id_broker_accounts"), "positions", "broker_accounts", ["account_id"], ["id"]
    )
    op.create_foreign_key(op.f("fk_positions_user_id_users"), "positions", "users", ["user_id"], ["id"])
    op.drop_index(
        op.f("ix_positions_import_batch_id"), table_name="positions", postgresql_where="import_batch_id IS NOT NULL"
    )
    op.drop_column("positions", "import_batch_id")
    op.drop_index(
        op.f("ix_paper_orders_import_batch_id"),
        table_name="paper_orders",
        postgresql_where="import_batch_id IS NOT NULL",
    )
    op.drop_column("paper_orders", "import_batch_id")
    op.drop_constraint("fk_orders_owner", "orders", type_="foreignkey")
    op.create_foreign_key(
        op.f("fk_orders_account_id_broker_accounts"), "orders", "broker_accounts", ["account_id"], ["id"]
    )
    op.create_foreign_key(op.f("fk_orders_user_id_users"), "orders", "users", ["user_id"], ["id"])
    op.drop_index(op.f("ix_orders_order_id_account_id"), table_name="orders")
    op.drop_index(
        op.f("ix_orders_import_batch_id"), table_name="orders", postgresql_where="import_batch_id IS NOT NULL"
    )
    op.create_index(op.f("ix_orders_order_id"), "orders", ["order_id"], unique=False)
    op.alter_column("orders", "execution_id", existing_type=sa.BIGINT(), nullable=False)
    op.drop_column("orders", "import_batch_id")
    op.drop_constraint("fk_fills_owner", "fills", type_="foreignkey")
    op.create_foreign_key(op.f("fk_fills_user_id_users"), "fills", "users", ["user_id"], ["id"])
    op.create_foreign_key(
        op.f("fk_fills_account_id_broker_accounts"), "fills", "broker_accounts", ["account_id"], ["id"]
    )
    op.drop_column("fills", "import_batch_id")
    op.drop_constraint(op.f("fk_cash_entries_import_batch_id_import_batches"), "cash_entries", type_="foreignkey")
    op.drop_index(
        op.f("ix_cash_entries_import_batch_id"),
        table_name="cash_entries",
        postgresql_where="import_batch_id IS NOT NULL",
    )
    op.drop_column("cash_entries", "import_batch_id")
    op.drop_constraint(op.f("uq_broker_accounts_id_user_id"), "broker_accounts", type_="unique")
    op.drop_index("uq_tracked_symbols_tracking", table_name="tracked_symbols")
    op.drop_index(op.f("ix_tracked_symbols_user_id"), table_name="tracked_symbols")
    op.drop_index(op.f("ix_tracked_symbols_import_batch_id"), table_name="tracked_symbols")
    op.drop_table("tracked_symbols")
    op.drop_index(op.f("ix_import_records_user_id"), table_name="import_records")
    op.drop_index(op.f("ix_import_records_batch_id_id"), table_name="import_records")
    op.drop_table("import_records")
    op.drop_index(op.f("ix_import_batches_user_id_id"), table_name="import_batches")
    op.drop_index(op.f("ix_import_batches_account_id_kind_sha256"), table_name="import_batches")
    op.drop_table("import_batches")
    op.drop_table("market_days")
