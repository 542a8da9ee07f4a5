"""What will fire, and why on some days or for somebody nothing does: `muhurat schedules preview`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, islice
from typing import Any

import typer
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncSession

from db.calendar import CalendarRepository
from db.lookups import LookupRepository
from db.schedule_looks import ScheduleLookRepository
from db.schedules import ScheduleRow
from db.service_status import ServiceStatusRepository
from db.subscriptions import SubscriptionRepository
from db.transaction import Database
from ops.cli import schedule_options as s
from ops.cli.reach import with_database
from ops.cli.schedule_looks import (
    FAR,
    Ground,
    cannot_fire,
    definition_or_none,
    fault_of,
    find,
    ground_of,
    held_span,
)
from ops.cli.status import user_named
from ops.cli.tables import console, print_json, print_rows, said
from ops.schedules.closed import Silence, silences
from ops.schedules.outlook import Coming, Halting, Outcome, Part, Watched, outlook
from trading.calendar import Calendar, exchange_day, exchange_time

_NEXT = 20
_MOST = 100_000
# More slots of one schedule on one day become one line.
_TOLD_APART = 3
_ENDLESS = timedelta(days=3653)


@dataclass(frozen=True, slots=True)
class _Scene:
    """Everything that a preview is told from."""

    ground: Ground
    watched: Mapping[str, Sequence[Watched]]
    named: Mapping[str, Mapping[date, str]]
    standing: Sequence[str]


def preview(
    user: str | None, schedule: str | None, first: str | None, last: str | None, most: int | None, *, as_json: bool
) -> None:
    """Print the slots to come of everything, of one schedule or for one user."""
    begins, ends = s.begin("--from", first), s.end("--to", last)
    scene = with_database(lambda database: _scene(database, user, schedule))
    begins = begins or scene.ground.now
    if ends is not None and ends <= begins:
        raise typer.BadParameter(f"--to {last} is not after --from: give them in order")
    wanted = most or (_MOST if ends is not None else _NEXT)
    with Console(stderr=True).status("Planning"):
        found, gaps = _told(scene, begins, ends, wanted)
    if as_json:
        print_json(_as_json(scene, user, begins, ends, found, gaps))
        return
    _show(scene, user, begins, found, gaps)
    if len(found) == wanted and most is None:
        typer.echo(f"and more: --next {wanted * 2}, or --to")


async def _scene(database: Database, user: str | None, schedule: str | None) -> _Scene:
    user_id = None
    if user is not None:
        async with database.reading(None) as session:
            user_id = await user_named(LookupRepository(session), user)
    # What a user may see is all that is looked at for him.
    async with database.reading(user_id) as session:
        ground, calendars = await ground_of(session), CalendarRepository(session)
        rows = [await find(session, schedule)] if schedule is not None else await ScheduleLookRepository(session).all()
        watched, standing = await _watched(session, rows, user_id, ground)
        named: dict[str, dict[date, str]] = {}
        for name, one in ground.calendars.items():
            days = await calendars.days(one.first, one.last, name)
            named[name] = {day.day: day.name for day in days.values() if day.kind == "holiday"}
    return _Scene(ground, watched, named, standing)


async def _watched(
    session: AsyncSession, rows: Sequence[ScheduleRow], user_id: int | None, ground: Ground
) -> tuple[dict[str, list[Watched]], list[str]]:
    """Return what is watched by exchange, and what stands against it now in words."""
    halts = [_halting(halt) for halt in await ScheduleLookRepository(session).halts(user_id)]
    parts, stopped, lives = await _parts(session, user_id) if user_id is not None else ({}, None, frozenset[int]())
    standing = [stopped] if stopped is not None else []
    standing += [halt.said for halt in halts]
    found: dict[str, list[Watched]] = {}
    for row in rows:
        definition, fault = definition_or_none(row), fault_of(row, ground)
        if fault is not None and row.enabled:
            standing.append(f"schedule {cannot_fire(row.name, fault)}")
        if definition is None or row.exchange not in ground.calendars:
            continue
        if user_id is None:
            if row.enabled or len(rows) == 1:
                found.setdefault(row.exchange, []).append(
                    Watched(definition, row.runs, row.enabled, halts=halts, held=held_span(row, ground.now))
                )
        elif row.id in parts:
            passes = lives if row.task_name == "order_sync" else frozenset[int]()
            mine = tuple(parts[row.id])
            one = Watched(definition, row.runs, row.enabled, mine, stopped, passes, halts, held_span(row, ground.now))
            found.setdefault(row.exchange, []).append(one)
    return found, standing


async def _parts(session: AsyncSession, user_id: int) -> tuple[dict[int, list[Part]], str | None, frozenset[int]]:
    """Return a user's accounts by schedule, why nothing fires for him, and which accounts have live orders."""
    parts: dict[int, list[Part]] = {}
    for one in await SubscriptionRepository(session).of_user(user_id):
        is_forever = one["paused"] and one["paused_until"] is None
        until = one["paused_until"] if one["paused"] else None
        part = Part(one["account_id"], one["enabled"], until, is_forever, one["pause_reason"])
        parts.setdefault(one["schedule_id"], []).append(part)
    service = await ServiceStatusRepository(session).get(user_id)
    stopped = None
    if not service.service_running:
        since = f" since {said(service.stopped_at)} IST" if service.stopped_at is not None else ""
        stopped = f"the service is stopped{since}"
    lives = await ScheduleLookRepository(session).live_accounts(user_id)
    return parts, stopped, lives


