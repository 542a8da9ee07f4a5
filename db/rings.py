"""What should be on Redis, page by page: nothing here writes a row because its message may be gone.

A page is so many rows in the order of an index, whatever they are; a walk goes on behind its last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.claims import bell_keys
from db.executions import Bell
from db.halts import paused_sql

# The planner takes row security for a filter that nearly nothing passes, and would sort what an index has in order.
_IN_ORDER = text("SELECT set_config('enable_sort', 'off', true), set_config('enable_incremental_sort', 'off', true)")
_BELL = "task_name, queue, scheduled_for, id, generation"
_OWN = "user_id, account_id, subject"  # what a halt may be of


def _page(kind: str, shared: bool, wanted: str) -> str:
    """Return a page of users' executions, or of those without user, in the order of the index of their kind.

    Only wanted rows are answered, and the last, with how many there were before it.
    """
    behind = (
        "e.user_id IS NULL AND (e.queue, e.id) > (CAST(:queue AS text), CAST(:id AS bigint))"
        if shared
        else "(e.user_id, e.queue, e.id) > (CAST(:user_id AS bigint), CAST(:queue AS text), CAST(:id AS bigint))"
    )
    return f"""
        WITH page AS MATERIALIZED (
            SELECT {", ".join(f"e.{column}" for column in f"{_OWN}, {_BELL}".split(", "))}, e.status, e.rung_at,
                   coalesce(e.useful_until < (SELECT market_now()), false) AS is_late, row_number() OVER () AS number
            FROM (SELECT * FROM service_task_execution e WHERE {kind} AND {behind}
                  ORDER BY e.user_id, e.queue, e.id LIMIT :chunk) e)
        SELECT {_BELL}, user_id, number, {wanted} AS is_wanted, is_late AND status = 'queued' AS is_late
        FROM page WHERE {wanted} OR (is_late AND status = 'queued') OR number = (SELECT count(*) FROM page)
        ORDER BY number
    """


_RUNG, _RINGABLE = "e.is_open AND e.rung_at IS NOT NULL", "e.is_ringable"
# A copy of what a halt keeps from beginning would be claimed in vain.
_UNANSWERED = f"""
    (status = 'queued' AND NOT is_late AND rung_at < now() - make_interval(secs => :seconds)
     AND scheduled_for <= (SELECT market_now())
     AND NOT {paused_sql("page")})
"""
_WALKS = {
    (kind, shared): text(_page(kind, shared, _UNANSWERED if kind == _RUNG else "false"))
    for kind in (_RUNG, _RINGABLE)
    for shared in (False, True)
}

_RETRIES = text(
    f"""
    SELECT {_BELL}, next_attempt_at, extract(epoch FROM next_attempt_at - now())::float8 AS seconds,
           coalesce(useful_until < (SELECT market_now()), false) AS is_late
    FROM service_task_execution
    WHERE is_retrying AND (next_attempt_at, id) > (CAST(:at AS timestamptz), CAST(:id AS bigint))
    ORDER BY next_attempt_at, id LIMIT :chunk
    """
)

# What became of executions whose messages somebody claims and does not begin.
_STUCK = text(
    """
    SELECT w.id, w.generation, coalesce(e.generation <> w.generation, true)
               OR e.status NOT IN ('queued', 'retrying', 'running') AS is_over,
           coalesce(e.generation = w.generation AND e.status IN ('queued', 'retrying'), false) AS is_claimable,
           coalesce(e.losses, 0) > 0 AS is_suspect
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
         AS w(scheduled_for, id, generation)
    LEFT JOIN service_task_execution e ON e.scheduled_for = w.scheduled_for AND e.id = w.id
    """
)

_RENEW = text(
    f"""
    UPDATE service_task_execution e
    SET generation = e.generation + 1, rings = e.rings + 1, rung_at = CASE WHEN e.rung_at IS NOT NULL THEN now() END
    FROM unnest(CAST(:slots AS timestamptz[]), CAST(:ids AS bigint[]), CAST(:generations AS int[]))
         AS w(scheduled_for, id, generation)
    CROSS JOIN LATERAL (
        SELECT e.scheduled_for, e.id FROM service_task_execution e
        WHERE e.scheduled_for = w.scheduled_for AND e.id = w.id AND e.generation = w.generation
          AND e.status IN ('queued', 'retrying') AND NOT e.is_ringable
        FOR UPDATE OF e SKIP LOCKED) held
    WHERE e.scheduled_for = held.scheduled_for AND e.id = held.id
    RETURNING {", ".join(f"e.{column}" for column in _BELL.split(", "))}
    """
)


@dataclass(frozen=True, slots=True)
class Walk:
    """How far a walk over users, their queues and executions has come. user_id: None behind the last user."""

    user_id: int | None = 0
    queue: str = ""
    id: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a walk. unanswered: rung and not begun for long. late: past their use. after: None at the end."""

    unanswered: list[Bell]
    late: list[Bell]
    after: Walk | None


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry that waits. seconds: until it is due on the database's clock, negative when it is overdue."""

    bell: Bell
    at: datetime
    seconds: float
    is_late: bool


