"""What people change of schedules: every edit is checked, kept as a version, audited and planned anew at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.audit_logs import AuditLogRepository
from db.calendar import EXCHANGE, CalendarRepository
from db.claims import SETTLED_CHANNEL
from db.clock import ClockRepository
from db.fan_outs import LAST_ID
from db.schedule_looks import ScheduleLookRepository
from db.schedules import ScheduleRow, ScheduleVersionRow, finite, planned_of
from trading.calendar import Calendar
from trading.definitions import COLUMNS, LONGEST_NAME, Definition, check, definition_of, read_definition
from trading.errors import BadDefinition, BadTrigger, CalendarMissing, CalendarUncovered
from trading.firings import next_slot
from trading.own_times import Turn, day_ends, looked_from, turn, was_had
from trading.triggers import Once, OnRequest, parse_trigger

# Another task, scope or condition is another schedule.
FIXED = ("name", "task_name", "scope", "condition", "exchange")
POLICIES = tuple(column for column in COLUMNS if column not in {*FIXED, "trigger"})
_SPANS = ("starts_at", "ends_at", "max_runs")

_SEEDED_BY = "seed"

_PLAN = text(
    "UPDATE schedules SET next_due_at = coalesce(CAST(:next AS timestamptz), 'infinity'), updated_at = now() "
    "WHERE id = :id"
)
_USED = text("SELECT EXISTS (SELECT FROM schedule_subscriptions WHERE schedule_id = :id)")
_TAKEN = text("SELECT name FROM schedules WHERE starts_with(name, :name)")
_NOTIFY = text(f"SELECT pg_notify('{SETTLED_CHANNEL}', '')")


@dataclass(frozen=True, slots=True)
class Ground:
    """What an edit stands on until its transaction ends: the calendar, held, market now, and whether bars are daily."""

    calendar: Calendar
    now: datetime
    daily_bars: bool


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit did. changes: field -> before and after, empty when nothing changed. next_due_at: None, never.

    firing_slot: the slot that is being fired meanwhile and stays. turn: what becomes of today. own_times: how many
    schedules with own times of users were changed with it.
    """

    id: int
    name: str
    version: int
    next_due_at: datetime | None
    changes: Mapping[str, list[Any]] = field(default_factory=dict)
    firing_slot: datetime | None = None
    turn: Turn = field(default_factory=Turn)
    own_times: int = 0