def _halting(row: Any) -> Halting:
    whose = [f"{name} {value}" for name, value in (("task", row.task_name), ("account", row.account_id)) if value]
    until = f" until {said(row.until)} IST" if row.until is not None else " until resumed"
    told = f"halt {row.id} of {', '.join(whose) or 'everything'} by {row.created_by}{until}: {row.reason}"
    return Halting(told, row.task_name, row.account_id, row.until)


def _told(scene: _Scene, begins: datetime, ends: datetime | None, most: int) -> tuple[list[Coming], list[Silence]]:
    found: list[Coming] = []
    gaps: list[Silence] = []
    until = ends or begins + _ENDLESS
    # With the slot that begins the span.
    after = begins - timedelta(microseconds=1)
    for exchange, watched in scene.watched.items():
        calendar = scene.ground.calendars[exchange]
        found += islice(outlook(watched, calendar, after, until, scene.ground.daily_bars), most)
    found = sorted(found, key=lambda one: one.slot)[:most]
    shown_until = ends or (found[-1].slot if found else begins + FAR)
    for exchange, watched in scene.watched.items():
        calendar, names = scene.ground.calendars[exchange], scene.named[exchange]
        gaps += silences([one.definition for one in watched if one.enabled], calendar, names, begins, shown_until)
    return found, gaps


def _as_json(
    scene: _Scene,
    user: str | None,
    begins: datetime,
    ends: datetime | None,
    found: Sequence[Coming],
    gaps: Sequence[Silence],
) -> dict[str, Any]:
    return {
        "user": user,
        "market_now": scene.ground.now,
        "from": begins,
        "to": ends,
        "standing": scene.standing,
        "slots": [asdict(one) for one in found],
        "gaps": [asdict(gap) for gap in gaps],
    }


def _show(scene: _Scene, user: str | None, begins: datetime, found: Sequence[Coming], gaps: Sequence[Silence]) -> None:
    out = console()
    for line in scene.standing:
        out.print(f"stands: {line}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    rows: list[dict[str, Any]] = []
    closed = [(gap.first, gap) for gap in gaps]
    for day, slots in groupby(found, key=lambda one: exchange_day(one.slot)):
        while closed and closed[0][0] <= day:
            rows.append(_gap_line(closed.pop(0)[1]))
        rows += _day_lines(list(slots))
    rows += [_gap_line(gap) for _, gap in closed]
    whom = f" for {user}" if user is not None else ""
    title = f"What fires from {exchange_time(begins):%Y-%m-%d %H:%M}{whom} (times in IST)"
    print_rows(title, rows, columns=("day", "at", "schedule", "task", "what", "why"), empty="nothing")


def _day_lines(slots: Sequence[Coming]) -> list[dict[str, Any]]:
    """Return a day's lines; what repeats becomes one where it first is."""
    counts: dict[tuple[str, Outcome, str | None], list[Coming]] = {}
    for one in slots:
        counts.setdefault((one.schedule, one.outcome, one.why), []).append(one)
    lines = []
    for some in counts.values():
        told = [some] if len(some) > _TOLD_APART else [[one] for one in some]
        lines += [(part[0].slot, _line(part)) for part in told]
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


def _line(slots: Sequence[Coming]) -> dict[str, Any]:
    one, last = slots[0], slots[-1]
    at = f"{exchange_time(one.slot):%H:%M:%S}"
    if len(slots) > 1:
        at += f" to {exchange_time(last.slot):%H:%M:%S}, {len(slots)} times"
    if one.outcome is Outcome.FIRES and one.condition is not None:
        what = f"fires if {one.condition.replace('_', ' ')}"
    else:
        what = one.outcome.value
    day = f"{exchange_time(one.slot):%a %Y-%m-%d}"
    return {"day": day, "at": at, "schedule": one.schedule, "task": one.task, "what": what, "why": one.why}


def _gap_line(gap: Silence) -> dict[str, Any]:
    days = f"{gap.first:%a %Y-%m-%d}" + (f" to {gap.last:%a %m-%d}" if gap.last != gap.first else "")
    return {"day": days, "at": None, "schedule": ", ".join(gap.schedules) or None, "task": None, "what": "silent",
            "why": gap.reason}  # fmt: skip


def calendar_of(ground: Ground, row: ScheduleRow) -> Calendar:
    """Return the calendar of a schedule. Raises typer.BadParameter when none is loaded for its exchange."""
    if row.exchange not in ground.calendars:
        raise typer.BadParameter(f"no calendar of {row.exchange} is loaded: `muhurat calendar import FILE`")
    return ground.calendars[row.exchange]
