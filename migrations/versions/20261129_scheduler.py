"""The scheduler: policies and versions of schedules, pieces of fan-outs, own times, halts, hours of phases, generations.

Revision: 20261129_scheduler, after 20261128_fewer_keys
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations.halt_function import HALT_FUNCTION, HALT_OF
from migrations.row_security_once import ASK_BY_ROW, ASK_ONCE

revision = "20261129_scheduler"
down_revision = "20261128_fewer_keys"
branch_labels = None
depends_on = None


_RULES = {
    "catch_up": "catch_up IN ('none', 'last', 'all')",
    "overlap": "overlap IN ('allow', 'skip', 'queue', 'cancel')",
}


def upgrade() -> None:
    op.create_table(
        "market_hours",
        sa.Column("exchange", sa.String(length=16), nullable=False),
        sa.Column("segment", sa.String(length=16), nullable=False),
        sa.Column("phase", sa.String(length=16), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("valid_to", sa.Date(), nullable=True),
        sa.Column("opens", sa.Time(), nullable=False),
        sa.Column("closes", sa.Time(), nullable=False),
        sa.Column("source", sa.String(length=512), nullable=False),
        sa.CheckConstraint(
            "opens <> closes AND (opens > closes) = (phase = 'amo')", name=op.f("ck_market_hours_hours")
        ),
        sa.CheckConstraint("valid_to IS NULL OR valid_from <= valid_to", name=op.f("ck_market_hours_validity")),
        sa.PrimaryKeyConstraint("exchange", "segment", "phase", "valid_from", name=op.f("pk_market_hours")),
    )
    op.create_table(
        "schedule_pieces",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("schedule_id", sa.BigInteger(), nullable=False),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=False),
        sa.Column("after", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.String(length=64), nullable=False),
        sa.Column("claim_until", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule_id"], ["schedules.id"], name=op.f("fk_schedule_pieces_schedule_id_schedules"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schedule_pieces")),
        sa.UniqueConstraint("schedule_id", "slot", "after", name=op.f("uq_schedule_pieces_schedule_id_slot_after")),
    )
    op.create_table(
        "schedule_versions",
        sa.Column("schedule_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("definition", postgresql.JSONB(), nullable=False),
        sa.Column("changed_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["schedule_id"],
            ["schedules.id"],
            name=op.f("fk_schedule_versions_schedule_id_schedules"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("schedule_id", "version", name=op.f("pk_schedule_versions")),
    )
    op.create_table(
        "halts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=True),
        sa.Column("account_id", sa.BigInteger(), nullable=True),
        sa.Column("task_name", sa.String(length=64), nullable=True),
        sa.Column("strategy", sa.String(length=64), nullable=True),
        sa.Column("symbol", sa.String(length=32), nullable=True),
        sa.Column("entries", sa.Boolean(), nullable=False),
        sa.Column("exits", sa.Boolean(), nullable=False),
        sa.Column("changes", sa.Boolean(), nullable=False),
        sa.Column("tasks", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=512), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_by", sa.String(length=64), nullable=True),
        sa.CheckConstraint("entries OR exits OR changes OR tasks", name=op.f("ck_halts_stops_something")),
        sa.ForeignKeyConstraint(
            ["account_id"], ["broker_accounts.id"], name=op.f("fk_halts_account_id_broker_accounts")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_halts_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_halts")),
    )
    op.create_index(op.f("ix_halts_id"), "halts", ["id"], unique=False, postgresql_where="ended_at IS NULL")
    op.create_index(op.f("ix_halts_user_id"), "halts", ["user_id"], unique=False)
    op.add_column("schedule_subscriptions", sa.Column("base_id", sa.BigInteger(), nullable=True))
    op.add_column("schedule_subscriptions", sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("schedule_subscriptions", sa.Column("paused_by", sa.String(length=64), nullable=True))
    op.add_column("schedule_subscriptions", sa.Column("pause_reason", sa.String(length=512), nullable=True))
    op.create_foreign_key(
        op.f("fk_schedule_subscriptions_base_id_schedules"), "schedule_subscriptions", "schedules", ["base_id"], ["id"]
    )
    op.add_column("schedules", sa.Column("exchange", sa.String(length=16), server_default="NSE", nullable=False))
    op.add_column("schedules", sa.Column("grace_seconds", sa.Integer(), nullable=True))
    op.add_column("schedules", sa.Column("catch_up", sa.String(length=16), server_default="last", nullable=False))
    op.add_column("schedules", sa.Column("overlap", sa.String(length=16), server_default="allow", nullable=False))
    op.add_column("schedules", sa.Column("jitter_seconds", sa.Integer(), server_default="0", nullable=False))
    op.add_column("schedules", sa.Column("spread_seconds", sa.Integer(), server_default="0", nullable=False))
    op.add_column("schedules", sa.Column("useful_seconds", sa.Integer(), nullable=True))
    op.add_column("schedules", sa.Column("starts_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("schedules", sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("schedules", sa.Column("max_runs", sa.Integer(), nullable=True))
    op.add_column("schedules", sa.Column("runs", sa.Integer(), server_default="0", nullable=False))
    op.add_column("schedules", sa.Column("base_id", sa.BigInteger(), nullable=True))
    op.add_column("schedules", sa.Column("version", sa.Integer(), server_default="1", nullable=False))
    op.add_column("schedules", sa.Column("firing_reason", sa.String(length=512), nullable=True))
    op.add_column("schedules", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    op.add_column("schedules", sa.Column("fault", sa.String(length=512), nullable=True))
    op.create_index(op.f("ix_schedules_next_due_at"), "schedules", ["next_due_at"], unique=False)
    op.create_index(
        op.f("ix_schedules_firing_slot"),
        "schedules",
        ["firing_slot"],
        unique=False,
        postgresql_where="firing_slot IS NOT NULL",
    )
    # As it was: of what repeats within a day the newest missed slot fired, of the rest each one.
    op.execute("UPDATE schedules SET catch_up = 'all' WHERE trigger NOT LIKE 'every %'")
    op.create_foreign_key(op.f("fk_schedules_base_id_schedules"), "schedules", "schedules", ["base_id"], ["id"])
    op.add_column("service_status", sa.Column("generation", sa.Integer(), server_default="0", nullable=False))
    op.add_column("service_status", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("service_status", sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("service_status", sa.Column("changed_by", sa.String(length=64), nullable=True))
    for name, rule in _RULES.items():
        op.create_check_constraint(op.f(f"ck_schedules_{name}"), "schedules", rule)
    op.execute("SELECT protect_rows('halts'::regclass, 'user_id')")
    op.execute(HALT_OF)
    # What is nobody's own stops everybody: everybody sees it.
    op.execute("CREATE POLICY everywhere ON halts FOR SELECT USING (user_id IS NULL)")
    for statement in ASK_ONCE:
        op.execute(statement)


def downgrade() -> None:
    for statement in ASK_BY_ROW:
        op.execute(statement)
    for name in _RULES:
        op.drop_constraint(op.f(f"ck_schedules_{name}"), "schedules", type_="check")
    op.drop_column("service_status", "changed_by")
    op.drop_column("service_status", "stopped_at")
    op.drop_column("service_status", "started_at")
    op.drop_column("service_status", "generation")
    op.drop_constraint(op.f("fk_schedules_base_id_schedules"), "schedules", type_="foreignkey")
    op.drop_index(op.f("ix_schedules_firing_slot"), table_name="schedules")
    op.drop_index(op.f("ix_schedules_next_due_at"), table_name="schedules")
    op.drop_column("schedules", "fault")
    op.drop_column("schedules", "held_until")
    op.drop_column("schedules", "firing_reason")
    op.drop_column("schedules", "version")
    op.drop_column("schedules", "base_id")
    op.drop_column("schedules", "runs")
    op.drop_column("schedules", "max_runs")
    op.drop_column("schedules", "ends_at")
    op.drop_column("schedules", "starts_at")
    op.drop_column("schedules", "useful_seconds")
    op.drop_column("schedules", "spread_seconds")
    op.drop_column("schedules", "jitter_seconds")
    op.drop_column("schedules", "overlap")
    op.drop_column("schedules", "catch_up")
    op.drop_column("schedules", "grace_seconds")
    op.drop_column("schedules", "exchange")
    op.drop_constraint(
        op.f("fk_schedule_subscriptions_base_id_schedules"), "schedule_subscriptions", type_="foreignkey"
    )
    op.drop_column("schedule_subscriptions", "pause_reason")
    op.drop_column("schedule_subscriptions", "paused_by")
    op.drop_column("schedule_subscriptions", "paused_until")
    op.drop_column("schedule_subscriptions", "base_id")
    op.drop_index(op.f("ix_halts_user_id"), table_name="halts")
    op.drop_index(op.f("ix_halts_id"), table_name="halts", postgresql_where="ended_at IS NULL")
    op.execute(f"DROP FUNCTION {HALT_FUNCTION}")
    op.drop_table("halts")
    op.drop_table("schedule_versions")
    op.drop_table("schedule_pieces")
    op.drop_table("market_hours")
