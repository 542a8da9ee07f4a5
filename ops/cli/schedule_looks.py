"""What the commands print that look at schedules: the list, one of them, its versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import CalendarRepository
from db.clock import ClockRepository
from db.schedule_edits import ScheduleEditRepository
from db.schedule_looks import ScheduleLookRepository
from db.schedules import ScheduleRow, finite
from ops.cli.reach import reading
from ops.cli.schedule_work import no_schedule, said_moment
from ops.cli.tables import age, console, print_facts, print_json, print_rows
from scheduler.slots import UNUSABLE, said, usable
from trading.calendar import Calendar
from trading.definitions import COLUMNS, Definition, definition_of
from trading.errors import CalendarMissing, CalendarUncovered
from trading.firings import firings

NEXT = 5
# Slots after the last one of the next ten years are nobody's concern.
FAR = timedelta(days=3653)
# How far back the latest slot is looked for: a day, a long weekend, a year.
_BACK = (timedelta(days=1), timedelta(days=10), timedelta(days=370))


@dataclass(frozen=True, slots=True)
class Ground:
    """What looks stand on: market now, whether slots are those of daily bars, and the calendars by exchange."""

    now: datetime
    daily_bars: bool
    calendars: Mapping[str, Calendar]


async def ground_of(session: AsyncSession) -> Ground:
    """Return the ground of looks in a transaction. Raises LookupError without a calendar."""
    clock, calendars = await ClockRepository(session).read(), CalendarRepository(session)
    known = {name: await calendars.load(name) for name in await calendars.exchanges()}
    return Ground(clock.now, await ScheduleLookRepository(session).daily_bars(), known)


async def find(session: AsyncSession, name: str) -> ScheduleRow:
    """Return a schedule by its name. Raises typer.BadParameter when there is none."""
    row = await ScheduleLookRepository(session).named(name)
    if row is None:
        raise no_schedule(name)
    return row


def definition_or_none(row: ScheduleRow) -> Definition | None:
    """Return a row's definition; None for one that cannot be read."""
    try:
        return definition_of(row)
    except UNUSABLE:
        return None


def fault_of(row: ScheduleRow, ground: Ground) -> str | None:
    """Return in words why a schedule cannot be fired; None: nothing is known against it."""
    try:
        usable(row)
    except UNUSABLE as error:
        return said(error)
    return row.fault if row.exchange in ground.calendars else str(CalendarMissing(row.exchange))


def cannot_fire(name: str, fault: str) -> str:
    """Return the sentence that tells of a schedule that cannot be fired, and what to do."""
    return (
        f"{name} cannot fire: {fault}. The others fire; mend it by `muhurat schedules edit`, or "
        f"`muhurat schedules disable '{name}'`"
    )


def held_span(row: ScheduleRow, now: datetime) -> tuple[datetime, datetime] | None:
    """Return from when until when a schedule does not fire, being planned for later; None: it is due, or unplanned."""
    due = finite(row.next_due_at)
    return None if due is None or due <= now else (now, due)


def latest_slot(definition: Definition, calendar: Calendar, now: datetime, daily_bars: bool) -> datetime | None:
    """Return the latest slot that has come; None without one of the last year."""
    for span in _BACK:
        try:
            came = [one.slot for one in firings(definition, calendar, now - span, now, daily_bars)]
        except CalendarUncovered:
            return None
        if came:
            return came[-1]
    return None


def next_slots(row: ScheduleRow, ground: Ground, most: int) -> list[datetime]:
    """Return the next slots of a schedule by its trigger, from what is due and not fired yet on."""
    definition, calendar = definition_or_none(row), ground.calendars.get(row.exchange)
    due = finite(row.next_due_at)
    if definition is None or calendar is None or not row.enabled:
        return []
    after = ground.now if due is None else due - timedelta(microseconds=1)
    try:
        found = firings(definition, calendar, after, ground.now + FAR, ground.daily_bars, runs=row.runs)
        return list(islice((one.slot for one in found if one.outcome == "fires"), most))
    except CalendarUncovered:
        return []


def list_all(task: str | None, *, as_json: bool) -> None:
    """Print every schedule, or those of a task."""

    async def look(session: AsyncSession) -> tuple[Ground, list[ScheduleRow], dict[int, int]]:
        looks = ScheduleLookRepository(session)
        rows = [row for row in await looks.all() if task in (None, row.task_name)]
        return await ground_of(session), rows, await looks.counts()

    with Console(stderr=True).status("Counting subscribers"):
        ground, rows, counts = reading(look)
    found = [_facts(row, ground, counts) for row in rows]
    if as_json:
        print_json({"market_now": ground.now, "schedules": found})
        return
    columns = (
        "name",
        "task",
        "trigger",
        "scope",
        "condition",
        "policies",
        "next_due",
        "last_slot",
        "subscribers",
        "on",
    )
    print_rows("Schedules (times in IST)", [_line(one) for one in found], columns=columns, empty="`muhurat migrate`")
    _print_faults(found)


