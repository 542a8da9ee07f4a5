"""What is due and who fires it: due schedules under their row's lock, pieces of wide fan-outs under a claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.fan_outs import LAST_ID

_SET = """
    d.id, d.name, d.task_name, d.trigger, d.scope, d.condition, d.exchange, d.grace_seconds, d.catch_up, d.overlap,
    d.jitter_seconds, d.spread_seconds, d.useful_seconds, d.starts_at, d.ends_at, d.max_runs, d.runs, d.next_due_at,
    d.held_until, d.firing_slot, d.firing_reason, d.cursor
"""
_CLOCK = """
    (SELECT market_now()) AS market_now,
    coalesce((SELECT CASE WHEN speed > 0 THEN speed END FROM market_clock), 1) AS speed
"""

# What cannot be fired is let alone for a while.
_NOT_PUT_OFF = "(d.claim_until IS NULL OR d.claim_until < now())"

# A scheduler that freezes with its rows locked is put out soon, and its rows are another's; a lost one at once.
_SHORTLY = text("SELECT set_config('idle_in_transaction_session_timeout', :ms, true)")

_DUE = text(
    f"""
    SELECT {_SET}, {_CLOCK} FROM schedules d
    WHERE d.enabled AND d.firing_slot IS NULL AND d.next_due_at <= (SELECT market_now())
      AND {_NOT_PUT_OFF}
    ORDER BY d.next_due_at, d.id LIMIT :most FOR UPDATE OF d SKIP LOCKED
    """
)
# Whoever puts off first says why; what was said is not said again.
_PUT_OFF = text(
    """
    UPDATE schedules d SET claim_until = now() + make_interval(secs => :seconds), fault = f.fault
    FROM (SELECT u.id, left(u.fault, 512) AS fault, was.fault AS was
          FROM unnest(CAST(:ids AS bigint[]), CAST(:faults AS text[])) AS u(id, fault)
          JOIN schedules was ON was.id = u.id) f
    WHERE d.id = f.id RETURNING d.id, f.was IS DISTINCT FROM f.fault AS is_new
    """
)
# One statement ends what is complete and begins what is wide.
_SETTLE = text(
    """
    UPDATE schedules d
    SET next_due_at = CASE WHEN s.cursor IS NULL THEN coalesce(s.next, 'infinity') ELSE d.next_due_at END,
        runs = d.runs + CASE WHEN s.cursor IS NULL THEN s.run ELSE 0 END,
        firing_slot = CASE WHEN s.cursor IS NOT NULL THEN s.slot END,
        firing_reason = CASE WHEN s.cursor IS NOT NULL THEN s.reason END,
        cursor = coalesce(s.cursor, 0), claimed_by = :by, claim_until = NULL, fault = NULL
    FROM unnest(CAST(:ids AS bigint[]), CAST(:slots AS timestamptz[]), CAST(:nexts AS timestamptz[]),
                CAST(:runs AS int[]), CAST(:cursors AS bigint[]), CAST(:reasons AS text[]))
         AS s(id, slot, next, run, cursor, reason)
    WHERE d.id = s.id
    """
)

# The next piece of the oldest slot: the row is locked for a moment only, because the piece is made in a transaction
# of its own. Nothing is lost if this one is not on disk yet: whatever is written after it is behind it there. The
# planner takes row security for a filter that nearly nothing passes, and would read and sort all subscriptions of a
# schedule for the first few thousand behind a cursor: without sorts it walks along their order.
_QUICKLY = text(
    "SELECT set_config('synchronous_commit', 'off', true), set_config('enable_sort', 'off', true), "
    "set_config('enable_incremental_sort', 'off', true)"
)
_TAKE = text(
    f"""
    WITH wide AS MATERIALIZED (
        SELECT {_SET}, {_CLOCK} FROM schedules d
        WHERE d.enabled AND d.firing_slot IS NOT NULL AND d.cursor < {LAST_ID} AND {_NOT_PUT_OFF}
        ORDER BY d.firing_slot, d.id LIMIT 1 FOR UPDATE OF d),
    ends AS MATERIALIZED (
        SELECT n.seen, CASE WHEN n.seen < :chunk THEN {LAST_ID} ELSE n.last END AS until
        FROM wide CROSS JOIN LATERAL (
            SELECT count(*) AS seen, max(s.id) AS last FROM (
                SELECT s.id FROM schedule_subscriptions s
                WHERE (s.schedule_id, s.id) > (wide.id, wide.cursor) AND (s.schedule_id, s.id) <= (wide.id, {LAST_ID})
                ORDER BY s.schedule_id, s.id LIMIT :chunk) s) n),
    moved AS (
        UPDATE schedules d SET cursor = ends.until FROM wide, ends WHERE d.id = wide.id RETURNING d.id),
    piece AS (
        INSERT INTO schedule_pieces (schedule_id, slot, after, until, claimed_by, claim_until)
        SELECT wide.id, wide.firing_slot, wide.cursor, ends.until, :by, now() + make_interval(secs => :seconds)
        FROM wide, ends, moved WHERE ends.seen > 0
        RETURNING id)
    SELECT wide.*, (SELECT id FROM piece) AS piece_id, wide.cursor AS after, ends.until FROM wide, ends
    """
)
_TAKE_OVER = text(
    f"""
    WITH piece AS (
        UPDATE schedule_pieces SET claimed_by = :by, claim_until = now() + make_interval(secs => :seconds)
        WHERE id = (SELECT p.id FROM schedule_pieces p JOIN schedules d ON d.id = p.schedule_id
                    WHERE p.claim_until < now() AND {_NOT_PUT_OFF} ORDER BY p.id LIMIT 1 FOR UPDATE OF p SKIP LOCKED)
        RETURNING id, schedule_id, slot, after, until)
    SELECT {_SET}, {_CLOCK}, piece.id AS piece_id, piece.after, piece.until
    FROM piece JOIN schedules d ON d.id = piece.schedule_id AND d.firing_slot = piece.slot
    """
)
_DROP = text("DELETE FROM schedule_pieces WHERE id = :id AND claimed_by = :by RETURNING id")
_OVER = text(
    f"""
    SELECT {_SET}, {_CLOCK} FROM schedules d
    WHERE d.firing_slot IS NOT NULL AND d.cursor = {LAST_ID} AND {_NOT_PUT_OFF}
      AND NOT EXISTS (SELECT FROM schedule_pieces p WHERE p.schedule_id = d.id AND p.slot = d.firing_slot)
    ORDER BY d.id FOR UPDATE OF d SKIP LOCKED
    """
)


@dataclass(frozen=True, slots=True)
class Fired:
    """What becomes of a due schedule. next: None, nothing more is due. ran: this counts as a run.

    cursor: of a wide slot, behind its first subscribers; None: the slot is complete. reason: why its rows are skipped.
    """

    schedule_id: int
    slot: datetime
    next: datetime | None
    ran: bool = True
    cursor: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Piece:
    """A claimed piece of a wide fan-out. id: None for an empty one at the end. row: its schedule's."""

    id: int | None
    row: Any
    after: int
    until: int


