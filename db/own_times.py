"""Users' own times: a subscription moves to the schedule of that time; the day's slot is neither lost nor doubled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.schedule_edits import FiringError, Ground, ScheduleEditRepository
from db.schedules import ScheduleRow, finite
from db.subscriptions import Part
from trading.calendar import exchange_day, exchange_time, ist
from trading.errors import BadTrigger
from trading.own_times import Turn, turn
from trading.triggers import parse_trigger

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Moved:
    """A subscription at its new time. fires: whether anything stands against it now: off, paused, a stopped service."""

    id: int
    account_id: int
    from_schedule_id: int
    turn: Turn
    fires: bool


# What was skipped before it began is no slot that was had, nor is a run on request.
_HELD = text(
    """
    SELECT s.id, s.account_id, s.schedule_id, s.enabled, v.service_running AND c.user_id IS NOT NULL AS runs,
           coalesce(s.paused_until > :now, false) AS is_paused,
           EXISTS (SELECT FROM service_task_execution e
                   WHERE e.user_id = s.user_id AND e.task_name = :task AND e.scheduled_for >= :begins
                     AND e.scheduled_for < :ends AND e.account_id = s.account_id
                     AND e.schedule_id = ANY(CAST(:family AS bigint[]))
                     AND NOT (e.status = 'skipped' AND e.executed_at IS NULL)
                     AND NOT starts_with(e.subject, 'manual:')) AS fired
    FROM schedule_subscriptions s JOIN service_status v ON v.user_id = s.user_id
    LEFT JOIN user_trading_config c ON c.user_id = s.user_id
    WHERE s.user_id = :user_id AND :base_id IN (s.schedule_id, s.base_id)
      AND (CAST(:account_id AS bigint) IS NULL OR s.account_id = :account_id)
    ORDER BY s.id FOR UPDATE OF s
    """
)
# A pause that lasts longer than what the day asks for stays.
_MOVE = text(
    """
    UPDATE schedule_subscriptions SET schedule_id = :schedule_id, base_id = :base_id,
        paused_until = greatest(CASE WHEN paused_until > :now THEN paused_until END, CAST(:held AS timestamptz)),
        paused_by = CASE WHEN paused_until > greatest(:now, CAST(:held AS timestamptz)) THEN paused_by
                         WHEN CAST(:held AS timestamptz) IS NOT NULL THEN CAST(:by AS text) END,
        pause_reason = CASE WHEN paused_until > greatest(:now, CAST(:held AS timestamptz)) THEN pause_reason
                            WHEN CAST(:held AS timestamptz) IS NOT NULL THEN CAST(:reason AS text) END
    WHERE id = :id
    """
)


class OwnTimeRepository:
    """Moves users between the times of a schedule. Needs the system scope, and the base held."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session
        self.edits = ScheduleEditRepository(session)

    async def choose(
        self, ground: Ground, base: ScheduleRow, user_id: int, trigger: str | None, by: str
    ) -> tuple[ScheduleRow, list[Moved]]:
        """Let a schedule fire for a user by an own time; None: by its own again.

        Who chooses the same time shares one schedule; one that nobody uses any more is switched off. Returns the
        schedule that fires from now on and the subscriptions that moved. Raises BadDefinition, BadTrigger, and
        FiringError while one of the two is being fired.
        """
        target = base if trigger is None else await self.edits.own_time(ground, base, trigger, by)
        family = {row.id: row for row in (base, *await self.edits.own_times(base.id))}
        rows = await self._rows(ground, base, list(family), Part(user_id, base.id))
        leaving = [row for row in rows if row.schedule_id != target.id]
        moved = [await self._move(ground, base, family[row.schedule_id], target, row, by) for row in leaving]
        for schedule_id in {one.from_schedule_id for one in moved} - {base.id}:
            await self.edits.retire(ground, schedule_id, by)
        return target, moved

    async def resumable(self, ground: Ground, base: ScheduleRow, part: Part) -> tuple[list[int], list[int]]:
        """Return which paused subscriptions may go on now, and which have had the slot of today already."""
        family = {row.id: row for row in (base, *await self.edits.own_times(base.id))}
        free: list[int] = []
        had: list[int] = []
        for row in await self._rows(ground, base, list(family), part):
            schedule = family[row.schedule_id]
            if not row.is_paused:
                continue
            (had if self._turn(ground, schedule, schedule, row).held_until else free).append(row.id)
        return free, had

    async def hold_back(self, ids: Sequence[int], until: datetime, by: str, reason: str) -> None:
        """Let subscriptions whose slot of the day was had not fire before its end."""
        statement = text(
            "UPDATE schedule_subscriptions SET paused_until = :until, paused_by = :by, pause_reason = :reason "
            "WHERE id = ANY(CAST(:ids AS bigint[]))"
        )
        await self.session.execute(statement, {"ids": list(ids), "until": until, "by": by, "reason": reason})

    async def _rows(self, ground: Ground, base: ScheduleRow, family: list[int], part: Part) -> list[Any]:
        day = exchange_day(ground.now)
        values = {
            **part.values(), "now": ground.now, "task": base.task_name, "family": family,
            "begins": ist(day, time()), "ends": ist(day + _DAY, time()),
        }  # fmt: skip
        return list((await self.session.execute(_HELD, values)).all())

    async def _move(
        self, ground: Ground, base: ScheduleRow, old: ScheduleRow, new: ScheduleRow, row: Any, by: str
    ) -> Moved:
        for one in (old, new):
            if one.firing_slot is not None:
                raise FiringError(one.name)
        day = self._turn(ground, old, new, row)
        values = {
            "id": row.id,
            "schedule_id": new.id,
            "base_id": None if new.id == base.id else base.id,
            "now": ground.now,
            "held": day.held_until,
            "by": by,
            "reason": had_reason(ground),
        }
        await self.session.execute(_MOVE, values)
        fires = row.enabled and row.runs and not row.is_paused and old.enabled
        return Moved(row.id, row.account_id, old.id, day, fires)

    def _turn(self, ground: Ground, old: ScheduleRow, new: ScheduleRow, row: Any) -> Turn:
        due, after = finite(old.next_due_at), parse_trigger(new.trigger)
        try:
            before = parse_trigger(old.trigger)
        except BadTrigger:  # nobody knows when that would have been; the record knows whether it was
            before = after
        return turn(
            before,
            after,
            ground.calendar,
            ground.now,
            fired=row.fired,
            overdue=due is not None and due <= ground.now,
            held=new.held_until is not None and new.held_until > ground.now,
            daily_bars=ground.daily_bars,
        )


def had_reason(ground: Ground) -> str:
    """Return why a subscription waits for the next day."""
    return f"the slot of {exchange_time(ground.now):%Y-%m-%d} has fired at another time"