def show_one(name: str, *, as_json: bool) -> None:
    """Print one schedule."""

    async def look(session: AsyncSession) -> dict[str, Any]:
        row, looks = await find(session, name), ScheduleLookRepository(session)
        ground = await ground_of(session)
        subscribers = await looks.subscribers(row.id) if row.scope == "account" else None
        kept = await ScheduleEditRepository(session).versions(row.id)
        base = next((one.name for one in await looks.all() if one.id == row.base_id), None)
        return {
            **_facts(row, ground, {}),
            "description": row.description,
            "own_time_of": base,
            "subscribers": subscribers,
            "next": next_slots(row, ground, NEXT),
            "firing_slot": row.firing_slot,
            "versions": len(kept) or 1,
            "changed_by": row.updated_by,
            "market_now": ground.now,
        }

    with Console(stderr=True).status("Counting subscribers"):
        found = reading(look)
    if as_json:
        print_json(found)
        return
    words = _line(found)
    facts = {key: value for key, value in words.items() if key not in ("subscribers", "name")}
    print_facts(f"{name} (times in IST)", {**facts, "description": found["description"], "version": found["version"],
                                           "own_time_of": found["own_time_of"], "changed_by": found["changed_by"],
                                           "firing_slot": found["firing_slot"]})  # fmt: skip
    _print_faults([found])
    if found["subscribers"] is not None:
        print_facts("Accounts", found["subscribers"])
    slots = [{"slot": slot, "in": age((slot - found["market_now"]).total_seconds())} for slot in found["next"]]
    print_rows("Next (times in IST)", slots, empty="nothing more is due")


def show_versions(name: str, *, as_json: bool) -> None:
    """Print what was changed of a schedule, newest first."""

    async def look(session: AsyncSession) -> list[dict[str, Any]]:
        row = await find(session, name)
        kept = await ScheduleEditRepository(session).versions(row.id)
        if not kept:
            only = {column: _plain(getattr(row, column)) for column in COLUMNS}
            return [{"version": row.version, "changed_by": "seed", "at": row.created_at, "definition": only}]
        return [
            {"version": one.version, "changed_by": one.changed_by, "at": one.created_at, "definition": one.definition}
            for one in kept
        ]

    versions = reading(look)
    rows = [{**one, "changes": changes(before, one)} for one, before in _with_previous(versions)]
    if as_json:
        print_json({"schedule": name, "versions": rows})
        return
    lines = [{**one, "changes": _said_changes(one["changes"])} for one in rows]
    print_rows(f"Versions of {name} (times in IST)", lines, columns=("version", "at", "changed_by", "changes"))


def changes(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what is different between two versions; the first one came as it is."""
    if before is None:
        return {}
    old, new = before["definition"], after["definition"]
    return {key: [old.get(key), new[key]] for key in new if old.get(key) != new[key]}


def _with_previous(versions: Sequence[Mapping[str, Any]]) -> list[tuple[Mapping[str, Any], Mapping[str, Any] | None]]:
    return list(zip(versions, [*versions[1:], None], strict=True))


def _facts(row: ScheduleRow, ground: Ground, counts: Mapping[int, int]) -> dict[str, Any]:
    definition, calendar = definition_or_none(row), ground.calendars.get(row.exchange)
    last = None
    if definition is not None and calendar is not None:
        last = latest_slot(definition, calendar, ground.now, ground.daily_bars)
    return {
        "id": row.id,
        "name": row.name,
        "task": row.task_name,
        "trigger": row.trigger,
        "scope": row.scope,
        "condition": row.condition,
        "exchange": row.exchange,
        "grace_seconds": row.grace_seconds,
        "catch_up": row.catch_up,
        "overlap": row.overlap,
        "jitter_seconds": row.jitter_seconds,
        "spread_seconds": row.spread_seconds,
        "useful_seconds": row.useful_seconds,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "max_runs": row.max_runs,
        "runs": row.runs,
        "version": row.version,
        "enabled": row.enabled,
        "next_due_at": next(iter(next_slots(row, ground, 1)), None),
        "last_slot": last,
        "subscribers": counts.get(row.id, 0) if row.scope == "account" else None,
        "unreadable": definition is None,
        "fault": fault_of(row, ground),
    }


def _print_faults(found: Sequence[Mapping[str, Any]]) -> None:
    for one in found:
        if one["fault"] is not None and one["enabled"]:
            line = cannot_fire(one["name"], one["fault"])
            console().print(line, style="red", highlight=False, markup=False, soft_wrap=True)


def _line(found: Mapping[str, Any]) -> dict[str, Any]:
    trigger = f"{found['trigger']} (cannot be read)" if found["unreadable"] else found["trigger"]
    return {
        "name": found["name"],
        "task": found["task"],
        "trigger": trigger,
        "scope": found["scope"],
        "condition": found["condition"],
        "policies": said_policies(found),
        "next_due": found["next_due_at"],
        "last_slot": found["last_slot"],
        "subscribers": found["subscribers"],
        "on": found["enabled"],
    }


def said_policies(found: Mapping[str, Any]) -> str:
    """Return the policies that are not the usual ones, in words."""
    spans = {
        "grace": "grace_seconds",
        "jitter": "jitter_seconds",
        "spread": "spread_seconds",
        "useful": "useful_seconds",
    }
    words = [f"{word} {_span(found[key])}" for word, key in spans.items() if found[key]]
    words += [f"catch-up {found['catch_up']}"] if found["catch_up"] != "last" else []
    words += [f"overlap {found['overlap']}"] if found["overlap"] != "allow" else []
    for word, key in (("from", "starts_at"), ("until", "ends_at")):
        words += [f"{word} {said_moment(found[key])}"] if found[key] is not None else []
    words += [f"{found['runs']} of {found['max_runs']} runs"] if found["max_runs"] is not None else []
    return ", ".join(words)


def _span(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _said_changes(found: Mapping[str, Sequence[Any]]) -> str:
    pairs = {key: ["-" if one is None else one for one in pair] for key, pair in found.items()}
    return "; ".join(f"{key}: {before} -> {after}" for key, (before, after) in pairs.items())


def _plain(value: object) -> object:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
