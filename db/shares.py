"""A user's share of a queue: so many executions of one user may be on Redis at once; each that ends lets the next on.

So nobody's backlog stands before another's, and Redis stays small. What belongs to no user is not limited. A retry that
waits for its time is not counted, and asks nobody for room when it is due.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.executions import Bell
from db.halts import may_begin_sql

# What a halt keeps from beginning has no turn: others of its user pass it.
_MAY_BEGIN = may_begin_sql("e")
_BELL = "e.task_name, e.queue, e.scheduled_for, e.id, e.generation"

_BACKLOG = text(
    f"""
    SELECT DISTINCT u.user_id FROM unnest(CAST(:user_ids AS bigint[])) AS u(user_id)
    WHERE (SELECT true FROM service_task_execution e
           WHERE e.user_id = u.user_id AND e.is_ringable AND e.scheduled_for <= (SELECT market_now()) AND {_MAY_BEGIN}
           ORDER BY e.user_id, e.queue, e.id LIMIT 1)
    """
)
# Who counts a user's share holds this lock, so that two never let the same place be taken twice. What is counted under
# it must be read by a later statement: the one that waits for a lock sees what was there before it waited.
_HOLD = text("SELECT FROM service_status WHERE user_id = ANY(CAST(:user_ids AS bigint[])) ORDER BY user_id FOR UPDATE")
# A user whose executions are being settled now is let on by who settles them.
_HOLD_FREE = text(
    "SELECT user_id FROM service_status WHERE user_id = ANY(CAST(:user_ids AS bigint[])) FOR UPDATE SKIP LOCKED"
)
_RING = text(
    f"""
    WITH clock AS MATERIALIZED (SELECT market_now() AS market_now),
    room AS MATERIALIZED (
        SELECT p.user_id, p.queue, :share - (
            SELECT count(*) FROM service_task_execution e
            WHERE e.user_id = p.user_id AND e.queue = p.queue AND e.is_open AND e.rung_at IS NOT NULL) AS free
        FROM unnest(CAST(:user_ids AS bigint[]), CAST(:queues AS text[])) AS p(user_id, queue)),
    following AS MATERIALIZED (
        SELECT n.scheduled_for, n.id FROM room r CROSS JOIN clock CROSS JOIN LATERAL (
            SELECT e.scheduled_for, e.id FROM service_task_execution e
            WHERE e.user_id = r.user_id AND e.queue = r.queue AND e.is_ringable AND e.scheduled_for <= clock.market_now
              AND {_MAY_BEGIN}
            ORDER BY e.user_id, e.queue, e.id LIMIT greatest(r.free, 0) FOR UPDATE OF e SKIP LOCKED) n)
    UPDATE service_task_execution e SET rung_at = now()
    FROM following n WHERE e.scheduled_for = n.scheduled_for AND e.id = n.id
    RETURNING {_BELL}
    """
)
# From one user and queue to the next, by the index, however many executions either has: a backlog costs what one does.
_PLACES = text(
    f"""
    WITH RECURSIVE clock AS MATERIALIZED (SELECT market_now() AS market_now),
    place AS (
        (SELECT e.user_id, e.queue, 1 AS number FROM service_task_execution e
         WHERE e.is_ringable AND (e.user_id, e.queue) > (CAST(:user_id AS bigint), CAST(:queue AS text))
         ORDER BY e.user_id, e.queue LIMIT 1)
        UNION ALL
        SELECT n.user_id, n.queue, p.number + 1 FROM place p CROSS JOIN LATERAL (
            SELECT e.user_id, e.queue FROM service_task_execution e
            WHERE e.is_ringable AND (e.user_id, e.queue) > (p.user_id, p.queue)
            ORDER BY e.user_id, e.queue LIMIT 1) n
        WHERE p.number < :places)
    SELECT p.user_id, p.queue,
           (SELECT count(*) FROM (
                SELECT FROM service_task_execution e
                WHERE e.user_id = p.user_id AND e.queue = p.queue AND e.is_open AND e.rung_at IS NOT NULL
                LIMIT :share) held) < :share
           AND coalesce((
                SELECT true FROM service_task_execution e CROSS JOIN clock
                WHERE e.user_id = p.user_id AND e.queue = p.queue AND e.is_ringable
                  AND e.scheduled_for <= clock.market_now AND {_MAY_BEGIN}
                ORDER BY e.user_id, e.queue, e.id LIMIT 1), false) AS has_next
    FROM place p
    """
)
_RING_SHARED = text(
    f"""
    UPDATE service_task_execution e SET rung_at = now()
    FROM (SELECT e.scheduled_for, e.id FROM service_task_execution e
          WHERE e.is_ringable AND e.user_id IS NULL AND e.scheduled_for <= (SELECT market_now()) AND {_MAY_BEGIN}
          ORDER BY e.queue, e.id LIMIT :chunk FOR UPDATE OF e SKIP LOCKED) n
    WHERE e.scheduled_for = n.scheduled_for AND e.id = n.id
    RETURNING {_BELL}
    """
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk over users and their queues stands: behind these."""

    user_id: int = 0
    queue: str = ""


