"""Halts: what stops, for whom, who said so, why and until when. Checked at the ring, at the claim and at the effect."""

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Line, Moment, Name, Ticker, user_scoped
from trading.orders import LIVE

_LIVE = ", ".join(f"'{state}'" for state in sorted(LIVE))


@user_scoped
class HaltRow(Base):
    """One halt. What of user, task, strategy, account and symbol is null is not asked for: all null is everywhere.

    entries, exits, changes: which orders it stops; cancels pass. tasks: it is a pause, executions do not begin. until:
    market time, None until somebody resumes.
    """

    __tablename__ = "halts"
    __table_args__ = (
        CheckConstraint("entries OR exits OR changes OR tasks", name="stops_something"),
        Index(None, "id", postgresql_where="ended_at IS NULL"),
        Index(None, "user_id"),
    )

    id: Mapped[Id]
    user_id: Mapped[Big | None] = mapped_column(ForeignKey("users.id"))
    account_id: Mapped[Big | None] = mapped_column(ForeignKey("broker_accounts.id"))
    task_name: Mapped[Name | None]
    strategy: Mapped[Name | None]
    symbol: Mapped[Ticker | None]
    entries: Mapped[bool]
    exits: Mapped[bool]
    changes: Mapped[bool]
    tasks: Mapped[bool]
    reason: Mapped[Line]
    created_by: Mapped[Name]
    created_at: Mapped[Created]
    until: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]
    ended_by: Mapped[Name | None]


# Nearly always there is none: then this is asked once a statement, and nothing else of a halt is looked at.
_ANY = """
    (SELECT true FROM halts h
     WHERE h.ended_at IS NULL AND h.tasks AND (h.until IS NULL OR h.until > market_now()) LIMIT 1)
"""

# Whatever stops, the broker's book is read while an account has live orders, and what may be on its way to the broker,
# or shall be cancelled there, is seen to its end.
_PASSES = """
    CASE {task}
    WHEN 'order_sync' THEN {live}
    WHEN 'reconcile' THEN {live}
    WHEN 'submit' THEN EXISTS (
        SELECT FROM orders o
        WHERE o.id = CAST(substring({alias}.subject FROM '^[0-9]{{1,18}}') AS bigint)
          AND o.user_id = {alias}.user_id
          AND (o.status IN ('sending', 'cancelling') OR jsonb_exists(o.change, 'cancel')))
    ELSE false END
"""
_LIVE_ORDER = f"""
    EXISTS (SELECT FROM orders o WHERE o.account_id = {{alias}}.account_id AND o.status IN ({_LIVE}))
"""
_STRATEGY = """
    CASE WHEN {alias}.user_id IS NULL THEN split_part({alias}.subject, ':', 1)
         ELSE (SELECT c.strategy FROM user_trading_config c WHERE c.user_id = {alias}.user_id) END
"""


def halt_sql(alias: str, task: str | None = None) -> str:
    """Return an expression for the id of the oldest halt that keeps an execution from beginning, null for none.

    alias: of rows with user_id, account_id and subject. task: an expression for the task's name, unset the column
    `task_name` of these rows. Needs the system scope, which sees every halt.
    """
    named = task or f"{alias}.task_name"
    passes = _PASSES.format(task=named, alias=alias, live=_LIVE_ORDER.format(alias=alias))
    return f"""
    (SELECT h.id FROM halts h
     WHERE h.ended_at IS NULL AND h.tasks AND (h.until IS NULL OR h.until > (SELECT market_now()))
       AND (h.user_id IS NULL OR h.user_id = {alias}.user_id)
       AND (h.account_id IS NULL OR h.account_id = {alias}.account_id)
       AND (h.task_name IS NULL OR h.task_name = {named})
       AND (h.strategy IS NULL OR h.strategy = {_STRATEGY.format(alias=alias)})
       AND h.symbol IS NULL AND NOT {passes}
     ORDER BY h.id LIMIT 1)
    """


def paused_sql(alias: str, task: str | None = None) -> str:
    """Return a condition: a halt keeps this execution from beginning. Parameters as of `halt_sql`.

    Without a halt in force it costs one look at an empty index a statement, however many rows there are.
    """
    return f"({_ANY} IS NOT NULL AND {halt_sql(alias, task)} IS NOT NULL)"
