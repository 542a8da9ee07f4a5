"""The first schema: every table, row-level security and partitions by time from the start.

Revision: 20261122_initial, after
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.row_security import DROP_PARTITIONS, FUNCTIONS, MARKET_NOW, PARTITIONS, PROTECT

# Table -> the column that names its user.
PROTECTED = {
    "activity": "user_id",
    "audit_logs": "user_id",
    "broker_accounts": "user_id",
    "cash_entries": "user_id",
    "decisions": "user_id",
    "error_logs": "user_id",
    "execution_attempts": "user_id",
    "execution_counts": "user_id",
    "fills": "user_id",
    "notifications": "user_id",
    "order_events": "user_id",
    "orders": "user_id",
    "paper_books": "user_id",
    "paper_orders": "user_id",
    "pnl_calculation_audit": "user_id",
    "pnldaily": "user_id",
    "portfolio_snapshots": "user_id",
    "positions": "user_id",
    "reentries": "user_id",
    "schedule_subscriptions": "user_id",
    "service_logs": "user_id",
    "service_status": "user_id",
    "service_task_execution": "user_id",
    "user_notification_preferences": "user_id",
    "user_signal_status": "user_id",
    "user_trading_config": "user_id",
    "user_trading_config_versions": "user_id",
    "users": "id",
    "usersettings": "user_id",
}

revision = "20261122_initial"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SEQUENCE decisions_id_seq AS bigint")
    op.execute("CREATE SEQUENCE service_logs_id_seq AS bigint")
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
        "decisions",
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('decisions_id_seq')"), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("execution_id", sa.BigInteger(), nullable=False),
        sa.Column("task_name", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("leg", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("facts", postgresql.JSONB(), nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=16), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("verdict IN ('approved', 'refused')", name=op.f("ck_decisions_verdict")),
        sa.PrimaryKeyConstraint("day", "id", name=op.f("pk_decisions")),
        sa.UniqueConstraint(
            "account_id",
            "task_name",
            "day",
            "symbol",
            "leg",
            name=op.f("uq_decisions_account_id_task_name_day_symbol_leg"),
        ),
        postgresql_partition_by="RANGE (day)",
    )
    op.create_index(op.f("ix_decisions_user_id_day"), "decisions", ["user_id", "day"], unique=False)
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
        "execution_counts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("task_name", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("executions", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("executions > 0", name=op.f("ck_execution_counts_executions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_execution_counts")),
        sa.UniqueConstraint(
            "day",
            "task_name",
            "user_id",
            "account_id",
            "status",
            name=op.f("uq_execution_counts_day_task_name_user_id_account_id_status"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_index(op.f("ix_execution_counts_user_id_day"), "execution_counts", ["user_id", "day"], unique=False)
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
        sa.Column("speed", sa.Double(), nullable=True),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
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
        sa.Column("parameters", postgresql.JSONB(), nullable=False),
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
        "scheduler_processes",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_scheduler_processes")),
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("task_name", sa.String(length=64), nullable=False),
        sa.Column("trigger", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=512), nullable=True),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("condition", sa.String(length=64), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("next_due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("firing_slot", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("claimed_by", sa.String(length=64), nullable=True),
        sa.Column("claim_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_by", sa.String(length=64), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "condition IN ('has_open_position', 'has_live_order', 'has_failed_order', 'prices_missing')",
            name=op.f("ck_schedules_condition"),
        ),
        sa.CheckConstraint("scope IN ('shared', 'parameters', 'account')", name=op.f("ck_schedules_scope")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedules")),
        sa.UniqueConstraint("name", name=op.f("uq_schedules_name")),
    )
    op.create_table(
        "service_logs",
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("id", sa.BigInteger(), server_default=sa.text("nextval('service_logs_id_seq')"), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("module", sa.String(length=128), nullable=False),
        sa.Column("message", sa.String(length=1024), nullable=False),
        sa.Column("task_name", sa.String(length=64), nullable=True),
        sa.Column("execution_id", sa.BigInteger(), nullable=True),
        sa.Column("context", postgresql.JSONB(), nullable=True),
        sa.CheckConstraint(
            "level IN ('DEBUG', 'INFO', 'WARNING', 'ERROR', 'CRITICAL')", name=op.f("ck_service_logs_level")
        ),
        sa.PrimaryKeyConstraint("timestamp", "id", name=op.f("pk_service_logs")),
        postgresql_partition_by="RANGE (timestamp)",
    )
    op.create_index(op.f("ix_service_logs_execution_id"), "service_logs", ["execution_id"], unique=False)
    op.create_index(
        op.f("ix_service_logs_timestamp"),
        "service_logs",
        ["timestamp"],
        unique=False,
        postgresql_where="level IN ('WARNING', 'ERROR', 'CRITICAL')",
    )
    op.create_index(
        op.f("ix_service_logs_user_id_timestamp_level"), "service_logs", ["user_id", "timestamp", "level"], unique=False
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
        sa.Column("losses", sa.Integer(), server_default="0", nullable=False),
        sa.Column("config_version", sa.Integer(), nullable=True),
        sa.Column("worker", sa.String(), nullable=True),
        sa.Column("waiting_for", postgresql.JSONB(), nullable=True),
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
        sa.Column("details", postgresql.JSONB(), nullable=True),
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
        "ix_service_task_execution_id",
        "service_task_execution",
        ["id"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"autosummarize": True},
    )
    op.create_index(
        "ix_service_task_execution_unfinished",
        "service_task_execution",
        ["status", "id"],
        unique=False,
        postgresql_where="status IN ('waiting', 'queued', 'running', 'retrying')",
    )
    op.create_index(
        "ix_service_task_execution_failed",
        "service_task_execution",
        ["status", "scheduled_for"],
        unique=False,
        postgresql_where="status IN ('failed', 'cancelled')",
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
        sa.Column("email", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("password_hash", sa.String(length=255), server_default="!", nullable=False),
        sa.Column("role", sa.String(length=16), server_default="user", nullable=False),
        sa.Column("is_active", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("mobile_number", sa.String(length=15), nullable=True),
        sa.Column("email_verified_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verification_token_hash", sa.String(length=64), nullable=True),
        sa.Column("verification_token_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reset_token_hash", sa.String(length=64), nullable=True),
        sa.Column("reset_token_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("token_version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("must_change_password", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("mfa_enabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("mfa_secret_encrypted", sa.LargeBinary(), nullable=True),
        sa.Column("mfa_backup_codes_hash", postgresql.JSONB(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
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
        "activity",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("ref_id", sa.String(length=64), nullable=True),
        sa.Column("details_json", postgresql.JSONB(), nullable=True),
        sa.Column("ts", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_activity_user_id_users"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_activity")),
    )
    op.create_index(op.f("ix_activity_type_ref_id"), "activity", ["type", "ref_id"], unique=False)
    op.create_index(op.f("ix_activity_user_id_id"), "activity", ["user_id", "id"], unique=False)
    op.create_index(op.f("ix_activity_user_id_ts"), "activity", ["user_id", "ts"], unique=False)
    op.create_table(
        "audit_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("resource_type", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.BigInteger(), nullable=True),
        sa.Column("changes", postgresql.JSONB(), nullable=True),
        sa.Column("ip_address", sa.String(length=45), nullable=True),
        sa.Column("user_agent", sa.String(length=512), nullable=True),
        sa.Column("timestamp", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_audit_logs_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_logs")),
    )
    op.create_index(op.f("ix_audit_logs_action"), "audit_logs", ["action"], unique=False)
    op.create_index(
        op.f("ix_audit_logs_resource_type_resource_id"), "audit_logs", ["resource_type", "resource_id"], unique=False
    )
    op.create_index(op.f("ix_audit_logs_timestamp"), "audit_logs", ["timestamp"], unique=False)
    op.create_index(
        op.f("ix_audit_logs_user_id_timestamp_resource_type"),
        "audit_logs",
        ["user_id", "timestamp", "resource_type"],
        unique=False,
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
        "error_logs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("task_name", sa.String(length=64), nullable=True),
        sa.Column("execution_id", sa.BigInteger(), nullable=True),
        sa.Column("scheduled_for", sa.DateTime(timezone=True), nullable=True),
        sa.Column("config_version", sa.Integer(), nullable=True),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("error_type", sa.String(length=128), nullable=False),
        sa.Column("error_message", sa.String(length=1024), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=True),
        sa.Column("context", postgresql.JSONB(), nullable=True),
        sa.Column("resolved", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_by", sa.BigInteger(), nullable=True),
        sa.Column("resolution_notes", sa.String(length=512), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["resolved_by"], ["users.id"], name=op.f("fk_error_logs_resolved_by_users")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_error_logs_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_error_logs")),
    )
    op.create_index(op.f("ix_error_logs_context"), "error_logs", ["context"], unique=False, postgresql_using="gin")
    op.create_index(op.f("ix_error_logs_error_type"), "error_logs", ["error_type"], unique=False)
    op.create_index(
        op.f("ix_error_logs_fingerprint_occurred_at"), "error_logs", ["fingerprint", "occurred_at"], unique=False
    )
    op.create_index(
        op.f("ix_error_logs_occurred_at"), "error_logs", ["occurred_at"], unique=False, postgresql_where="NOT resolved"
    )
    op.create_index(
        op.f("ix_error_logs_resolved_at"), "error_logs", ["resolved_at"], unique=False, postgresql_where="resolved"
    )
    op.create_index(op.f("ix_error_logs_task_name_id"), "error_logs", ["task_name", "id"], unique=False)
    op.create_index(
        op.f("ix_error_logs_user_id_occurred_at_resolved"),
        "error_logs",
        ["user_id", "occurred_at", "resolved"],
        unique=False,
    )
    op.create_table(
        "feature_snapshots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("parameter_hash", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("features", postgresql.JSONB(), nullable=False),
        sa.Column("left_out", postgresql.JSONB(), nullable=False),
        sa.Column("model_version", sa.String(length=16), nullable=True),
        sa.Column("price_model_version", sa.String(length=16), nullable=True),
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
        sa.Column("features", postgresql.JSONB(), nullable=True),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("activate", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("model_path", sa.String(length=512), nullable=True),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("error_message", sa.String(length=1024), nullable=True),
        sa.Column("logs", sa.Text(), nullable=True),
        sa.Column("hyperparameters", postgresql.JSONB(), nullable=True),
        sa.Column("notes", sa.String(length=512), nullable=True),
        sa.Column("training_run_end_date", sa.Date(), nullable=True),
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
        "notifications",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("title", sa.String(length=255), nullable=False),
        sa.Column("message", sa.String(length=1024), nullable=False),
        sa.Column("dedupe_key", sa.String(length=128), nullable=False),
        sa.Column("read", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("telegram_sent", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("email_sent", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("in_app_delivered", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("level IN ('info', 'warning', 'error', 'critical')", name=op.f("ck_notifications_level")),
        sa.CheckConstraint("type IN ('service', 'trading', 'system', 'error')", name=op.f("ck_notifications_type")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_notifications_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("user_id", "dedupe_key", name=op.f("uq_notifications_user_id_dedupe_key")),
    )
    op.create_index(op.f("ix_notifications_created_at"), "notifications", ["created_at"], unique=False)
    op.create_index(
        op.f("ix_notifications_read_at"), "notifications", ["read_at"], unique=False, postgresql_where="read"
    )
    op.create_index(op.f("ix_notifications_type"), "notifications", ["type"], unique=False)
    op.create_index(op.f("ix_notifications_user_id_id"), "notifications", ["user_id", "id"], unique=False)
    op.create_index(
        op.f("ix_notifications_user_id_read_created_at"),
        "notifications",
        ["user_id", "read", "created_at"],
        unique=False,
    )
    op.create_table(
        "pnl_calculation_audit",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("calculation_type", sa.String(length=32), nullable=False),
        sa.Column("start_date", sa.Date(), nullable=True),
        sa.Column("end_date", sa.Date(), nullable=True),
        sa.Column("positions_processed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("orders_processed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pnl_records_created", sa.Integer(), server_default="0", nullable=False),
        sa.Column("pnl_records_updated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("duration_seconds", sa.Double(), server_default="0", nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error_message", sa.String(length=1024), nullable=True),
        sa.Column("triggered_by", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "calculation_type IN ('on_demand', 'scheduled', 'backfill')",
            name=op.f("ck_pnl_calculation_audit_calculation_type"),
        ),
        sa.CheckConstraint("status IN ('success', 'failed', 'partial')", name=op.f("ck_pnl_calculation_audit_status")),
        sa.CheckConstraint(
            "triggered_by IN ('user', 'system', 'scheduled')", name=op.f("ck_pnl_calculation_audit_triggered_by")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_pnl_calculation_audit_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pnl_calculation_audit")),
    )
    op.create_index(
        op.f("ix_pnl_calculation_audit_user_id_created_at"),
        "pnl_calculation_audit",
        ["user_id", "created_at"],
        unique=False,
    )
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
        "user_notification_preferences",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("telegram_enabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("telegram_chat_id", sa.String(length=64), nullable=True),
        sa.Column("telegram_bot_token", sa.String(length=128), nullable=True),
        sa.Column("email_enabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("email_address", sa.String(length=255), nullable=True),
        sa.Column("in_app_enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_service_events", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_trading_events", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_system_events", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_errors", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("quiet_hours_start", sa.Time(), nullable=True),
        sa.Column("quiet_hours_end", sa.Time(), nullable=True),
        sa.Column("notify_order_placed", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_order_rejected", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_order_executed", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_order_cancelled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_order_modified", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_retry_queue_added", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_retry_queue_updated", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_retry_queue_removed", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_retry_queue_retried", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_partial_fill", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_balance_shortfall", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_system_errors", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("notify_system_warnings", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("notify_system_info", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("notify_service_started", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("notify_service_stopped", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("notify_service_execution_completed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_notification_preferences_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_notification_preferences")),
        sa.UniqueConstraint("user_id", name=op.f("uq_user_notification_preferences_user_id")),
    )
    op.create_table(
        "user_trading_config",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        sa.Column("strategy", sa.String(length=64), server_default="dip", nullable=False),
        sa.Column("parameter_hash", sa.String(length=64), nullable=False),
        sa.Column("rsi_period", sa.Integer(), server_default="10", nullable=False),
        sa.Column("rsi_oversold", sa.Double(), server_default="30.0", nullable=False),
        sa.Column("rsi_extreme_oversold", sa.Double(), server_default="20.0", nullable=False),
        sa.Column("rsi_near_oversold", sa.Double(), server_default="40.0", nullable=False),
        sa.Column("user_capital", sa.Numeric(precision=14, scale=2), server_default="200000", nullable=False),
        sa.Column("max_order_value", sa.Numeric(precision=14, scale=2), server_default="500000", nullable=False),
        sa.Column(
            "paper_trading_initial_capital", sa.Numeric(precision=14, scale=2), server_default="1000000", nullable=False
        ),
        sa.Column("max_portfolio_size", sa.Integer(), server_default="6", nullable=False),
        sa.Column("max_position_volume_ratio", sa.Double(), server_default="0.1", nullable=False),
        sa.Column("min_absolute_avg_volume", sa.Integer(), server_default="10000", nullable=False),
        sa.Column("chart_quality_enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("chart_quality_min_score", sa.Double(), server_default="50.0", nullable=False),
        sa.Column("chart_quality_max_gap_frequency", sa.Double(), server_default="25.0", nullable=False),
        sa.Column("chart_quality_min_daily_range_pct", sa.Double(), server_default="1.0", nullable=False),
        sa.Column("chart_quality_max_extreme_candle_frequency", sa.Double(), server_default="20.0", nullable=False),
        sa.Column("default_stop_loss_pct", sa.Double(), nullable=True),
        sa.Column("tight_stop_loss_pct", sa.Double(), nullable=True),
        sa.Column("min_stop_loss_pct", sa.Double(), nullable=True),
        sa.Column("default_target_pct", sa.Double(), server_default="0.1", nullable=False),
        sa.Column("strong_buy_target_pct", sa.Double(), server_default="0.12", nullable=False),
        sa.Column("excellent_target_pct", sa.Double(), server_default="0.15", nullable=False),
        sa.Column("strong_buy_risk_reward", sa.Double(), server_default="3.0", nullable=False),
        sa.Column("buy_risk_reward", sa.Double(), server_default="2.5", nullable=False),
        sa.Column("excellent_risk_reward", sa.Double(), server_default="3.5", nullable=False),
        sa.Column("default_exchange", sa.String(length=16), server_default="NSE", nullable=False),
        sa.Column("default_product", sa.String(length=16), server_default="CNC", nullable=False),
        sa.Column("default_order_type", sa.String(length=16), server_default="MARKET", nullable=False),
        sa.Column("default_variety", sa.String(length=16), server_default="AMO", nullable=False),
        sa.Column("default_validity", sa.String(length=16), server_default="DAY", nullable=False),
        sa.Column("allow_duplicate_recommendations_same_day", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("exit_on_ema9_or_rsi50", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("min_combined_score", sa.Integer(), server_default="25", nullable=False),
        sa.Column("enable_premarket_amo_adjustment", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("news_sentiment_enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("news_sentiment_lookback_days", sa.Integer(), server_default="30", nullable=False),
        sa.Column("news_sentiment_min_articles", sa.Integer(), server_default="2", nullable=False),
        sa.Column("news_sentiment_pos_threshold", sa.Double(), server_default="0.25", nullable=False),
        sa.Column("news_sentiment_neg_threshold", sa.Double(), server_default="-0.25", nullable=False),
        sa.Column("ml_enabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("ml_model_version", sa.String(length=16), nullable=True),
        sa.Column("ml_confidence_threshold", sa.Double(), server_default="0.5", nullable=False),
        sa.Column("ml_combine_with_rules", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("ml_price_enabled", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("task_schedule", postgresql.JSONB(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("default_exchange IN ('NSE', 'BSE')", name=op.f("ck_user_trading_config_default_exchange")),
        sa.CheckConstraint(
            "default_order_type IN ('MARKET', 'LIMIT')", name=op.f("ck_user_trading_config_default_order_type")
        ),
        sa.CheckConstraint(
            "default_product IN ('CNC', 'MIS', 'NRML')", name=op.f("ck_user_trading_config_default_product")
        ),
        sa.CheckConstraint(
            "default_validity IN ('DAY', 'IOC', 'GTC')", name=op.f("ck_user_trading_config_default_validity")
        ),
        sa.CheckConstraint(
            "default_variety IN ('AMO', 'REGULAR')", name=op.f("ck_user_trading_config_default_variety")
        ),
        sa.CheckConstraint(
            "buy_risk_reward <= strong_buy_risk_reward", name=op.f("ck_user_trading_config_buy_risk_reward_order")
        ),
        sa.CheckConstraint("buy_risk_reward BETWEEN 1 AND 100", name=op.f("ck_user_trading_config_buy_risk_reward")),
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
            "default_stop_loss_pct BETWEEN 0.001 AND 1", name=op.f("ck_user_trading_config_default_stop_loss_pct")
        ),
        sa.CheckConstraint(
            "default_target_pct <= strong_buy_target_pct", name=op.f("ck_user_trading_config_default_target_pct_order")
        ),
        sa.CheckConstraint(
            "default_target_pct BETWEEN 0 AND 1", name=op.f("ck_user_trading_config_default_target_pct")
        ),
        sa.CheckConstraint(
            "excellent_risk_reward BETWEEN 1 AND 100", name=op.f("ck_user_trading_config_excellent_risk_reward")
        ),
        sa.CheckConstraint(
            "excellent_target_pct BETWEEN 0 AND 1", name=op.f("ck_user_trading_config_excellent_target_pct")
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
            "min_combined_score BETWEEN 0 AND 100", name=op.f("ck_user_trading_config_min_combined_score")
        ),
        sa.CheckConstraint(
            "min_stop_loss_pct < tight_stop_loss_pct AND min_stop_loss_pct < default_stop_loss_pct",
            name=op.f("ck_user_trading_config_min_stop_loss_pct_order"),
        ),
        sa.CheckConstraint(
            "min_stop_loss_pct BETWEEN 0.001 AND 1", name=op.f("ck_user_trading_config_min_stop_loss_pct")
        ),
        sa.CheckConstraint(
            "ml_confidence_threshold BETWEEN 0 AND 1", name=op.f("ck_user_trading_config_ml_confidence_threshold")
        ),
        sa.CheckConstraint(
            "news_sentiment_lookback_days BETWEEN 1 AND 365",
            name=op.f("ck_user_trading_config_news_sentiment_lookback_days"),
        ),
        sa.CheckConstraint(
            "news_sentiment_min_articles BETWEEN 0 AND 1000",
            name=op.f("ck_user_trading_config_news_sentiment_min_articles"),
        ),
        sa.CheckConstraint(
            "news_sentiment_neg_threshold < news_sentiment_pos_threshold",
            name=op.f("ck_user_trading_config_news_sentiment_neg_threshold_order"),
        ),
        sa.CheckConstraint(
            "news_sentiment_neg_threshold BETWEEN -1 AND 1",
            name=op.f("ck_user_trading_config_news_sentiment_neg_threshold"),
        ),
        sa.CheckConstraint(
            "news_sentiment_pos_threshold BETWEEN -1 AND 1",
            name=op.f("ck_user_trading_config_news_sentiment_pos_threshold"),
        ),
        sa.CheckConstraint(
            "paper_trading_initial_capital BETWEEN 1 AND 1000000000",
            name=op.f("ck_user_trading_config_paper_trading_initial_capital"),
        ),
        sa.CheckConstraint(
            "rsi_extreme_oversold < rsi_oversold", name=op.f("ck_user_trading_config_rsi_extreme_oversold_order")
        ),
        sa.CheckConstraint(
            "rsi_extreme_oversold BETWEEN 0 AND 30", name=op.f("ck_user_trading_config_rsi_extreme_oversold")
        ),
        sa.CheckConstraint(
            "rsi_near_oversold BETWEEN 30 AND 50", name=op.f("ck_user_trading_config_rsi_near_oversold")
        ),
        sa.CheckConstraint("rsi_oversold < rsi_near_oversold", name=op.f("ck_user_trading_config_rsi_oversold_order")),
        sa.CheckConstraint("rsi_oversold BETWEEN 0 AND 50", name=op.f("ck_user_trading_config_rsi_oversold")),
        sa.CheckConstraint("rsi_period BETWEEN 2 AND 50", name=op.f("ck_user_trading_config_rsi_period")),
        sa.CheckConstraint(
            "strong_buy_risk_reward <= excellent_risk_reward",
            name=op.f("ck_user_trading_config_strong_buy_risk_reward_order"),
        ),
        sa.CheckConstraint(
            "strong_buy_risk_reward BETWEEN 1 AND 100", name=op.f("ck_user_trading_config_strong_buy_risk_reward")
        ),
        sa.CheckConstraint(
            "strong_buy_target_pct <= excellent_target_pct",
            name=op.f("ck_user_trading_config_strong_buy_target_pct_order"),
        ),
        sa.CheckConstraint(
            "strong_buy_target_pct BETWEEN 0 AND 1", name=op.f("ck_user_trading_config_strong_buy_target_pct")
        ),
        sa.CheckConstraint(
            "tight_stop_loss_pct < default_stop_loss_pct", name=op.f("ck_user_trading_config_tight_stop_loss_pct_order")
        ),
        sa.CheckConstraint(
            "tight_stop_loss_pct BETWEEN 0.001 AND 1", name=op.f("ck_user_trading_config_tight_stop_loss_pct")
        ),
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
        "user_trading_config_versions",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.String(length=64), nullable=False),
        sa.Column("parameter_hash", sa.String(length=64), nullable=False),
        sa.Column("config", postgresql.JSONB(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["parameter_hash"],
            ["parameter_sets.hash"],
            name=op.f("fk_user_trading_config_versions_parameter_hash_parameter_sets"),
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_trading_config_versions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_trading_config_versions")),
        sa.UniqueConstraint("user_id", "version", name=op.f("uq_user_trading_config_versions_user_id_version")),
    )
    op.create_table(
        "usersettings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("trade_mode", sa.String(length=16), server_default="paper", nullable=False),
        sa.Column("broker", sa.String(length=64), nullable=True),
        sa.Column("broker_status", sa.String(length=64), nullable=True),
        sa.Column("broker_creds_encrypted", sa.LargeBinary(), nullable=True),
        sa.Column("ui_preferences", postgresql.JSONB(), nullable=True),
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
        "ml_models",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("model_type", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("model_path", sa.String(length=512), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("features", postgresql.JSONB(), nullable=False),
        sa.Column("metrics", postgresql.JSONB(), nullable=False),
        sa.Column("library_version", sa.String(length=64), nullable=False),
        sa.Column("accuracy", sa.Double(), nullable=True),
        sa.Column("training_job_id", sa.BigInteger(), nullable=False),
        sa.Column("training_data_through_date", sa.Date(), nullable=True),
        sa.Column("is_active", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("activated_by", sa.String(length=64), nullable=True),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("NOT (is_active AND retired_at IS NOT NULL)", name=op.f("ck_ml_models_retired")),
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
        "pnldaily",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("realized_pnl", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("unrealized_pnl", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("fees", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_pnldaily_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_pnldaily_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pnldaily")),
        sa.UniqueConstraint("account_id", "date", name=op.f("uq_pnldaily_account_id_date")),
    )
    op.create_index(op.f("ix_pnldaily_user_id_date"), "pnldaily", ["user_id", "date"], unique=False)
    op.create_table(
        "portfolio_snapshots",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("snapshot_type", sa.String(length=16), server_default="eod", nullable=False),
        sa.Column("total_value", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("invested_value", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("available_cash", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("unrealized_pnl", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("realized_pnl", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("open_positions_count", sa.Integer(), nullable=False),
        sa.Column("closed_positions_count", sa.Integer(), nullable=False),
        sa.Column("total_return", sa.Double(), nullable=True),
        sa.Column("daily_return", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("snapshot_type IN ('eod', 'intraday')", name=op.f("ck_portfolio_snapshots_snapshot_type")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_portfolio_snapshots_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_portfolio_snapshots_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_portfolio_snapshots")),
        sa.UniqueConstraint(
            "account_id", "date", "snapshot_type", name=op.f("uq_portfolio_snapshots_account_id_date_snapshot_type")
        ),
    )
    op.create_index(
        op.f("ix_portfolio_snapshots_user_id_date"), "portfolio_snapshots", ["user_id", "date"], unique=False
    )
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
        sa.Column("unrealized_pnl", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
        sa.Column("charges", sa.Numeric(precision=14, scale=2), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("exit_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("exit_reason", sa.String(length=64), nullable=True),
        sa.Column("entry_rsi", sa.Double(), nullable=True),
        sa.Column("exit_rsi", sa.Double(), nullable=True),
        sa.Column("realized_pnl_pct", sa.Double(), nullable=True),
        sa.Column("sell_order_id", sa.BigInteger(), nullable=True),
        sa.Column("initial_entry_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("last_reentry_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("reentry_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cycle", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reset_ready", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("last_rsi", sa.Double(), nullable=True),
        sa.Column("last_rsi_day", sa.Date(), nullable=True),
        sa.Column("seen_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(closed_at IS NULL) = (quantity > 0)", name=op.f("ck_positions_closed")),
        sa.CheckConstraint("quantity >= 0", name=op.f("ck_positions_quantity")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_positions_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["sell_order_id"],
            ["orders.id"],
            name=op.f("fk_positions_sell_order_id_orders"),
            initially="DEFERRED",
            deferrable=True,
            use_alter=True,
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_positions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_positions")),
    )
    op.create_index(op.f("ix_positions_closed_at"), "positions", ["closed_at"], unique=False)
    op.create_index(op.f("ix_positions_exit_reason"), "positions", ["exit_reason"], unique=False)
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
        sa.Column("features", postgresql.JSONB(), nullable=False),
        sa.Column("ml_confidence", sa.Double(), nullable=True),
        sa.Column("ml_model_version", sa.String(length=16), nullable=True),
        sa.Column("ml_verdict", sa.String(length=16), nullable=True),
        sa.Column("ml_probabilities", postgresql.JSONB(), nullable=True),
        sa.Column("ml_predicted_gain", sa.Double(), nullable=True),
        sa.Column("status", sa.String(length=16), server_default="active", nullable=False),
        sa.Column("ts", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("rsi10", sa.Double(), nullable=True),
        sa.Column("ema9", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("ema200", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("distance_to_ema9", sa.Double(), nullable=True),
        sa.Column("is_above_ema200", sa.Boolean(), nullable=True),
        sa.Column("clean_chart", sa.Boolean(), nullable=True),
        sa.Column("chart_quality", postgresql.JSONB(), nullable=True),
        sa.Column("monthly_support_dist", sa.Double(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("verdict", sa.String(length=32), nullable=True),
        sa.Column("final_verdict", sa.String(length=32), nullable=True),
        sa.Column("rule_verdict", sa.String(length=32), nullable=True),
        sa.Column("verdict_source", sa.String(length=16), nullable=True),
        sa.Column("backtest_score", sa.Double(), nullable=True),
        sa.Column("backtest_confidence", sa.String(length=16), nullable=True),
        sa.Column("strength_score", sa.Double(), nullable=True),
        sa.Column("combined_score", sa.Double(), nullable=True),
        sa.Column("priority_score", sa.Double(), nullable=True),
        sa.Column("buy_range", postgresql.JSONB(), nullable=True),
        sa.Column("target", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("stop", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("trading_params", postgresql.JSONB(), nullable=True),
        sa.Column("avg_vol", sa.BigInteger(), nullable=True),
        sa.Column("today_vol", sa.BigInteger(), nullable=True),
        sa.Column("volume_ratio", sa.Double(), nullable=True),
        sa.Column("vol_ok", sa.Boolean(), nullable=True),
        sa.Column("vol_strong", sa.Boolean(), nullable=True),
        sa.Column("liquidity_recommendation", postgresql.JSONB(), nullable=True),
        sa.Column("pe", sa.Double(), nullable=True),
        sa.Column("pb", sa.Double(), nullable=True),
        sa.Column("fundamental_assessment", sa.String(length=64), nullable=True),
        sa.Column("fundamental_ok", sa.Boolean(), nullable=True),
        sa.Column("signals", postgresql.JSONB(), nullable=True),
        sa.Column("justification", postgresql.JSONB(), nullable=True),
        sa.Column("timeframe_analysis", postgresql.JSONB(), nullable=True),
        sa.Column("news_sentiment", postgresql.JSONB(), nullable=True),
        sa.Column("candle_analysis", postgresql.JSONB(), nullable=True),
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
    op.create_index(
        "ix_signals_active",
        "signals",
        ["strategy", "parameter_hash", "day"],
        unique=False,
        postgresql_where="status = 'active'",
    )
    op.create_index(op.f("ix_signals_day"), "signals", ["day"], unique=False)
    op.create_index(op.f("ix_signals_snapshot_id"), "signals", ["snapshot_id"], unique=False)
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
        sa.Column("exchange", sa.String(length=8), server_default="NSE", nullable=False),
        sa.Column("product", sa.String(length=8), server_default="CNC", nullable=False),
        sa.Column("validity", sa.String(length=8), server_default="DAY", nullable=False),
        sa.Column("trade_mode", sa.String(length=16), nullable=True),
        sa.Column("entry_type", sa.String(length=32), nullable=True),
        sa.Column("orig_source", sa.String(length=64), server_default="signal", nullable=False),
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
        sa.Column("order_id", sa.String(length=64), nullable=True),
        sa.Column(
            "base_symbol",
            sa.String(length=32),
            sa.Computed("regexp_replace(symbol, '-(EQ|BE|BL|BZ)$', '')", persisted=True),
            nullable=False,
        ),
        sa.Column("metadata", postgresql.JSONB(), nullable=True),
        sa.Column("broker_order_id", sa.String(length=64), nullable=True),
        sa.Column("broker_word", sa.String(length=64), nullable=True),
        sa.Column("filled_quantity", sa.Integer(), server_default="0", nullable=False),
        sa.Column("avg_price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column(
            "execution_price",
            sa.Numeric(precision=18, scale=4),
            sa.Computed("avg_price", persisted=True),
            nullable=True,
        ),
        sa.Column(
            "execution_qty", sa.Integer(), sa.Computed("nullif(filled_quantity, 0)", persisted=True), nullable=True
        ),
        sa.Column(
            "execution_time", sa.DateTime(timezone=True), sa.Computed("filled_at", persisted=True), nullable=True
        ),
        sa.Column("change", postgresql.JSONB(), nullable=True),
        sa.Column("reason", sa.String(length=512), nullable=True),
        sa.Column("failure_kind", sa.String(length=32), nullable=True),
        sa.Column("retry_of", sa.BigInteger(), nullable=True),
        sa.Column("retry_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_retry_attempt", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status_check", sa.DateTime(timezone=True), nullable=True),
        sa.Column("position_id", sa.BigInteger(), nullable=True),
        sa.Column("config_version", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.String(length=16), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("entry_type IN ('initial', 'reentry', 'manual')", name=op.f("ck_orders_entry_type")),
        sa.CheckConstraint(
            "failure_kind IN ('ambiguous', 'circuit', 'insufficient_funds', 'rms_reject', 'transient')",
            name=op.f("ck_orders_failure_kind"),
        ),
        sa.CheckConstraint("order_type IN ('market', 'limit')", name=op.f("ck_orders_order_type")),
        sa.CheckConstraint("side IN ('buy', 'sell')", name=op.f("ck_orders_side")),
        sa.CheckConstraint(
            "status IN ('acked', 'cancelled', 'cancelling', 'denied', 'expired', 'failed', 'filled', 'not_placed', 'open', 'parked', 'partial', 'planned', 'rejected', 'sending', 'unknown')",
            name=op.f("ck_orders_status"),
        ),
        sa.CheckConstraint("trade_mode IN ('paper', 'broker')", name=op.f("ck_orders_trade_mode")),
        sa.CheckConstraint("filled_quantity BETWEEN 0 AND quantity", name=op.f("ck_orders_filled")),
        sa.CheckConstraint("quantity > 0", name=op.f("ck_orders_quantity")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_orders_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["position_id"], ["positions.id"], name=op.f("fk_orders_position_id_positions")),
        sa.ForeignKeyConstraint(["retry_of"], ["orders.id"], name=op.f("fk_orders_retry_of_orders")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_orders_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("account_id", "broker_order_id", name=op.f("uq_orders_account_id_broker_order_id")),
        sa.UniqueConstraint("account_id", "intent_key", name=op.f("uq_orders_account_id_intent_key")),
    )
    op.create_index(op.f("ix_orders_account_id_tag"), "orders", ["account_id", "tag"], unique=False)
    op.create_index(op.f("ix_orders_execution_id"), "orders", ["execution_id"], unique=False)
    op.create_index(
        "ix_orders_failed", "orders", ["account_id", "retry_until"], unique=False, postgresql_where="status = 'failed'"
    )
    op.create_index(op.f("ix_orders_order_id"), "orders", ["order_id"], unique=False)
    op.create_index(
        op.f("ix_orders_status_last_status_check"),
        "orders",
        ["status", "last_status_check"],
        unique=False,
        postgresql_where="status IN ('acked', 'cancelling', 'open', 'parked', 'partial', 'planned', 'sending', 'unknown')",
    )
    op.create_index(op.f("ix_orders_session_day"), "orders", ["session_day"], unique=False)
    op.create_index(op.f("ix_orders_user_id_created_at"), "orders", ["user_id", "created_at"], unique=False)
    op.create_index(op.f("ix_orders_user_id_updated_at"), "orders", ["user_id", "updated_at"], unique=False)
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
    op.create_table(
        "user_signal_status",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("signal_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "status IN ('active', 'expired', 'traded', 'rejected', 'failed')", name=op.f("ck_user_signal_status_status")
        ),
        sa.ForeignKeyConstraint(["signal_id"], ["signals.id"], name=op.f("fk_user_signal_status_signal_id_signals")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_user_signal_status_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_signal_status")),
        sa.UniqueConstraint("user_id", "signal_id", name=op.f("uq_user_signal_status_user_id_signal_id")),
    )
    op.create_index(op.f("ix_user_signal_status_signal_id"), "user_signal_status", ["signal_id"], unique=False)
    op.create_index(
        op.f("ix_user_signal_status_user_id_symbol_updated_at"),
        "user_signal_status",
        ["user_id", "symbol", "updated_at"],
        unique=False,
    )
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
        sa.Column(
            "fill_value",
            sa.Numeric(precision=14, scale=2),
            sa.Computed("round(quantity * price, 2)", persisted=True),
            nullable=False,
        ),
        sa.Column("charges", sa.Numeric(precision=14, scale=2), server_default="0", nullable=False),
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
        sa.Column("facts", postgresql.JSONB(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_order_events_order_id_orders")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_order_events_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_events")),
    )
    op.create_index(op.f("ix_order_events_order_id_id"), "order_events", ["order_id", "id"], unique=False)
    op.create_index(op.f("ix_order_events_user_id"), "order_events", ["user_id"], unique=False)
    op.create_table(
        "reentries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("position_id", sa.BigInteger(), nullable=False),
        sa.Column("order_id", sa.BigInteger(), nullable=False),
        sa.Column("symbol", sa.String(length=32), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("rsi", sa.Double(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=True),
        sa.Column("price", sa.Numeric(precision=18, scale=4), nullable=True),
        sa.Column("filled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("level IN (10, 20, 30)", name=op.f("ck_reentries_level")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_reentries_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["order_id"], ["orders.id"], name=op.f("fk_reentries_order_id_orders")),
        sa.ForeignKeyConstraint(["position_id"], ["positions.id"], name=op.f("fk_reentries_position_id_positions")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_reentries_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reentries")),
        sa.UniqueConstraint("order_id", name=op.f("uq_reentries_order_id")),
        sa.UniqueConstraint("position_id", "cycle", "level", name=op.f("uq_reentries_position_id_cycle_level")),
        sa.UniqueConstraint("position_id", "day", name=op.f("uq_reentries_position_id_day")),
    )
    op.create_index(op.f("ix_reentries_account_id"), "reentries", ["account_id"], unique=False)
    op.create_index(op.f("ix_reentries_user_id"), "reentries", ["user_id"], unique=False)
    op.create_foreign_key(
        "fk_positions_sell_order_id_orders",
        "positions",
        "orders",
        ["sell_order_id"],
        ["id"],
        deferrable=True,
        initially="DEFERRED",
    )
    for function in (MARKET_NOW, PROTECT, PARTITIONS, DROP_PARTITIONS):
        op.execute(function)
    for table, owner in PROTECTED.items():
        op.execute(f"SELECT protect_rows('{table}'::regclass, '{owner}')")


def downgrade() -> None:
    op.drop_constraint("fk_positions_sell_order_id_orders", "positions", type_="foreignkey")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.drop_index(op.f("ix_reentries_user_id"), table_name="reentries")
    op.drop_index(op.f("ix_reentries_account_id"), table_name="reentries")
    op.drop_table("reentries")
    op.drop_index(op.f("ix_order_events_user_id"), table_name="order_events")
    op.drop_index(op.f("ix_order_events_order_id_id"), table_name="order_events")
    op.drop_table("order_events")
    op.drop_index(op.f("ix_fills_user_id_filled_at"), table_name="fills")
    op.drop_index(op.f("ix_fills_order_id_filled_at"), table_name="fills")
    op.drop_table("fills")
    op.drop_index(op.f("ix_user_signal_status_user_id_symbol_updated_at"), table_name="user_signal_status")
    op.drop_index(op.f("ix_user_signal_status_signal_id"), table_name="user_signal_status")
    op.drop_table("user_signal_status")
    op.drop_index(op.f("ix_paper_orders_user_id"), table_name="paper_orders")
    op.drop_index("ix_paper_orders_resting", table_name="paper_orders", postgresql_where="word IN ('parked', 'open')")
    op.drop_index(op.f("ix_paper_orders_account_id_session_day"), table_name="paper_orders")
    op.drop_table("paper_orders")
    op.drop_index(
        "uq_orders_live_side",
        table_name="orders",
        postgresql_where="status IN ('acked', 'cancelling', 'open', 'parked', 'partial', 'planned', 'sending', 'unknown')",
    )
    op.drop_index("ix_orders_user_status_symbol_time", table_name="orders")
    op.drop_index(op.f("ix_orders_user_id_updated_at"), table_name="orders")
    op.drop_index(op.f("ix_orders_user_id_created_at"), table_name="orders")
    op.drop_index(op.f("ix_orders_session_day"), table_name="orders")
    op.drop_index(
        op.f("ix_orders_status_last_status_check"),
        table_name="orders",
        postgresql_where="status IN ('acked', 'cancelling', 'open', 'parked', 'partial', 'planned', 'sending', 'unknown')",
    )
    op.drop_index(op.f("ix_orders_order_id"), table_name="orders")
    op.drop_index("ix_orders_failed", table_name="orders", postgresql_where="status = 'failed'")
    op.drop_index(op.f("ix_orders_execution_id"), table_name="orders")
    op.drop_index(op.f("ix_orders_account_id_tag"), table_name="orders")
    op.drop_table("orders")
    op.drop_index(op.f("ix_signals_snapshot_id"), table_name="signals")
    op.drop_index(op.f("ix_signals_day"), table_name="signals")
    op.drop_index("ix_signals_active", table_name="signals", postgresql_where="status = 'active'")
    op.drop_table("signals")
    op.drop_index(op.f("ix_schedule_subscriptions_user_id"), table_name="schedule_subscriptions")
    op.drop_index(op.f("ix_schedule_subscriptions_schedule_id_id"), table_name="schedule_subscriptions")
    op.drop_table("schedule_subscriptions")
    op.drop_index("uq_positions_open", table_name="positions", postgresql_where="closed_at IS NULL")
    op.drop_index(op.f("ix_positions_user_id_closed_at"), table_name="positions")
    op.drop_index(op.f("ix_positions_exit_reason"), table_name="positions")
    op.drop_index(op.f("ix_positions_closed_at"), table_name="positions")
    op.drop_table("positions")
    op.drop_index(op.f("ix_portfolio_snapshots_user_id_date"), table_name="portfolio_snapshots")
    op.drop_table("portfolio_snapshots")
    op.drop_index(op.f("ix_pnldaily_user_id_date"), table_name="pnldaily")
    op.drop_table("pnldaily")
    op.drop_index(op.f("ix_paper_books_user_id"), table_name="paper_books")
    op.drop_table("paper_books")
    op.drop_index("uq_ml_models_active", table_name="ml_models", postgresql_where="is_active")
    op.drop_index(op.f("ix_ml_models_model_type"), table_name="ml_models")
    op.drop_index(op.f("ix_ml_models_is_active"), table_name="ml_models")
    op.drop_table("ml_models")
    op.drop_index(op.f("ix_cash_entries_user_id"), table_name="cash_entries")
    op.drop_table("cash_entries")
    op.drop_table("usersettings")
    op.drop_table("user_trading_config_versions")
    op.drop_index(op.f("ix_user_trading_config_parameter_hash"), table_name="user_trading_config")
    op.drop_table("user_trading_config")
    op.drop_table("user_notification_preferences")
    op.drop_index(op.f("ix_service_status_service_running"), table_name="service_status")
    op.drop_table("service_status")
    op.drop_index(op.f("ix_pnl_calculation_audit_user_id_created_at"), table_name="pnl_calculation_audit")
    op.drop_table("pnl_calculation_audit")
    op.drop_index(op.f("ix_notifications_user_id_read_created_at"), table_name="notifications")
    op.drop_index(op.f("ix_notifications_user_id_id"), table_name="notifications")
    op.drop_index(op.f("ix_notifications_type"), table_name="notifications")
    op.drop_index(op.f("ix_notifications_read_at"), table_name="notifications", postgresql_where="read")
    op.drop_index(op.f("ix_notifications_created_at"), table_name="notifications")
    op.drop_table("notifications")
    op.drop_index(op.f("ix_ml_training_jobs_status"), table_name="ml_training_jobs")
    op.drop_table("ml_training_jobs")
    op.drop_table("feature_snapshots")
    op.drop_index(op.f("ix_error_logs_user_id_occurred_at_resolved"), table_name="error_logs")
    op.drop_index(op.f("ix_error_logs_task_name_id"), table_name="error_logs")
    op.drop_index(op.f("ix_error_logs_resolved_at"), table_name="error_logs", postgresql_where="resolved")
    op.drop_index(op.f("ix_error_logs_occurred_at"), table_name="error_logs", postgresql_where="NOT resolved")
    op.drop_index(op.f("ix_error_logs_fingerprint_occurred_at"), table_name="error_logs")
    op.drop_index(op.f("ix_error_logs_error_type"), table_name="error_logs")
    op.drop_index(op.f("ix_error_logs_context"), table_name="error_logs", postgresql_using="gin")
    op.drop_table("error_logs")
    op.drop_table("broker_accounts")
    op.drop_index(op.f("ix_audit_logs_user_id_timestamp_resource_type"), table_name="audit_logs")
    op.drop_index(op.f("ix_audit_logs_timestamp"), table_name="audit_logs")
    op.drop_index(op.f("ix_audit_logs_resource_type_resource_id"), table_name="audit_logs")
    op.drop_index(op.f("ix_audit_logs_action"), table_name="audit_logs")
    op.drop_table("audit_logs")
    op.drop_index(op.f("ix_activity_user_id_ts"), table_name="activity")
    op.drop_index(op.f("ix_activity_user_id_id"), table_name="activity")
    op.drop_index(op.f("ix_activity_type_ref_id"), table_name="activity")
    op.drop_table("activity")
    op.drop_table("worker_processes")
    op.drop_index("uq_users_email", table_name="users")
    op.drop_table("users")
    op.drop_index("ix_service_task_execution_user_id", table_name="service_task_execution")
    op.drop_index(
        "ix_service_task_execution_failed",
        table_name="service_task_execution",
        postgresql_where="status IN ('failed', 'cancelled')",
    )
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
    op.drop_index(
        "ix_service_task_execution_id",
        table_name="service_task_execution",
        postgresql_using="brin",
        postgresql_with={"autosummarize": True},
    )
    op.drop_table("service_task_execution")
    op.drop_index(op.f("ix_service_logs_user_id_timestamp_level"), table_name="service_logs")
    op.drop_index(
        op.f("ix_service_logs_timestamp"),
        table_name="service_logs",
        postgresql_where="level IN ('WARNING', 'ERROR', 'CRITICAL')",
    )
    op.drop_index(op.f("ix_service_logs_execution_id"), table_name="service_logs")
    op.drop_table("service_logs")
    op.drop_table("schedules")
    op.drop_table("scheduler_processes")
    op.drop_table("price_days")
    op.drop_table("parameter_sets")
    op.drop_table("market_sessions")
    op.drop_table("market_clock")
    op.drop_table("market_calendars")
    op.drop_index(op.f("ix_execution_counts_user_id_day"), table_name="execution_counts")
    op.drop_table("execution_counts")
    op.drop_index(op.f("ix_execution_attempts_user_id"), table_name="execution_attempts")
    op.drop_index(op.f("ix_execution_attempts_execution_id"), table_name="execution_attempts")
    op.drop_table("execution_attempts")
    op.drop_index(op.f("ix_decisions_user_id_day"), table_name="decisions")
    op.drop_table("decisions")
    op.drop_index(op.f("ix_bars_day"), table_name="bars")
    op.drop_table("bars")
    op.drop_table("artifacts")
    op.execute("DROP SEQUENCE decisions_id_seq")
    op.execute("DROP SEQUENCE service_logs_id_seq")
    op.execute("DROP SEQUENCE service_task_execution_id_seq")