@dataclass(frozen=True, slots=True)
class Stuck:
    """How the execution of a message stands that is claimed. is_over: nobody needs the message."""

    is_over: bool
    is_claimable: bool
    is_suspect: bool


class RingRepository:
    """Walks over what is open, each page in a transaction of its own. Needs the system scope."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def rung(self, walk: Walk, seconds: float, chunk: int) -> Page:
        """Return the next page of what was rung. seconds: after which a bell counts as unanswered."""
        await self.session.execute(_IN_ORDER)
        return await self._page(_RUNG, walk, chunk, seconds=seconds)

    async def unrung(self, walk: Walk, chunk: int) -> Page:
        """Return the next page of what is queued and was not rung; only what is late of it is told."""
        await self.session.execute(_IN_ORDER)
        return await self._page(_RINGABLE, walk, chunk)

    async def retries(self, after: tuple[datetime, int], chunk: int) -> list[Retry]:
        """Return the next retries, those due first before others. after: due time and id of the last one before."""
        await self.session.execute(_IN_ORDER)
        rows = await self.session.execute(_RETRIES, {"at": after[0], "id": after[1], "chunk": chunk})
        return [Retry(Bell(*row[:5]), row.next_attempt_at, row.seconds, row.is_late) for row in rows]

    async def stuck(self, bells: Sequence[Bell]) -> dict[str, Stuck]:
        """Return how the executions of claimed messages stand, by the key of the bell."""
        rows = await self.session.execute(_STUCK, bell_keys(bells))
        return {f"{row[0]}.{row[1]}": Stuck(*row[2:]) for row in rows}

    async def renew(self, bells: Sequence[Bell]) -> list[Bell]:
        """Give what is still to be claimed under these bells a new generation. Returns its bells, to ring at once."""
        return [Bell(*row) for row in await self.session.execute(_RENEW, bell_keys(bells))]

    async def _page(self, kind: str, walk: Walk, chunk: int, **values: float) -> Page:
        """Return a page; one that ends with the last user goes on with what belongs to nobody."""
        shared = walk.user_id is None
        keys = {"queue": walk.queue, "id": walk.id} | ({} if shared else {"user_id": walk.user_id})
        rows = (await self.session.execute(_WALKS[kind, shared], {**keys, **values, "chunk": chunk})).all()
        unanswered = [Bell(*row[:5]) for row in rows if row.is_wanted]
        late = [Bell(*row[:5]) for row in rows if row.is_late]
        seen = rows[-1].number if rows else 0
        if seen == chunk:
            return Page(unanswered, late, Walk(rows[-1].user_id, rows[-1].queue, rows[-1].id))
        if shared:
            return Page(unanswered, late, None)
        rest = await self._page(kind, Walk(None), chunk - seen, **values)
        return Page(unanswered + rest.unanswered, late + rest.late, rest.after)