class FiringError(Exception):
    """A schedule is being fired at this moment: who changed its time now might have the day's slot twice, or not."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name!r} is being fired at this moment; nothing was changed, try again when that is over")


class ScheduleEditRepository:
    """Changes schedules. Needs the system scope.

    Locks are taken in one order by all: the calendar, then schedules, a base before what was made of it.
    """

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def ground(self, exchange: str = EXCHANGE) -> Ground:
        """Hold an exchange's calendar, and return it with market now. First in every edit.

        Raises LookupError without a calendar.
        """
        calendars = CalendarRepository(self.session)
        await calendars.hold(exchange)
        clock = await ClockRepository(self.session).read()
        daily_bars = await ScheduleLookRepository(self.session).daily_bars()
        return Ground(await calendars.load(exchange), clock.now, daily_bars)

    async def ground_of(self, name: str) -> Ground:
        """Return the ground of a schedule by its name.

        One that is not there stands on the usual exchange, as one of an exchange without calendar: it can be ended.
        """
        query = select(ScheduleRow.exchange).where(ScheduleRow.name == name)
        exchange = (await self.session.execute(query)).scalar_one_or_none()
        known = await CalendarRepository(self.session).exchanges()
        return await self.ground(exchange if exchange in known else EXCHANGE)

    async def hold(self, name: str) -> ScheduleRow | None:
        """Return a schedule by its name, locked; None: there is none."""
        query = select(ScheduleRow).where(ScheduleRow.name == name).with_for_update()
        return (await self.session.execute(query)).scalar_one_or_none()

    async def hold_id(self, schedule_id: int) -> ScheduleRow:
        """Return a schedule by its id, locked."""
        query = select(ScheduleRow).where(ScheduleRow.id == schedule_id).with_for_update()
        return (await self.session.execute(query)).scalar_one()

    async def add(self, ground: Ground, columns: Mapping[str, Any], by: str, description: str | None = None) -> Edited:
        """Store a new schedule. Raises BadDefinition and BadTrigger."""
        definition = read_definition(columns)
        check(definition, ground.calendar, ground.now)
        if await self.hold(definition.name) is not None:
            raise BadDefinition("name", definition.name, "there is one of that name", f"{definition.name} 2"[:64])
        return await self._store(ground, definition, by, description)

    async def same(self, columns: Mapping[str, Any]) -> Edited | None:
        """Return a schedule that is what somebody wants to add; None: there is none of that name, or it is another.

        Raises BadDefinition and BadTrigger.
        """
        wanted = read_definition(columns)
        row = await self.hold(wanted.name)
        if row is None or row.base_id is not None or _definition(row) != wanted:
            return None
        return Edited(row.id, row.name, row.version, finite(row.next_due_at), firing_slot=row.firing_slot)

    async def own_time(self, ground: Ground, base: ScheduleRow, trigger: str, by: str) -> ScheduleRow:
        """Return the schedule that fires as another one does at an own time; it is made if nobody had that time yet.

        base: held, so that of two who choose the same time at once the second finds what the first one made. Raises
        BadDefinition and BadTrigger.
        """
        asked = parse_trigger(trigger)
        wanted = str(asked)
        if wanted == base.trigger:
            return base
        if isinstance(asked, Once | OnRequest):
            raise BadDefinition("trigger", wanted, "an own time must come again by itself", "at 16:30")
        check(read_definition({**_columns(base), "trigger": wanted}), ground.calendar, ground.now)
        for own in await self.own_times(base.id):
            if own.trigger == wanted:
                if not own.enabled and base.enabled:
                    await self.switch(ground, own, True, by)
                return own
        name = await self._free_name(f"{base.name} {wanted}")
        definition = read_definition({**_columns(base), "trigger": wanted, "name": name})
        made = await self._store(ground, definition, by, f"own time of {base.name}", base.id)
        return await self.hold_id(made.id)

    async def own_times(self, base_id: int) -> list[ScheduleRow]:
        """Return the schedules that were made of another one for users with times of their own, locked."""
        query = select(ScheduleRow).where(ScheduleRow.base_id == base_id).order_by(ScheduleRow.id).with_for_update()
        return list((await self.session.execute(query)).scalars())

    async def change(self, ground: Ground, row: ScheduleRow, wanted: Mapping[str, Any], by: str) -> Edited:
        """Change columns of a held schedule; nothing is stored if they are as they were.

        Policies go for the own times of its users too. Raises BadDefinition and BadTrigger.
        """
        after = read_definition({**_columns(row), **wanted})
        check(after, ground.calendar, ground.now)
        return await self._change(ground, row, after, by)

    async def switch(self, ground: Ground, row: ScheduleRow, on: bool, by: str) -> Edited:
        """Switch a held schedule on or off, and with it the own times of its users.

        What would have fired while it was off is not caught up. What a firing under way has not made yet is not made.
        """
        if row.enabled == on:
            return Edited(row.id, row.name, row.version, finite(row.next_due_at), firing_slot=row.firing_slot)
        changes = {"enabled": [not on, on]}
        await self._keep_first(row)
        row.enabled = on
        await self._keep_next(row, by)
        if not on and row.firing_slot is not None:
            row.cursor = LAST_ID
        at = finite(row.next_due_at)
        if on and row.exchange != ground.calendar.exchange:
            raise CalendarMissing(row.exchange)
        if on and (at is None or at <= ground.now):
            at = await self._plan(ground, row, ground.now)
        followed = 0
        for own in await self.own_times(row.id):
            if not on or await self._is_used(own.id):
                followed += bool((await self.switch(ground, own, on, by)).changes)
        await self._tell(by, "enable" if on else "disable", row, changes)
        return Edited(row.id, row.name, row.version, at, changes, row.firing_slot, own_times=followed)

    async def retire(self, ground: Ground, schedule_id: int, by: str) -> bool:
        """Switch off an own time that nobody uses any more. Returns whether it was one."""
        row = await self.hold_id(schedule_id)
        if row.base_id is None or not row.enabled or await self._is_used(row.id):
            return False
        await self.switch(ground, row, False, by)
        return True

    async def versions(self, schedule_id: int) -> list[ScheduleVersionRow]:
        """Return what was kept of a schedule's versions, newest first; nothing before its first edit."""
        query = select(ScheduleVersionRow).where(ScheduleVersionRow.schedule_id == schedule_id)
        return list((await self.session.execute(query.order_by(ScheduleVersionRow.version.desc()))).scalars())

    async def _change(self, ground: Ground, row: ScheduleRow, after: Definition, by: str) -> Edited:
        old = _definition(row)
        if after == old:
            return Edited(row.id, row.name, row.version, finite(row.next_due_at), firing_slot=row.firing_slot)
        day = self._turn(ground, row, old, after)
        changes = await self._write(row, after, by)
        at = await self._plan_changed(ground, row, day, changes)
        passed_on = 0
        for own in await self.own_times(row.id):
            if _definition(own) is None:
                continue  # whoever fires it says what is wrong; those who chose it may choose another
            wanted = read_definition({**_columns(own), **{name: getattr(row, name) for name in POLICIES}})
            passed_on += bool((await self._change(ground, own, wanted, by)).changes)
        await self._tell(by, "update", row, changes)
        return Edited(row.id, row.name, row.version, at, changes, row.firing_slot, day, passed_on)

    async def _store(
        self, ground: Ground, new: Definition, by: str, description: str | None, base_id: int | None = None
    ) -> Edited:
        row = ScheduleRow(
            **{name: getattr(new, name) for name in FIXED}, **_policies(new), trigger=str(new.trigger), enabled=True,
            description=description, base_id=base_id, version=1, runs=0, updated_by=by,
        )  # fmt: skip
        self.session.add(row)
        await self.session.flush()
        await self._keep(row, by)
        at = await self._plan(ground, row, ground.now)
        changes: dict[str, list[Any]] = {name: [None, value] for name, value in new.written().items() if value}
        await self._tell(by, "create", row, changes)
        return Edited(row.id, row.name, 1, at, changes)

    async def _write(self, row: ScheduleRow, after: Definition, by: str) -> dict[str, list[Any]]:
        """Store a definition as the row's next version. Returns what changed."""
        old, new = _written(row), after.written()
        await self._keep_first(row)
        row.trigger = str(after.trigger)
        for name, value in _policies(after).items():
            setattr(row, name, value)
        await self._keep_next(row, by)
        return {name: [old[name], new[name]] for name in new if old[name] != new[name]}

    def _turn(self, ground: Ground, row: ScheduleRow, old: Definition | None, new: Definition) -> Turn:
        """Return what becomes of today, and keep that its slot was had, whatever the trigger is changed to later."""
        now, calendar, is_daily = ground.now, ground.calendar, ground.daily_bars
        before = old.trigger if old is not None else None
        if before == new.trigger:
            return Turn()
        planned = planned_of(row)
        fired = was_had(before, planned, calendar, now, is_daily)
        if fired:
            row.held_until = day_ends(now)
        if before is None or (not fired and not (planned.enabled and planned.due is not None and planned.due > now)):
            return Turn()
        return turn(before, new.trigger, calendar, now, fired=fired, daily_bars=is_daily)

    async def _plan_changed(
        self, ground: Ground, row: ScheduleRow, day: Turn, changes: Mapping[str, list[Any]]
    ) -> datetime | None:
        """Plan a schedule that was changed. A slot that has come already is fired first, by whoever sees it."""
        due = finite(row.next_due_at)
        is_kept = not changes.keys() & {"trigger", *_SPANS}
        if due is not None and (due <= ground.now or is_kept):
            return due
        if day.joins is not None:
            await self._set_due(row, day.joins)
            return day.joins
        return await self._plan(ground, row, ground.now)

    async def _plan(self, ground: Ground, row: ScheduleRow, after: datetime) -> datetime | None:
        """Give a held row its first due time after a moment, on a day whose slot was not had."""
        definition = definition_of(row)
        begins = looked_from(definition.trigger, ground.calendar, after, row.held_until, ground.daily_bars)
        try:
            at = next_slot(definition, ground.calendar, begins, ground.daily_bars, runs=row.runs)
        except CalendarUncovered:
            at = None
        await self._set_due(row, at)
        return at

    async def _set_due(self, row: ScheduleRow, at: datetime | None) -> None:
        await self.session.flush()
        await self.session.execute(_PLAN, {"id": row.id, "next": at})
        await self.session.refresh(row)

    async def _keep_first(self, row: ScheduleRow) -> None:
        """Keep the version that a schedule has had since it was seeded, before its first edit."""
        if await self.session.get(ScheduleVersionRow, (row.id, row.version)) is None:
            await self._keep(row, row.updated_by or _SEEDED_BY)

    async def _keep_next(self, row: ScheduleRow, by: str) -> None:
        row.version, row.updated_by = row.version + 1, by
        row.fault = row.claim_until = None  # it is looked at again at once
        await self._keep(row, by)

    async def _keep(self, row: ScheduleRow, by: str) -> None:
        version = ScheduleVersionRow(
            schedule_id=row.id, version=row.version, definition=_written(row) | {"enabled": row.enabled}, changed_by=by
        )
        self.session.add(version)
        await self.session.flush()

    async def _is_used(self, schedule_id: int) -> bool:
        used: bool = (await self.session.execute(_USED, {"id": schedule_id})).scalar_one()
        return used

    async def _free_name(self, wanted: str) -> str:
        taken = set((await self.session.execute(_TAKEN, {"name": wanted[: LONGEST_NAME - 8]})).scalars())
        names = (wanted, *(f"{wanted[: LONGEST_NAME - 8]} ({number})" for number in range(2, 1000)))
        return next(name for name in names if len(name) <= LONGEST_NAME and name not in taken)

    async def _tell(self, by: str, action: str, row: ScheduleRow, changes: Mapping[str, list[Any]]) -> None:
        await AuditLogRepository(self.session).record(
            by, action, "schedule", row.id, changes={**changes, "version": row.version, "name": row.name}
        )
        await self.session.execute(_NOTIFY)


def _columns(row: ScheduleRow) -> dict[str, Any]:
    return {column: getattr(row, column) for column in COLUMNS}


def _policies(definition: Definition) -> dict[str, Any]:
    moments = {"starts_at": definition.starts_at, "ends_at": definition.ends_at}
    return {name: value for name, value in definition.written().items() if name in POLICIES} | moments


def _written(row: ScheduleRow) -> dict[str, Any]:
    """Return a row's definition as JSON has it, one that cannot be read too."""
    read = _definition(row)
    if read is not None:
        return dict(read.written())
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in _columns(row).items()}


def _definition(row: ScheduleRow) -> Definition | None:
    """Return a row's definition; None for one that cannot be read, which an edit may mend."""
    try:
        return definition_of(row)
    except (BadTrigger, BadDefinition):
        return None
