"""How queues stand: what is on Redis, what Postgres says of it, who serves them, and what is next on each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from db.inspections import InspectionRepository, Row
from worker.bells.pages import QueueLook, RawPage, look, ready_page
from worker.inspection.letters import Letter, fields_of, letter_of
from worker.inspection.reach import Reach, Wish
from worker.inspection.walking import queue_names
from worker.inspection.workers import is_live
from worker.messages import QUEUES

_LOOKED_BACK_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class QueueState:
    """One queue. Counts of Redis's side are None for one user: it does not know whose a message is.

    ready, claimed, waiting, overdue, dead, delayed: messages. claimed: by workers that live; adrift: by others, or in
    no place. oldest_ready_seconds: since the first of the list was sent. oldest_overdue_seconds: since the first of
    those that wait was due. running, rung, backlog, retrying, needing: executions; rung have a message, the backlog is
    behind its users' share, those needing wait for a prerequisite. oldest_backlog_seconds: since it was made.
    """

    queue: str
    is_ours: bool
    ready: int | None
    claimed: int | None
    adrift: int | None
    waiting: int | None
    overdue: int | None
    dead: int | None
    delayed: int | None
    oldest_ready_seconds: float | None
    oldest_overdue_seconds: float | None
    newest_dead_seconds: float | None
    running: int
    rung: int
    backlog: int
    retrying: int
    needing: int
    oldest_backlog_seconds: float | None
    workers: int


async def queues(reach: Reach, *, user_id: int | None = None, queue: str | None = None) -> list[QueueState]:
    """Return all queues, ours first, then foreign ones that there is anything of. Raises RedisError or OSError.

    user_id: count one user's executions only. queue: that one alone.
    """
    names = [queue] if queue is not None else await queue_names(reach.redis)
    async with reach.database.reading(None) as session:
        inspection = InspectionRepository(session)
        rows = await inspection.queues(user_id)
        processes = [row for row in await inspection.workers(_LOOKED_BACK_SECONDS) if is_live(row)]
    looks = await look(reach.redis, names, [row["name"] for row in processes]) if user_id is None else {}
    serving = {name: sum(name in row["queues"].split(",") for row in processes) for name in names}
    return [_state(name, looks.get(name), rows.get(name, {}), serving[name]) for name in names]


async def ready(reach: Reach, queue: str, limit: int, behind: str | None = None) -> tuple[list[Letter], str | None]:
    """Return the next ready messages of a queue in their order, and the id to go on behind, None at the end."""
    page: RawPage = await ready_page(reach.redis, queue, limit, behind=behind or "")
    letters = [letter_of(queue, raw) for raw in page.messages]
    return letters, None if page.last or not letters else letters[-1].message_id


async def backlog(reach: Reach, wish: Wish, limit: int, after: int | None = None) -> tuple[list[Row], int | None]:
    """Return executions that are due and behind their users' share, in their order, and the id to go on behind."""
    wanted = {name: getattr(wish, name) for name in wish.__slots__}
    async with reach.database.reading(None) as session:
        rows = await InspectionRepository(session).backlog(limit + 1, after=after, **wanted)
    shown = rows[:limit]
    return shown, shown[-1]["id"] if len(rows) > limit else None


def _state(name: str, seen: QueueLook | None, row: Mapping[str, Any], workers: int) -> QueueState:
    overdue = row.get("overdue_seconds")
    of_rows: dict[str, Any] = {
        "running": row.get("running", 0),
        "rung": row.get("rung", 0),
        "backlog": row.get("backlog", 0),
        "retrying": row.get("retrying", 0),
        "needing": row.get("waiting", 0),
        "oldest_backlog_seconds": row.get("backlog_seconds"),
        "workers": workers,
    }
    if seen is None:
        late = overdue if overdue is not None and overdue > 0 else None
        nothing: dict[str, Any] = dict.fromkeys(
            ("ready", "claimed", "adrift", "waiting", "overdue", "dead", "delayed", "newest_dead_seconds")
        )
        oldest: dict[str, Any] = {"oldest_ready_seconds": row.get("rung_seconds"), "oldest_overdue_seconds": late}
        return QueueState(queue=name, is_ours=name in QUEUES, **nothing, **oldest, **of_rows)
    claimed = sum(seen.claimed)
    return QueueState(
        queue=name,
        is_ours=name in QUEUES,
        ready=seen.ready,
        claimed=claimed,
        adrift=max(seen.messages - seen.ready - claimed, 0),
        waiting=seen.waiting,
        overdue=seen.overdue,
        dead=seen.dead,
        delayed=seen.delayed,
        oldest_ready_seconds=_age(seen),
        oldest_overdue_seconds=_since(seen, seen.next_due_ms) if seen.overdue else None,
        newest_dead_seconds=_since(seen, seen.newest_dead_ms),
        **of_rows,
    )


def _age(seen: QueueLook) -> float | None:
    sent = fields_of(seen.first_message).get("message_timestamp")
    return _since(seen, int(sent)) if isinstance(sent, int | float) else None


def _since(seen: QueueLook, ms: int | None) -> float | None:
    return None if ms is None else max(seen.now_ms - ms, 0) / 1000
