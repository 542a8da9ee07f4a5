"""Which slots come, go or move: `muhurat schedules diff`, of two versions or against a proposed trigger."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import typer
from sqlalchemy.ext.asyncio import AsyncSession

from db.schedule_edits import ScheduleEditRepository
from db.schedule_looks import ScheduleLookRepository
from db.schedules import ScheduleRow
from ops.cli import schedule_options as s
from ops.cli.reach import reading
from ops.cli.schedule_looks import Ground, ground_of
from ops.cli.schedule_previews import calendar_of
from ops.cli.schedule_work import no_schedule
from ops.cli.tables import print_json, print_rows
from ops.schedules.differences import Comparison, Difference, compare
from trading.calendar import exchange_time
from trading.definitions import Definition, check, definition_of, read_definition
from trading.triggers import parse_trigger

# More differences of one kind on a day become one line.
_TOLD_APART = 4
_MOST_LINES = 60


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    definition: Definition


def diff(before: str, after: str, first: str | None, days: int, *, as_json: bool) -> None:
    """Print what is different between two definitions over some days, from market now when nothing is said."""
    begins = s.begin("--from", first)

    async def look(session: AsyncSession) -> tuple[_Side, _Side, Comparison, datetime]:
        ground = await ground_of(session)
        row, old = await _schedule(session, before)
        new = await _other(session, row, old, after, ground)
        start = begins or ground.now
        until = start + timedelta(days=days)
        calendar = calendar_of(ground, row)
        return old, new, compare(old.definition, new.definition, calendar, start, until, ground.daily_bars), start

    old, new, found, start = reading(look)
    counts = {kind: found.count(kind) for kind in ("comes", "goes", "moves")}
    if as_json:
        told = {"before": _said(old), "after": _said(new), "from": start, "days": days, "same": found.same, **counts}
        print_json({**told, "differences": [{"kind": one.kind, **asdict(one)} for one in found.differences]})
        return
    typer.echo(f"{old.name}: {old.definition.trigger}\n{new.name}: {new.definition.trigger}")
    summary = f"{counts['comes']} come, {counts['goes']} go, {counts['moves']} move, {found.same} stay"
    typer.echo(f"in {days} days from {exchange_time(start):%Y-%m-%d %H:%M} IST: {summary}")
    rows = _lines(found.differences)
    print_rows("What is different (times in IST)", rows[:_MOST_LINES], empty="nothing")
    if len(rows) > _MOST_LINES:
        typer.echo(f"and {len(rows) - _MOST_LINES} more lines: see --json")


async def _schedule(session: AsyncSession, word: str) -> tuple[ScheduleRow, _Side]:
    """Return a schedule, or one of its versions. Raises typer.BadParameter when there is none."""
    found = await _maybe(session, word)
    if found is None:
        raise no_schedule(word)
    return found


async def _maybe(session: AsyncSession, word: str) -> tuple[ScheduleRow, _Side] | None:
    looks = ScheduleLookRepository(session)
    row = await looks.named(word)
    if row is not None:
        return row, _Side(word, definition_of(row))
    name, _, number = word.rpartition("@")
    row = await looks.named(name) if name and number.isdecimal() else None
    if row is None:
        return None
    kept = {one.version: one for one in await ScheduleEditRepository(session).versions(row.id)}
    if int(number) in kept:
        return row, _Side(word, read_definition(kept[int(number)].definition))
    if int(number) == row.version:
        return row, _Side(word, definition_of(row))
    known = ", ".join(map(str, sorted(kept))) or row.version
    raise typer.BadParameter(f"{name!r} never had a version {number}: it has {known}")


async def _other(session: AsyncSession, row: ScheduleRow, old: _Side, word: str, ground: Ground) -> _Side:
    """Return the second side: a schedule, a version, or the first side by a proposed trigger. Raises BadTrigger."""
    found = await _maybe(session, word)
    if found is not None:
        return found[1]
    proposed = replace(old.definition, trigger=parse_trigger(word))
    check(proposed, calendar_of(ground, row), ground.now)
    return _Side("proposed", proposed)


def _said(side: _Side) -> Mapping[str, Any]:
    return {"name": side.name, "definition": side.definition.written()}


def _lines(differences: tuple[Difference, ...]) -> list[dict[str, Any]]:
    """Return a line a difference; where a day has many of one kind, a line of their number and ends."""
    by_day: dict[tuple[Any, str], list[Difference]] = {}
    for one in differences:
        by_day.setdefault((one.day, one.kind), []).append(one)
    lines = []
    for (day, kind), some in by_day.items():
        told = [some] if len(some) > _TOLD_APART else [[one] for one in some]
        lines += [
            {"day": f"{day:%a %Y-%m-%d}", "what": kind, "before": _span(part, "before"), "after": _span(part, "after")}
            for part in told
        ]
    return lines


def _span(some: list[Difference], side: str) -> str | None:
    times = [at for one in some if (at := getattr(one, side)) is not None]
    if not times:
        return None
    first, last = f"{exchange_time(times[0]):%H:%M:%S}", f"{exchange_time(times[-1]):%H:%M:%S}"
    return first if len(times) == 1 else f"{first} to {last}, {len(times)} slots"
