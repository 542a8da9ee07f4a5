"""Halts: what stops, for whom, who said so, why and until when. Checked at the ring, at the claim and at the effect."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Line, Moment, Name, Ticker, user_scoped
from db.channels import SETTLED_CHANNEL
from trading.halts import Halt, Halts, Scope, Stops, stopped


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


ANY_PAUSE = "(SELECT true FROM halts h WHERE h.ended_at IS NULL AND h.tasks LIMIT 1)"
"""Whether any halt of tasks is there: true or null."""
_IN_FORCE = "h.ended_at IS NULL AND (h.until IS NULL OR h.until > market_now())"
# Of these it depends on the account's orders.
_NOT_BY_NAME = "('order_sync', 'reconcile', 'submit')"
# The names of the tasks that are paused for everybody; an empty one for all tasks.
_PAUSED = f"""
    (SELECT array_agg(coalesce(h.task_name, '')::text) FROM halts h
     WHERE {_IN_FORCE} AND h.tasks AND num_nonnulls(h.user_id, h.account_id, h.strategy, h.symbol) = 0)
"""


def halt_sql(alias: str, task: str | None = None) -> str:
    """Return an expression for the id of the oldest halt that keeps an execution from beginning, null for none.

    alias: of rows with user_id, account_id and subject. task: an expression for the task's name, unset the column
    `task_name` of these rows. Needs the system scope, which sees every halt.
    """
    return f"halt_of({task or f'{alias}.task_name'}, {alias}.user_id, {alias}.account_id, {alias}.subject)"


def paused_sql(alias: str, task: str | None = None) -> str:
    """Return a condition: a halt keeps this execution from beginning. Parameters as of `halt_sql`.

    Nearly always there is none: then an empty index is looked at once a statement, and no row for it.
    """
    return f"({ANY_PAUSE} IS NOT NULL AND {halt_sql(alias, task)} IS NOT NULL)"


def may_begin_sql(alias: str) -> str:
    """Return a condition, for walks over many executions: no halt keeps this one from beginning.

    `paused_sql` says the same, and takes 27 us for each row under a pause. What a pause of everybody holds back is told
    here from its task's name, fifty times as fast.
    """
    is_held = (
        f"{alias}.task_name NOT IN {_NOT_BY_NAME} AND coalesce({_PAUSED} && ARRAY[{alias}.task_name::text, ''], false)"
    )
    return f"NOT ({ANY_PAUSE} IS NOT NULL AND (({is_held}) OR {halt_sql(alias)} IS NOT NULL))"


# Who makes an effect shares this lock until its commit, and who halts takes it alone: so either the effect was
# committed first, or it has seen the halt. It is asked for before a row of an account is locked: no two wait for each
# other.
_SHARE = text("SELECT pg_advisory_xact_lock_shared(hashtext('halts'))")
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('halts'))")

_COLUMNS = """
    h.id, h.user_id, h.account_id, h.task_name, h.strategy, h.symbol, h.entries, h.exits, h.changes, h.tasks, h.reason,
    h.created_by, h.created_at, h.until, h.ended_at, h.ended_by
