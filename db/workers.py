"""Worker processes and their leases, on the database's clock alone."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Created, Moment
from db.executions import RUNNING

# Postgres keeps 63 bytes of what a connection calls itself.
_LONGEST_NAME = 56


class WorkerRow(Base):
    """A worker process. Its supervisor renews the lease while the process lives and is not stopped.

    gone_at: its supervisor saw it end. ended_at: nothing of its work is left in its name.
    """

    __tablename__ = "worker_processes"

    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    queues: Mapped[str]
    started_at: Mapped[Created]
    lease_until: Mapped[Moment]
    gone_at: Mapped[Moment | None]
    ended_at: Mapped[Moment | None]


def application_of(name: str) -> str:
    """Return what the connections of a worker process call themselves. A name's end tells it from others."""
    return f"worker {name[-_LONGEST_NAME:]}"


_REGISTER = text(
    "INSERT INTO worker_processes (name, host, pid, queues, lease_until) "
    "VALUES (:name, :host, :pid, :queues, now() + make_interval(secs => :seconds)) ON CONFLICT (name) DO NOTHING"
)
_RENEW = text(
    "UPDATE worker_processes SET lease_until = now() + make_interval(secs => :seconds) "
    "WHERE name = ANY(CAST(:names AS text[])) AND ended_at IS NULL AND gone_at IS NULL RETURNING name"
)
_EXPIRE = text(
    "UPDATE worker_processes SET lease_until = least(lease_until, now()), gone_at = now() "
    "WHERE name = ANY(CAST(:names AS text[])) AND ended_at IS NULL AND gone_at IS NULL"
)
_DEAD = text(
    "SELECT name FROM worker_processes WHERE ended_at IS NULL "
    "AND (gone_at IS NOT NULL OR (NOT :patient AND lease_until <= now())) ORDER BY name"
)
_LOCK = text(
    "SELECT name FROM worker_processes WHERE name = ANY(CAST(:names AS text[])) AND ended_at IS NULL "
    "AND (gone_at IS NOT NULL OR (NOT :patient AND lease_until <= now())) ORDER BY name FOR UPDATE SKIP LOCKED"
)
_END = text(
    "UPDATE worker_processes p SET ended_at = now() WHERE p.name = ANY(CAST(:names AS text[])) AND p.ended_at IS NULL "
    "AND p.name <> ALL (ARRAY(SELECT DISTINCT e.worker FROM service_task_execution e "
    f"WHERE {RUNNING.format('e')} AND e.worker = ANY(CAST(:names AS text[])))) RETURNING p.name"
)
# A frozen process leaves its transactions open, and with them the rows it holds: who is dead loses them.
_CUT = text(
    """
    SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a
    WHERE a.application_name = ANY(CAST(:applications AS text[])) AND a.usename = current_user
      AND a.xact_start IS NOT NULL
    """
)
_OVERDUE = text(
    f"""
    SELECT DISTINCT e.worker FROM service_task_execution e
    JOIN unnest(CAST(:tasks AS text[]), CAST(:seconds AS float8[])) AS t(task_name, seconds) USING (task_name)
    WHERE {RUNNING.format("e")} AND e.worker = ANY(CAST(:names AS text[]))
      AND e.executed_at < now() - make_interval(secs => t.seconds)
    """
)


class WorkerRepository:
    """Queries over worker processes. All need the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def register(self, name: str, host: str, pid: int, queues: str, seconds: float) -> None:
        """Add a process that is about to take work, with its first lease; a name that is there is left as it is."""
        values = {"name": name, "host": host, "pid": pid, "queues": queues, "seconds": seconds}
        await self.session.execute(_REGISTER, values)

    async def renew(self, names: Sequence[str], seconds: float) -> set[str]:
        """Extend leases, unless the process's work was taken back already. Returns the names that hold one."""
        rows = await self.session.execute(_RENEW, {"names": list(names), "seconds": seconds})
        return set(rows.scalars())

    async def expire(self, *names: str) -> None:
        """End leases now: the supervisor has seen the processes end."""
        await self.session.execute(_EXPIRE, {"names": list(names)})

    async def dead(self, *, patient: bool) -> list[str]:
        """Return processes that are gone, or whose lease ran out, and whose work was not all taken back yet.

        patient: only those seen to end; a lease that ran out may be renewed yet.
        """
        return list((await self.session.execute(_DEAD, {"patient": patient})).scalars())

    async def lock_dead(self, names: Sequence[str], *, patient: bool) -> list[str]:
        """Return those that are dead still, locked against a renewal; one that is claiming now is left out."""
        return list((await self.session.execute(_LOCK, {"names": list(names), "patient": patient})).scalars())

    async def cut(self, names: Sequence[str]) -> int:
        """End the open transactions of processes that are dead and locked: a frozen one's. Returns how many."""
        applications = [application_of(name) for name in names]
        return int((await self.session.execute(_CUT, {"applications": applications})).scalar_one())

    async def end(self, names: Sequence[str]) -> set[str]:
        """Mark processes in whose name nothing runs any more. Returns them."""
        return set((await self.session.execute(_END, {"names": list(names)})).scalars())

    async def overdue(self, names: Sequence[str], limits: dict[str, float]) -> list[str]:
        """Return which processes run something past its hard limit. limits: task -> seconds."""
        values: dict[str, Any] = {"tasks": list(limits), "seconds": list(limits.values()), "names": list(names)}
        return list((await self.session.execute(_OVERDUE, values)).scalars())
