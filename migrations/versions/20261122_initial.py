"""The first schema: every table on the way of one execution, row-level security from the start.

Revision: 20261122_initial, after
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.row_security import FUNCTIONS, MARKET_NOW, PARTITIONS, PROTECT

# Table -> the column that names its user.
PROTECTED = {
    "broker_accounts": "user_id",
    "cash_entries": "user_id",
    "decisions": "user_id",
    "error_logs": "user_id",
    "execution_attempts": "user_id",
    "fills": "user_id",
    "order_events": "user_id",
    "orders": "user_id",
    "paper_books": "user_id",
    "paper_orders": "user_id",
    "positions": "user_id",
    "schedule_subscriptions": "user_id",
    "service_status": "user_id",
    "service_task_execution": "user_id",
    "user_trading_config": "user_id",
    "users": "id",
    "usersettings": "user_id",
}

revision = "20261122_initial"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SEQUENCE service_task_execution_id_seq AS bigint")
    op.create_table(
        "artifacts",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_artifacts")),
    )
    op.create_table(
        "bars",
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("open", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("high", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("low", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("close", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("volume", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "day", name=op.f("pk_bars")),
    )
    op.create_index(op.f("ix_bars_day"), "bars", ["day"], unique=False)
    op.create_table(
        "error_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("task_name", sa.String(length=64), nullable=True),
        sa.Column("execution_id", sa.BigInteger(), nullable=True),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_type", sa.String(length=128), nullable=False),
        sa.Column("error_message", sa.String(length=1024), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.Column("context", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("resolved", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.BigInteger(), nullable=True),
        sa.Column("resolution_notes", sa.String(length=512), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_error_logs")),
    )
    op.create_index(op.f("ix_error_logs_error_type"), "error_logs", ["error_type"], unique=False)
    op.create_index(
        op.f("ix_error_logs_user_id_occurred_at_resolved"),
        "error_logs",
        ["user_id", "occurred_at", "resolved"],
        unique=False,
    )
    op.create_table(
        "execution_attempts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("outcome IN ('failed', 'lost', 'interrupted')", name=op.f("ck_execution_attempts_outcome")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_execution_attempts")),
    )
    op.create_index(op.f("ix_execution_attempts_execution_id"), "execution_attempts", ["execution_id"], unique=False)
    op.create_index(op.f("ix_execution_attempts_user_id"), "execution_attempts", ["user_id"], unique=False)
    op.create_table(
        "market_calendars",
        sa.Column("exchange", sa.String(length=16), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("source", sa.String(length=512), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("exchange", name=op.f("pk_market_calendars")),
    )
    op.create_table(
        "market_clock",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default="false", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_market_clock_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_market_clock")),
    )
    op.create_table(
        "market_sessions",
        sa.Column("exchange", sa.String(length=16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closes_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.CheckConstraint("opens_at < closes_at", name=op.f("ck_market_sessions_hours")),
        sa.PrimaryKeyConstraint("exchange", "day", name=op.f("pk_market_sessions")),
    )
    op.create_table(
        "parameter_sets",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_parameter_sets")),
    )
    op.create_table(
        "price_days",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("bars", sa.Integer(), nullable=False),
        sa.Column("missing", sa.Integer(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("source", sa.String(length=512), nullable=False),
        sa.Column("loaded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_price_days")),
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("task_name", sa.String(length=64), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("condition", sa.String(length=64), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("firing_slot", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claimed_by", sa.String(length=64), nullable=True),
        sa.Column("claim_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "condition IN ('has_open_position', 'has_live_order', 'prices_missing')",
            name=op.f("ck_schedules_condition"),
        ),
        sa.CheckConstraint("scope IN ('shared', 'parameters', 'account')", name=op.f("ck_schedules_scope")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("name", name=op.f("uq_schedules_name")),
    )
    op.create_table(
        "service_task_execution",
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "id", sa.BigInteger(), server_default=sa.text("nextval('service_task_execution_id_seq')"), nullable=False
        ),
        sa.Column("task_name", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("subject", sa.String(), server_default="", nullable=False),
        sa.Column("schedule_id", sa.BigInteger(), nullable=True),
        sa.Column("queue", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("waiting_for", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("useful_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rings", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("executed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_seconds", sa.Double(), server_default="0", nullable=False),
        sa.Column("reason", sa.String(length=512), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('waiting', 'queued', 'running', 'retrying', 'success', 'failed', 'skipped', 'cancelled')",
            name=op.f("ck_service_task_execution_status"),
        ),
        sa.PrimaryKeyConstraint("scheduled_for", "id", name=op.f("pk_service_task_execution")),
        sa.UniqueConstraint(
            "task_name",
            "user_id",
            "account_id",
            "subject",
            "scheduled_for",
            name="uq_service_task_execution_identity",
            postgresql_nulls_not_distinct=True,
        ),
        postgresql_partition_by="RANGE (scheduled_for)",
    )
    op.create_index(
        "ix_service_task_execution_unfinished",
        "service_task_execution",
        ["status", "id"],
        unique=False,
        postgresql_where="status IN ('waiting', 'queued', 'running', 'retrying')",
    )
    op.create_index(
        "ix_service_task_execution_unrung",
        "service_task_execution",
        ["parent_id"],
        unique=False,
        postgresql_where="status IN ('queued', 'retrying') AND rung_at IS NULL",
    )
    op.create_index(
        "ix_service_task_execution_user_id",
        "service_task_execution",
        ["user_id", "task_name", "scheduled_for"],
        unique=False,
    )
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=True),
        sa.Column("password_hash", sa.String(), server_default="!", nullable=False),
        sa.Column("role", sa.String(length=16), server_default="user", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'user')", name=op.f("ck_users_role")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_email", "users", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "worker_processes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("queues", sa.String(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker_processes")),
    )
    op.create_table(
        "broker_accounts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("venue", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), server_default="active", nullable=False),
        sa.Column("cash", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("credentials_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("egress", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("mode IN ('paper', 'broker')", name=op.f("ck_broker_accounts_mode")),
        sa.CheckConstraint("status IN ('active', 'blocked')", name=op.f("ck_broker_accounts_status")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_broker_accounts_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_broker_accounts")),
        sa.UniqueConstraint("code", name=op.f("uq_broker_accounts_code")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_broker_accounts_user_id_name")),
    )
    op.create_table(
        "feature_snapshots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("parameter_hash", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("features", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("left_out", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("model_version", sa.String(length=16), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["parameter_hash"], ["parameter_sets.hash"], name=op.f("fk_feature_snapshots_parameter_hash_parameter_sets")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feature_snapshots")),
        sa.UniqueConstraint(
            "strategy",
            "parameter_hash",
            "day",
            "version",
            name=op.f("uq_feature_snapshots_strategy_parameter_hash_day_version"),
        ),
    )
    op.create_table(
        "ml_training_jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("started_by", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), server_default="pending", nullable=False),
        sa.Column("model_type", sa.String(length=64), nullable=False),
        sa.Column("algorithm", sa.String(length=64), nullable=False),
        sa.Column("training_data_path", sa.String(length=512), nullable=False),
        sa.Column("parameter_hash", sa.String(length=64), nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("activate", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("model_path", sa.String(length=512), nullable=True),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("error_message", sa.String(length=1024), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'running', 'completed', 'failed')", name=op.f("ck_ml_training_jobs_status")
        ),
        sa.ForeignKeyConstraint(
            ["parameter_hash"], ["parameter_sets.hash"], name=op.f("fk_ml_training_jobs_parameter_hash_parameter_sets")
        ),
        sa.ForeignKeyConstraint(["started_by"], ["users.id"], name=op.f("fk_ml_training_jobs_started_by_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_training_jobs")),
    )
    op.create_index(op.f("ix_ml_training_jobs_status"), "ml_training_jobs", ["status"], unique=False)
    op.create_table(
        "service_status",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("service_running", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("last_heartbeat", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_task_execution", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_error", sa.String(length=512), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_service_status_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_status")),
        sa.UniqueConstraint("user_id", name=op.f("uq_service_status_user_id")),
    )
    op.create_index(op.f("ix_service_status_service_running"), "service_status", ["service_running"], unique=False)
    op.create_table(
        "user_trading_config",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("strategy", sa.String(length=64), server_default="dip", nullable=False),
        sa.Column("parameter_hash", sa.String(length=64), nullable=False),
        sa.Column("rsi_period", sa.Integer(), nullable=False),
        sa.Column("rsi_oversold", sa.Double(), nullable=False),
        sa.Column("rsi_extreme_oversold", sa.Double(), nullable=False),
        sa.Column("user_capital", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("max_order_value", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("paper_trading_initial_capital", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("max_portfolio_size", sa.Integer(), nullable=False),
        sa.Column("max_position_volume_ratio", sa.Double(), nullable=False),
        sa.Column("min_absolute_avg_volume", sa.Integer(), nullable=False),
        sa.Column("chart_quality_enabled", sa.Boolean(), nullable=False),
        sa.Column("chart_quality_min_score", sa.Double(), nullable=False),
        sa.Column("chart_quality_max_gap_frequency", sa.Double(), nullable=False),
        sa.Column("chart_quality_min_daily_range_pct", sa.Double(), nullable=False),
        sa.Column("chart_quality_max_extreme_candle_frequency", sa.Double(), nullable=False),
        sa.Column("exit_on_ema9_or_rsi50", sa.Boolean(), nullable=False),
        sa.Column("ml_enabled", sa.Boolean(), nullable=False),
        sa.Column("ml_model_version", sa.String(length=16), nullable=True),
        sa.Column("ml_confidence_threshold", sa.Double(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "chart_quality_max_extreme_candle_frequency BETWEEN 0 AND 100",
            name=op.f("ck_user_trading_config_chart_quality_max_extreme_candle_frequency"),
        ),
        sa.CheckConstraint(
            "chart_quality_max_gap_frequency BETWEEN 0 AND 100",
            name=op.f("ck_user_trading_config_chart_quality_max_gap_frequency"),
        ),
        sa.CheckConstraint(
            "chart_quality_min_daily_range_pct BETWEEN 0 AND 10",
            name=op.f("ck_user_trading_config_chart_quality_min_daily_range_pct"),
        ),
        sa.CheckConstraint(
            "chart_quality_min_score BETWEEN 0 AND 100", name=op.f("ck_user_trading_config_chart_quality_min_score")
        ),
        sa.CheckConstraint(
            "max_order_value BETWEEN 1 AND 100000000", name=op.f("ck_user_trading_config_max_order_value")
        ),
        sa.CheckConstraint(
            "max_portfolio_size BETWEEN 1 AND 20", name=op.f("ck_user_trading_config_max_portfolio_size")
        ),
        sa.CheckConstraint(
            "max_position_volume_ratio BETWEEN 0 AND 1", name=op.f("ck_user_trading_config_max_position_volume_ratio")
        ),
        sa.CheckConstraint(
            "min_absolute_avg_volume BETWEEN 0 AND 1000000000",
            name=op.f("ck_user_trading_config_min_absolute_avg_volume"),
        ),
        sa.CheckConstraint(
            "ml_confidence_threshold BETWEEN 0 AND 1", name=op.f("ck_user_trading_config_ml_confidence_threshold")
        ),
        sa.CheckConstraint(
            "paper_trading_initial_capital BETWEEN 1 AND 1000000000",
            name=op.f("ck_user_trading_config_paper_trading_initial_capital"),
        ),
        sa.CheckConstraint("rsi_extreme_oversold < rsi_oversold", name=op.f("ck_user_trading_config_oversold_order")),
        sa.CheckConstraint(
            "rsi_extreme_oversold BETWEEN 0 AND 30", name=op.f("ck_user_trading_config_rsi_extreme_oversold")
        ),
        sa.CheckConstraint("rsi_oversold BETWEEN 0 AND 50", name=op.f("ck_user_trading_config_rsi_oversold")),
        sa.CheckConstraint("rsi_period BETWEEN 2 AND 50", name=op.f("ck_user_trading_config_rsi_period")),
        sa.CheckConstraint("user_capital BETWEEN 1 AND 10000000", name=op.f("ck_user_trading_config_user_capital")),
        sa.ForeignKeyConstraint(
            ["parameter_hash"],
            ["parameter_sets.hash"],
            name=op.f("fk_user_trading_config_parameter_hash_parameter_sets"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_trading_config_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_trading_config")),
        sa.UniqueConstraint("user_id", name=op.f("uq_user_trading_config_user_id")),
    )
    op.create_index(
        op.f("ix_user_trading_config_parameter_hash"), "user_trading_config", ["parameter_hash"], unique=False
    )
    op.create_table(
        "usersettings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("trade_mode", sa.String(length=16), server_default="paper", nullable=False),
        sa.Column("broker", sa.String(length=64), nullable=True),
        sa.Column("broker_status", sa.String(length=64), nullable=True),
        sa.Column("broker_creds_encrypted", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("trade_mode IN ('paper', 'broker')", name=op.f("ck_usersettings_trade_mode")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_usersettings_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_usersettings")),
        sa.UniqueConstraint("user_id", name=op.f("uq_usersettings_user_id")),
    )
    op.create_table(
        "cash_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("amount", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("reference", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('deposit', 'buy', 'sell', 'charges')", name=op.f("ck_cash_entries_kind")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_cash_entries_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_cash_entries_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cash_entries")),
        sa.UniqueConstraint("account_id", "kind", "reference", name=op.f("uq_cash_entries_account_id_kind_reference")),
    )
    op.create_index(op.f("ix_cash_entries_user_id"), "cash_entries", ["user_id"], unique=False)
    op.create_table(
        "decisions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("task_name", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("leg", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=16), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("verdict IN ('approved', 'refused')", name=op.f("ck_decisions_verdict")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_decisions_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_decisions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint(
            "account_id",
            "task_name",
            "day",
            "symbol",
            "leg",
            name=op.f("uq_decisions_account_id_task_name_day_symbol_leg"),
        ),
    )
    op.create_index(op.f("ix_decisions_user_id_day"), "decisions", ["user_id", "day"], unique=False)
    op.create_table(
        "ml_models",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("model_type", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("model_path", sa.String(length=512), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("features", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("library_version", sa.String(length=64), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("training_job_id", sa.BigInteger(), nullable=False),
        sa.Column("training_data_through_date", sa.Date(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["users.id"], name=op.f("fk_ml_models_created_by_users")),
        sa.ForeignKeyConstraint(["sha256"], ["artifacts.sha256"], name=op.f("fk_ml_models_sha256_artifacts")),
        sa.ForeignKeyConstraint(
            ["training_job_id"], ["ml_training_jobs.id"], name=op.f("fk_ml_models_training_job_id_ml_training_jobs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ml_models")),
        sa.UniqueConstraint("model_type", "version", name=op.f("uq_ml_models_model_type_version")),
        sa.UniqueConstraint("training_job_id", name=op.f("uq_ml_models_training_job_id")),
    )
    op.create_index(op.f("ix_ml_models_is_active"), "ml_models", ["is_active"], unique=False)
    op.create_index(op.f("ix_ml_models_model_type"), "ml_models", ["model_type"], unique=False)
    op.create_index("uq_ml_models_active", "ml_models", ["model_type"], unique=True, postgresql_where="is_active")
    op.create_table(
        "orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=16), nullable=False),
        sa.Column("order_type", sa.String(length=16), nullable=False),
        sa.Column("variety", sa.String(length=16), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("intent_key", sa.String(), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("leg", sa.String(length=64), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.Column("reference_price", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("reserved", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="1", nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("session_day", sa.Date(), nullable=False),
        sa.Column("broker_order_id", sa.String(length=64), nullable=True),
        sa.Column("broker_word", sa.String(length=64), nullable=True),
        sa.Column("filled_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("avg_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("change", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("reason", sa.String(length=512), nullable=True),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=16), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("order_type IN ('market', 'limit')", name=op.f("ck_orders_order_type")),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_orders_side")),
        sa.CheckConstraint(
            "status IN ('acked', 'cancelled', 'cancelling', 'denied', 'expired', 'filled', 'not_placed', 'open', 'parked', 'partial', 'planned', 'rejected', 'sending', 'unknown')",
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint("filled_quantity BETWEEN 0 AND quantity", name=op.f("ck_orders_filled")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_orders_quantity")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_orders_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_orders_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("account_id", "broker_order_id", name=op.f("uq_orders_account_id_broker_order_id")),
        sa.UniqueConstraint("account_id", "intent_key", name=op.f("uq_orders_account_id_intent_key")),
    )
    op.create_index(op.f("ix_orders_account_id"), "orders", ["account_id"], unique=False)
    op.create_index(
        "ix_orders_user_status_symbol_time", "orders", ["user_id", "status", "symbol", "placed_at"], unique=False
    )
    op.create_index(
        "uq_orders_live_side",
        "orders",
        ["account_id", "symbol", "side"],
        unique=True,
        postgresql_where="status IN ('acked', 'cancelling', 'open', 'parked', 'partial', 'planned', 'sending', 'unknown')",
    )
    op.create_table(
        "paper_books",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("cash", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_paper_books_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_paper_books_user_id_users")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_paper_books")),
    )
    op.create_index(op.f("ix_paper_books_user_id"), "paper_books", ["user_id"], unique=False)
    op.create_table(
        "positions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("entry_quantity", sa.Integer(), nullable=False),
        sa.Column("avg_price", sa.Numeric(precision=18, scale=8), nullable=False),
        sa.Column("realized_pnl", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("charges", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("exit_reason", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(closed_at IS NULL) = (quantity > 0)", name=op.f("ck_positions_closed")),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_positions_quantity")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_positions_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_positions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_positions")),
    )
    op.create_index(op.f("ix_positions_user_id_closed_at"), "positions", ["user_id", "closed_at"], unique=False)
    op.create_index(
        "uq_positions_open", "positions", ["account_id", "symbol"], unique=True, postgresql_where="closed_at IS NULL"
    )
    op.create_table(
        "schedule_subscriptions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("schedule_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_schedule_subscriptions_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("fk_schedule_subscriptions_schedule_id_schedules")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_schedule_subscriptions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_subscriptions")),
        sa.UniqueConstraint("schedule_id", "account_id", name=op.f("uq_schedule_subscriptions_schedule_id_account_id")),
    )
    op.create_index(
        op.f("ix_schedule_subscriptions_schedule_id_id"), "schedule_subscriptions", ["schedule_id", "id"], unique=False
    )
    op.create_index(op.f("ix_schedule_subscriptions_user_id"), "schedule_subscriptions", ["user_id"], unique=False)
    op.create_table(
        "signals",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("parameter_hash", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("last_close", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("features", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("ml_confidence", sa.Double(), nullable=True),
        sa.Column("ml_model_version", sa.String(length=16), nullable=True),
        sa.Column("status", sa.String(length=16), server_default="active", nullable=False),
        sa.Column("ts", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'expired', 'traded', 'rejected', 'failed')", name=op.f("ck_signals_status")
        ),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["feature_snapshots.id"], name=op.f("fk_signals_snapshot_id_feature_snapshots")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signals")),
        sa.UniqueConstraint(
            "strategy", "parameter_hash", "day", "symbol", name=op.f("uq_signals_strategy_parameter_hash_day_symbol")
        ),
    )
    op.create_index(op.f("ix_signals_day"), "signals", ["day"], unique=False)
    op.create_index(op.f("ix_signals_snapshot_id"), "signals", ["snapshot_id"], unique=False)
    op.create_table(
        "fills",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("broker_fill_id", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=16), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price", sa.Numeric(precision=18, scale=4), nullable=False),
        sa.Column("charges", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_fills_quantity")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_fills_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_fills_order_id_orders")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_fills_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fills")),
        sa.UniqueConstraint("account_id", "broker_fill_id", name=op.f("uq_fills_account_id_broker_fill_id")),
    )
    op.create_index(op.f("ix_fills_order_id_filled_at"), "fills", ["order_id", "filled_at"], unique=False)
    op.create_index(op.f("ix_fills_user_id_filled_at"), "fills", ["user_id", "filled_at"], unique=False)
    op.create_table(
        "order_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("from_status", sa.String(length=16), nullable=True),
        sa.Column("to_status", sa.String(length=16), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_events_order_id_orders")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_order_events_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_events")),
    )
    op.create_index(op.f("ix_order_events_order_id_id"), "order_events", ["order_id", "id"], unique=False)
    op.create_index(op.f("ix_order_events_user_id"), "order_events", ["user_id"], unique=False)
    op.create_table(
        "paper_orders",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("side", sa.String(length=16), nullable=False),
        sa.Column("order_type", sa.String(length=16), nullable=False),
        sa.Column("limit_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("word", sa.String(length=16), nullable=False),
        sa.Column("session_day", sa.Date(), nullable=False),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("filled_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("fill_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(length=512), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "word IN ('parked', 'open', 'complete', 'cancelled', 'rejected', 'expired')",
            name=op.f("ck_paper_orders_word"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"], ["paper_books.account_id"], name=op.f("fk_paper_orders_account_id_paper_books")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_paper_orders_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_paper_orders")),
        sa.UniqueConstraint("account_id", "tag", name=op.f("uq_paper_orders_account_id_tag")),
    )
    op.create_index(
        op.f("ix_paper_orders_account_id_session_day"), "paper_orders", ["account_id", "session_day"], unique=False
    )
    op.create_index(
        "ix_paper_orders_resting",
        "paper_orders",
        ["account_id"],
        unique=False,
        postgresql_where="word IN ('parked', 'open')",
    )
    op.create_index(op.f("ix_paper_orders_user_id"), "paper_orders", ["user_id"], unique=False)

    for function in (MARKET_NOW, PROTECT, PARTITIONS):
        op.execute(function)
    for table, owner in PROTECTED.items():
        op.execute(f"SELECT protect_rows('{table}'::regclass, '{owner}')")


def downgrade() -> None:
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_index(op.f("ix_paper_orders_user_id"), table_name="paper_orders")
    op.drop_index("ix_paper_orders_resting", table_name="paper_orders", postgresql_where="word IN ('parked', 'open')")
    op.drop_index(op.f("ix_paper_orders_account_id_session_day"), table_name="paper_orders")
    op.drop_table("paper_orders")
    op.drop_index(op.f("ix_order_events_user_id"), table_name="order_events")
    op.drop_index(op.f("ix_order_events_order_id_id"), table_name="order_events")
    op.drop_table("order_events")
    op.drop_index(op.f("ix_fills_user_id_filled_at"), table_name="fills")
    op.drop_index(op.f("ix_fills_order_id_filled_at"), table_name="fills")
    op.drop_table("fills")
    op.drop_index(op.f("ix_signals_snapshot_id"), table_name="signals")
    op.drop_index(op.f("ix_signals_day"), table_name="signals")
    op.drop_table("signals")
    op.drop_index(op.f("ix_schedule_subscriptions_user_id"), table_name="schedule_subscriptions")
    op.drop_index(op.f("ix_schedule_subscriptions_schedule_id_id"), table_name="schedule_subscriptions")
    op.drop_table("schedule_subscriptions")
    op.drop_index("uq_positions_open", table_name="positions", postgresql_where="closed_at IS NULL")
    op.drop_index(op.f("ix_positions_user_id_closed_at"), table_name="positions")
    op.drop_table("positions")
    op.drop_index(op.f("ix_paper_books_user_id"), table_name="paper_books")
    op.drop_table("paper_books")
    op.drop_index(
        "uq_orders_live_side",
        table_name="orders",
        postgresql_where="status IN ('acked', 'cancelling', 'open', 'parked', 'partial', 'planned', 'sending', 'unknown')",
    )
    op.drop_index("ix_orders_user_status_symbol_time", table_name="orders")
    op.drop_index(op.f("ix_orders_account_id"), table_name="orders")
    op.drop_table("orders")
    op.drop_index("uq_ml_models_active", table_name="ml_models", postgresql_where="is_active")
    op.drop_index(op.f("ix_ml_models_model_type"), table_name="ml_models")
    op.drop_index(op.f("ix_ml_models_is_active"), table_name="ml_models")
    op.drop_table("ml_models")
    op.drop_index(op.f("ix_decisions_user_id_day"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_index(op.f("ix_cash_entries_user_id"), table_name="cash_entries")
    op.drop_table("cash_entries")
    op.drop_table("usersettings")
    op.drop_index(op.f("ix_user_trading_config_parameter_hash"), table_name="user_trading_config")
    op.drop_table("user_trading_config")
    op.drop_index(op.f("ix_service_status_service_running"), table_name="service_status")
    op.drop_table("service_status")
    op.drop_index(op.f("ix_ml_training_jobs_status"), table_name="ml_training_jobs")
    op.drop_table("ml_training_jobs")
    op.drop_table("feature_snapshots")
    op.drop_table("broker_accounts")
    op.drop_table("worker_processes")
    op.drop_index("uq_users_email", table_name="users")
    op.drop_table("users")
    op.drop_index("ix_service_task_execution_user_id", table_name="service_task_execution")
    op.drop_index(
        "ix_service_task_execution_unrung",
        table_name="service_task_execution",
        postgresql_where="status IN ('queued', 'retrying') AND rung_at IS NULL",
    )
    op.drop_index(
        "ix_service_task_execution_unfinished",
        table_name="service_task_execution",
        postgresql_where="status IN ('waiting', 'queued', 'running', 'retrying')",
    )
    op.drop_table("service_task_execution")
    op.drop_table("schedules")
    op.drop_table("price_days")
    op.drop_table("parameter_sets")
    op.drop_table("market_sessions")
    op.drop_table("market_clock")
    op.drop_table("market_calendars")
    op.drop_index(op.f("ix_execution_attempts_user_id"), table_name="execution_attempts")
    op.drop_index(op.f("ix_execution_attempts_execution_id"), table_name="execution_attempts")
    op.drop_table("execution_attempts")
    op.drop_index(op.f("ix_error_logs_user_id_occurred_at_resolved"), table_name="error_logs")
    op.drop_index(op.f("ix_error_logs_error_type"), table_name="error_logs")
    op.drop_table("error_logs")
    op.drop_index(op.f("ix_bars_day"), table_name="bars")
    op.drop_table("bars")
    op.drop_table("artifacts")
    op.execute("DROP SEQUENCE service_task_execution_id_seq")