"""
_STOPS = text(
    f"""
    SELECT {_COLUMNS} FROM halts h
    WHERE {_IN_FORCE} AND (h.entries OR h.exits OR h.changes)
      AND (h.user_id IS NULL OR h.user_id = :user_id) AND (h.account_id IS NULL OR h.account_id = :account_id)
    ORDER BY h.id
    """
)
# One that is in force for as long says all that another of the same would.
_SAME = text(
    f"""
    SELECT {_COLUMNS} FROM halts h
    WHERE {_IN_FORCE} AND h.user_id IS NOT DISTINCT FROM :user_id AND h.account_id IS NOT DISTINCT FROM :account_id
      AND h.task_name IS NOT DISTINCT FROM :task_name AND h.strategy IS NOT DISTINCT FROM :strategy
      AND h.symbol IS NOT DISTINCT FROM :symbol AND (h.entries, h.exits, h.changes, h.tasks)
          = (CAST(:entries AS bool), CAST(:exits AS bool), CAST(:changes AS bool), CAST(:tasks AS bool))
      AND h.until IS NOT DISTINCT FROM CAST(:until AS timestamptz)
    ORDER BY h.id LIMIT 1
    """
)
_ADD = text(
    f"""
    INSERT INTO halts AS h (user_id, account_id, task_name, strategy, symbol, entries, exits, changes, tasks, reason,
                            created_by, until)
    VALUES (:user_id, :account_id, :task_name, :strategy, :symbol, :entries, :exits, :changes, :tasks, :reason, :by,
            :until)
    RETURNING {_COLUMNS}
    """
)
_EXPIRE = text("UPDATE halts SET ended_at = until, ended_by = 'until' WHERE ended_at IS NULL AND until <= market_now()")
_NOTIFY = text(f"SELECT pg_notify('{SETTLED_CHANNEL}', '')")
_END = text(
    f"""
    UPDATE halts h SET ended_at = now(), ended_by = :by
    WHERE h.ended_at IS NULL AND (CAST(:ids AS bigint[]) IS NULL OR h.id = ANY(CAST(:ids AS bigint[])))
    RETURNING {_COLUMNS}
    """
)
_BY_IDS = text(f"SELECT {_COLUMNS} FROM halts h WHERE h.id = ANY(CAST(:ids AS bigint[])) ORDER BY h.id")
_OWNER = text("SELECT user_id FROM broker_accounts WHERE id = :account_id")
_LIST = text(
    f"""
    SELECT {_COLUMNS}, {_IN_FORCE} AS in_force, u.email, extract(epoch FROM now() - h.created_at)::float8 AS age_seconds
    FROM halts h LEFT JOIN users u ON u.id = h.user_id
    WHERE ({_IN_FORCE}) IS DISTINCT FROM CAST(:ended AS bool)
      AND (CAST(:user_id AS bigint) IS NULL OR h.user_id IS NULL OR h.user_id = :user_id)
    ORDER BY h.id DESC LIMIT :limit
    """
)

HaltFacts = Mapping[str, Any]
"""A row of `halts` by its columns."""


class HaltRepository:
    """Queries over halts."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def share(self) -> None:
        """Let no new halt commit before this transaction does. Before any row of an account is locked, in every effect.

        What `stops` then returns holds until the commit.
        """
        await self.session.execute(_SHARE)

    async def stops(self, user_id: int, account_id: int) -> Halts:
        """Return the halts of orders that are in force for an account, and everywhere. Call it after `share`."""
        rows = await self.session.execute(_STOPS, {"user_id": user_id, "account_id": account_id})
        return Halts(tuple(halt_of(row._mapping) for row in rows))  # noqa: SLF001 - a row's public view

    async def add(self, halt: Halt) -> tuple[HaltFacts, bool]:
        """Put a halt in force once no effect is under way, and tell the schedulers. Needs the system scope.

        halt: its id is not looked at. Returns its row, and whether it is new: one that says the same is left alone.
        """
        await self.session.execute(_ALONE)
        scope = halt.scope
        values = {
            "user_id": scope.user_id,
            "account_id": scope.account_id,
            "task_name": scope.task_name,
            "strategy": scope.strategy,
            "symbol": scope.symbol,
            **{what.value: what in halt.stops for what in Stops},
            "until": halt.until,
        }
        await self.expire()
        there = (await self.session.execute(_SAME, values)).mappings().one_or_none()
        if there is not None:
            return dict(there), False
        made = await self.session.execute(_ADD, {**values, "reason": halt.reason, "by": halt.by})
        await self._notify()
        return dict(made.mappings().one()), True

    async def end(self, ids: Sequence[int] | None, by: str) -> list[HaltFacts]:
        """End halts, all with None, and tell the schedulers. Returns those that were in force.

        Needs the system scope.
        """
        await self.expire()
        ended = await self.session.execute(_END, {"ids": None if ids is None else list(ids), "by": by})
        await self._notify()
        return [dict(row) for row in ended.mappings()]

    async def expire(self) -> None:
        """Write down the end of halts whose time is over; they have stopped nothing since. Needs the system scope."""
        await self.session.execute(_EXPIRE)

    async def owner(self, account_id: int) -> int | None:
        """Return whose an account is, None without one. Needs the system scope."""
        found: int | None = (await self.session.execute(_OWNER, {"account_id": account_id})).scalar_one_or_none()
        return found

    async def by_ids(self, ids: Sequence[int]) -> list[HaltFacts]:
        """Return halts, ended or not, by their ids."""
        return [dict(row) for row in (await self.session.execute(_BY_IDS, {"ids": list(ids)})).mappings()]

    async def listed(self, limit: int, *, ended: bool = False, user_id: int | None = None) -> list[HaltFacts]:
        """Return the halts in force, or those that have ended, newest first, with `email` and `age_seconds`.

        user_id: only those that concern a user; None, all.
        """
        values = {"limit": limit, "ended": ended, "user_id": user_id}
        return [dict(row) for row in (await self.session.execute(_LIST, values)).mappings()]

    async def _notify(self) -> None:
        await self.session.execute(_NOTIFY)


def halt_of(row: Mapping[Any, Any]) -> Halt:
    """Return the halt that a row of `halts` holds."""
    scope = Scope(row["user_id"], row["account_id"], row["task_name"], row["strategy"], row["symbol"])
    until: datetime | None = row["until"]
    return Halt(row["id"], scope, stopped(row), row["reason"], row["created_by"], until)