class ShareRepository:
    """Lets users' executions onto Redis within their share. Needs the system scope.

    share: of one user in one queue.
    """

    def __init__(self, session: AsyncSession, share: int) -> None:
        self.session, self.share = session, share

    async def ring_next(self, user_ids: Collection[int], queues: Sequence[str]) -> list[Bell]:
        """Mark as rung what is due of users and has room, oldest first. Returns the bells to ring after the commit.

        Waits for whoever counts the same users.
        """
        return await self.ring_held(await self.hold(user_ids), queues)

    async def hold(self, user_ids: Collection[int], written: Collection[int] = ()) -> list[int]:
        """Lock the users who have something due that is not rung, and return them.

        written: users whose state this transaction writes too: locked in the same order, or two would wait for each
        other.
        """
        asked = await self.session.execute(_BACKLOG, {"user_ids": sorted(user_ids)})
        behind = sorted(asked.scalars())
        if behind or written:
            await self.session.execute(_HOLD, {"user_ids": sorted({*behind, *written})})
        return behind

    async def ring_held(self, user_ids: Sequence[int], queues: Sequence[str]) -> list[Bell]:
        """Mark as rung what is due and has room of users that are held, oldest first. Returns the bells to ring."""
        return await self._ring([(user_id, queue) for user_id in user_ids for queue in queues]) if user_ids else []

    async def ring_free(self, places: Collection[tuple[int, str]]) -> list[Bell]:
        """Mark as rung what is due of users in queues and has room, oldest first, unless somebody else counts them.

        Returns the bells to ring after the commit.
        """
        free = set(await self._hold_free({user_id for user_id, _ in places}))
        held = sorted({place for place in places if place[0] in free})
        return await self._ring(held) if held else []

    async def ring_due(self, behind: Place, places: int) -> tuple[list[Bell], Place | None]:
        """Mark as rung what is due and has room of the next users and queues behind a place.

        places: how many to look at. Returns the bells to ring after the commit, and where to go on; None at the end.
        """
        values = {"user_id": behind.user_id, "queue": behind.queue, "places": places, "share": self.share}
        seen = (await self.session.execute(_PLACES, values)).all()
        bells = await self.ring_free([(row.user_id, row.queue) for row in seen if row.has_next])
        return bells, Place(seen[-1].user_id, seen[-1].queue) if len(seen) == places else None

    async def ring_shared(self, chunk: int) -> list[Bell]:
        """Mark as rung what is due and belongs to no user. Returns the bells to ring after the commit."""
        return [Bell(*row) for row in await self.session.execute(_RING_SHARED, {"chunk": chunk})]

    async def _hold_free(self, user_ids: Collection[int]) -> list[int]:
        if not user_ids:
            return []
        return list((await self.session.execute(_HOLD_FREE, {"user_ids": sorted(user_ids)})).scalars())

    async def _ring(self, places: Sequence[tuple[int, str]]) -> list[Bell]:
        user_ids, queues = [user_id for user_id, _ in places], [queue for _, queue in places]
        values = {"user_ids": user_ids, "queues": queues, "share": self.share}
        return [Bell(*row) for row in await self.session.execute(_RING, values)]
