"""Schedules and their pieces: what people set, and when each is due. How they fire: firings; for whom: fan-outs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import MAXYEAR, datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, Big, Created, Id, Json, Label, Line, Moment, Name, Word
from trading.calendar import Calendar
from trading.definitions import Definition, definition_of
from trading.errors import BadDefinition, BadTrigger, CalendarUncovered
from trading.firings import next_slot
from trading.own_times import Planned, day_ends, looked_from, turn, was_had


class ScheduleRow(Base):
    """When a task fires, for whom, by which policies, and how far its current fan-out has come.

    grace_seconds: after which a firing that is late is made of skipped rows; None: while it is useful. useful_seconds:
    from the slot on; None: as the task's plan says. catch_up, overlap: what becomes of slots that were missed, and of
    one whose predecessor is not over. jitter_seconds, spread_seconds: over which a slot's executions are laid, by
    chance and evenly. runs: slots fired, max_runs: until when. base_id: the schedule whose time its subscribers
    replaced by this one. version: of what people set, each kept in `schedule_versions`. firing_slot: of a wide fan-out
    under way; firing_reason: why its rows are made skipped; cursor: behind the subscriptions that pieces were made of.
    held_until: the end of a day whose slot was had before its time was changed.
    claim_until: before it nobody tries a schedule again that could not be fired; fault: why it could not, in words,
    until somebody fires, plans or edits it. claimed_by: who fired it last.
    """

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("scope IN ('shared', 'parameters', 'account')", name="scope"),
        CheckConstraint("catch_up IN ('none', 'last', 'all')", name="catch_up"),
        CheckConstraint("overlap IN ('allow', 'skip', 'queue', 'cancel')", name="overlap"),
        CheckConstraint(
            "condition IN ('has_open_position', 'has_live_order', 'has_failed_order', 'prices_missing')",
            name="condition",
        ),
        Index(None, "next_due_at"),
        Index(None, "firing_slot", postgresql_where="firing_slot IS NOT NULL"),
    )

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    task_name: Mapped[Name]
    trigger: Mapped[Label]
    description: Mapped[Line | None]
    scope: Mapped[Word]
    condition: Mapped[Name | None]
    exchange: Mapped[Word] = mapped_column(server_default="NSE")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    grace_seconds: Mapped[int | None]
    catch_up: Mapped[Word] = mapped_column(server_default="last")
    overlap: Mapped[Word] = mapped_column(server_default="allow")
    jitter_seconds: Mapped[int] = mapped_column(server_default="0")
    spread_seconds: Mapped[int] = mapped_column(server_default="0")
    useful_seconds: Mapped[int | None]
    starts_at: Mapped[Moment | None]
    ends_at: Mapped[Moment | None]
    max_runs: Mapped[int | None]
    runs: Mapped[int] = mapped_column(server_default="0")
    base_id: Mapped[Big | None] = mapped_column(ForeignKey("schedules.id"))
    version: Mapped[int] = mapped_column(server_default="1")
    next_due_at: Mapped[Moment | None]
    held_until: Mapped[Moment | None]
    firing_slot: Mapped[Moment | None]
    firing_reason: Mapped[Line | None]
    cursor: Mapped[Big] = mapped_column(server_default="0")
    claimed_by: Mapped[Name | None]
    claim_until: Mapped[Moment | None]
    fault: Mapped[Line | None]
    updated_by: Mapped[Name | None]
    updated_at: Mapped[Created]
    created_at: Mapped[Created]


class SchedulePieceRow(Base):
    """A piece of a wide fan-out that one scheduler works on: subscriptions after an id, up to another.

    It is deleted in the transaction that makes its executions. Any scheduler takes over one whose claim has run out.
    """

    __tablename__ = "schedule_pieces"
    __table_args__ = (UniqueConstraint("schedule_id", "slot", "after"),)

    id: Mapped[Id]
    schedule_id: Mapped[Big] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"))
    slot: Mapped[Moment]
    after: Mapped[Big]
    until: Mapped[Big]
    claimed_by: Mapped[Name]
    claim_until: Mapped[Moment]


class ScheduleVersionRow(Base):
    """What people had set of a schedule at each of its versions."""

    __tablename__ = "schedule_versions"

    schedule_id: Mapped[Big] = mapped_column(ForeignKey("schedules.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    definition: Mapped[Json]
    changed_by: Mapped[Name]
    created_at: Mapped[Created]


_PLANNED = text(
    """
    SELECT *, market_now() AS market_now,
           EXISTS (SELECT FROM market_clock WHERE speed IS NULL) AS replay
    FROM schedules WHERE exchange = :exchange AND next_due_at IS NOT NULL ORDER BY id FOR UPDATE
    """
)
_HOLD = text("UPDATE schedules SET held_until = :until WHERE id = :id")
_PLAN_AGAIN = text(
    "UPDATE schedules SET next_due_at = coalesce(CAST(:next AS timestamptz), 'infinity'), claim_until = NULL, "
    "fault = NULL WHERE id = :id"
)


class ScheduleRepository:
    """Queries over schedules and subscriptions."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def seed(self, defaults: Sequence[dict[str, Any]]) -> None:
        """Store the default schedules that are not there yet."""
        await self.session.execute(insert(ScheduleRow).values(list(defaults)).on_conflict_do_nothing())

    async def plan(self, schedule_id: int, next_due_at: datetime | None) -> None:
        """Give a schedule without one its next due time; None: nothing is due."""
        await self.session.execute(
            text(
                "UPDATE schedules SET next_due_at = coalesce(CAST(:next AS timestamptz), 'infinity'), "
                "claim_until = NULL, fault = NULL WHERE id = :id AND next_due_at IS NULL"
            ),
            {"id": schedule_id, "next": next_due_at},
        )

    async def replan(self, calendar: Calendar, was: Calendar | None) -> None:
        """Plan by another calendar every schedule of its exchange whose due time is still to come, or never came.

        What is due is fired by whoever sees it. was: the calendar before it, None: there was none. A day's slot that
        was had by it does not come again, and one that the new hours lay into the past is due at once.
        """
        for row in (await self.session.execute(_PLANNED, {"exchange": calendar.exchange})).all():
            try:
                definition = definition_of(row)
            except (BadTrigger, BadDefinition):
                continue  # it stays as it is: whoever fires it says what is wrong
            planned, now, is_daily = planned_of(row), row.market_now, row.replay
            if was is not None and was_had(definition.trigger, planned, was, now, is_daily):
                planned = replace(planned, held_until=day_ends(now))
                await self.session.execute(_HOLD, {"id": row.id, "until": planned.held_until})
            if planned.due is None or planned.due > now:
                following = _replanned(definition, planned, calendar, was, now, is_daily, row.runs)
                await self.session.execute(_PLAN_AGAIN, {"id": row.id, "next": following})

    async def unplanned(self) -> list[ScheduleRow]:
        """Return enabled schedules that have no next due time, as after seeding."""
        let_alone = ScheduleRow.claim_until.is_not(None) & (ScheduleRow.claim_until > func.now())
        query = select(ScheduleRow).where(ScheduleRow.enabled, ScheduleRow.next_due_at.is_(None), ~let_alone)
        return list((await self.session.execute(query.with_for_update(skip_locked=True))).scalars())

    async def market_now(self) -> datetime:
        """Return market now."""
        now: datetime = (await self.session.execute(text("SELECT market_now()"))).scalar_one()
        return now

    async def next_moment(self) -> datetime | None:
        """Return the earliest moment at which a schedule or a queued follow-up becomes due, or a halt of tasks ends."""
        query = text(
            # What cannot be fired holds no clock up.
            "SELECT least((SELECT min(next_due_at) FROM schedules "
            "WHERE enabled AND isfinite(next_due_at) AND fault IS NULL), "
            # Of the few that are not rung the earliest; not of all in their order the first that is not rung.
            "(SELECT min(e.scheduled_for) FROM (SELECT scheduled_for FROM service_task_execution "
            "WHERE is_ringable OFFSET 0) e WHERE e.scheduled_for > market_now()), "
            # What is due and not rung waits for a halt to end.
            "(SELECT min(until) FROM halts WHERE ended_at IS NULL AND tasks AND until > market_now())) AS at"
        )
        moment: datetime | None = (await self.session.execute(query)).scalar_one()
        return moment


def finite(moment: datetime | None) -> datetime | None:
    """Return a moment of a row; None for infinity, which Python reads as its last one."""
    return None if moment is None or moment.year == MAXYEAR else moment


def planned_of(row: Any) -> Planned:
    """Return how far a schedule is. row: of one."""
    return Planned(row.enabled, finite(row.next_due_at), row.firing_slot, row.held_until)


def _replanned(
    definition: Definition,
    planned: Planned,
    calendar: Calendar,
    was: Calendar | None,
    now: datetime,
    daily_bars: bool,
    runs: int,
) -> datetime | None:
    trigger, due = definition.trigger, planned.due
    is_held = planned.held_until is not None and planned.held_until > now
    if was is not None and planned.enabled and due is not None and due < day_ends(now) and not is_held:
        joins = turn(trigger, trigger, calendar, now, fired=False, daily_bars=daily_bars, was=was).joins
        if joins is not None:
            return joins
    try:
        begins = looked_from(trigger, calendar, now, planned.held_until, daily_bars)
        return next_slot(definition, calendar, begins, daily_bars, runs=runs)
    except CalendarUncovered:
        return None