class FiringRepository:
    """Queries over what is due. Needs the system scope. by: the scheduler that asks."""

    def __init__(self, session: AsyncSession, by: str) -> None:
        self.session, self.by = session, by

    async def due(self, most: int, idle_seconds: float) -> Sequence[Row[Any]]:
        """Lock so many due schedules that nobody else has locked, the oldest first.

        idle_seconds: after which the server ends this transaction when it hears nothing from us.
        """
        await self.session.execute(_SHORTLY, {"ms": str(int(idle_seconds * 1000))})
        return (await self.session.execute(_DUE, {"most": most})).all()

    async def put_off(self, faults: Mapping[int, str], seconds: float) -> set[int]:
        """Let schedules that cannot be fired alone for so many seconds of machine time.

        faults: why, in words, by their ids. Returns those of which nobody has said it yet.
        """
        values = {"ids": list(faults), "faults": list(faults.values()), "seconds": seconds}
        return {row.id for row in await self.session.execute(_PUT_OFF, values) if row.is_new}

    async def settle(self, fired: Sequence[Fired]) -> None:
        """Plan the next slot of what is complete, and open to all schedulers what is wide."""
        if not fired:
            return
        values = {
            "ids": [one.schedule_id for one in fired],
            "slots": [one.slot for one in fired],
            "nexts": [one.next for one in fired],
            "runs": [int(one.ran) for one in fired],
            "cursors": [one.cursor for one in fired],
            "reasons": [one.reason for one in fired],
        }
        await self.session.execute(_SETTLE, {**values, "by": self.by})

    async def take(self, chunk: int, seconds: float) -> Piece | None:
        """Claim the next piece of a wide fan-out, of so many subscribers. seconds: of machine time.

        None when no piece is left to take.
        """
        await self.session.execute(_QUICKLY)
        values = {"chunk": chunk, "by": self.by, "seconds": seconds}
        return _piece((await self.session.execute(_TAKE, values)).one_or_none())

    async def take_over(self, seconds: float) -> Piece | None:
        """Claim a piece whose claim has run out, if there is one."""
        values = {"by": self.by, "seconds": seconds}
        return _piece((await self.session.execute(_TAKE_OVER, values)).one_or_none())

    async def drop(self, piece_id: int) -> bool:
        """Take a piece off the list, first in the transaction that makes it. False: another scheduler has it now."""
        values = {"id": piece_id, "by": self.by}
        return (await self.session.execute(_DROP, values)).one_or_none() is not None

    async def over(self) -> Sequence[Row[Any]]:
        """Lock the schedules whose fan-out is at its end with no piece left, in a later transaction than `drop`."""
        return (await self.session.execute(_OVER)).all()


def _piece(row: Row[Any] | None) -> Piece | None:
    return None if row is None else Piece(row.piece_id, row, row.after, row.until)
