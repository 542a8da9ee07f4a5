"""`muhurat calendar import`: it shows what a file would change in the days to come, asks, and puts it in place."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import typer

from db.audit_logs import AuditLogRepository
from db.calendar import CalendarRepository, StoredCalendar
from db.clock import ClockRepository, MarketTime
from ops.cli.calendar_work import counts, difference, print_difference, text_of
from ops.cli.reach import changing, operator_named, reading
from ops.cli.tables import print_json, print_rows, say_done
from trading.calendar import Calendar, exchange_day
from trading.calendar_diff import (
    DayChange,
    FiringChange,
    check_successor,
    day_changes,
    firing_changes,
    with_phases_of,
)
from trading.calendar_file import has_phases, named_days, read_calendar
from trading.definitions import Definition, definition_of
from trading.errors import BadDefinition, BadTrigger

AHEAD = timedelta(days=30)
# What one command tells of a schedule's slots; of more it tells how many there are.
MOST_SLOTS = 5
FAILED = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person asked for."""

    file: Path
    exchange: str
    dry_run: bool
    yes: bool
    shrink: bool
    by: str | None
    as_json: bool


@dataclass(frozen=True, slots=True)
class _Ground:
    """What a file is held against. stored: None: the exchange has no calendar yet."""

    stored: StoredCalendar | None
    definitions: Sequence[Definition]
    time: MarketTime


def bring_in(asked: Asked) -> None:
    """Show what a file changes and store it. Raises BadCalendar, typer.BadParameter, typer.Exit on a no."""
    text = text_of(asked.file)
    new = read_calendar(text)
    if new.exchange != asked.exchange:
        raise typer.BadParameter(
            f"{asked.file} is of exchange {new.exchange}: give the calendar of {asked.exchange}, or --exchange "
            f"{new.exchange}"
        )
    by = None if asked.dry_run else operator_named(asked.by)
    ground = reading(lambda session: _look(session, asked.exchange))
    if ground.stored is not None:
        check_successor(ground.stored.calendar, new, may_shrink=asked.shrink)
        new = new if has_phases(text) else with_phases_of(new, ground.stored.calendar)
    preview = _preview(ground, new)
    if not asked.as_json:
        _print_preview(preview)
    if asked.dry_run:
        _tell_dry(preview, as_json=asked.as_json)
        return
    _confirm(asked, preview)
    done = changing(by, lambda session, actor: _replace(session, actor, new, asked.file.name, text, ground.stored))
    done = {**done, "next_30_days": preview} if asked.as_json else done
    say_done(done, "schedulers and workers take it with their next slot and claim", as_json=asked.as_json)


async def _look(session: Any, exchange: str) -> _Ground:
    calendars = CalendarRepository(session)
    stored = await calendars.stored(exchange) if exchange in await calendars.exchanges() else None
    definitions = []
    for row in await calendars.planned(exchange):
        with suppress(BadTrigger, BadDefinition):  # whoever fires it says what is wrong
            definitions.append(definition_of(row))
    return _Ground(stored, definitions, await ClockRepository(session).read())


async def _replace(
    session: Any, actor: str, new: Calendar, source: str, text: str, seen: StoredCalendar | None
) -> dict[str, Any]:
    calendars = CalendarRepository(session)
    if await calendars.hold(new.exchange, to_replace=True) != (seen.loaded_at if seen else None):
        raise typer.BadParameter("another calendar was imported meanwhile: look at it again with --dry-run")
    await calendars.replace(new, source, named_days(text))
    changed = counts(_all_changes(seen.calendar if seen else _empty(new), new))
    done = {"exchange": new.exchange, "sessions": len(new), "first": new.first, "last": new.last, **changed}
    plain = {name: str(value) for name, value in done.items()}
    await AuditLogRepository(session).record(actor, "update", "calendar", changes=plain)
    return done


def _preview(ground: _Ground, new: Calendar) -> dict[str, Any]:
    """Return what changes in the 30 days from market now, days and slots, as JSON shows it."""
    now = ground.time.now
    first, until = exchange_day(now), now + AHEAD
    before = ground.stored.calendar if ground.stored else _empty(new)
    moved = firing_changes(ground.definitions, before, new, now, until)
    found = difference(before, new, first, exchange_day(until))
    return {**found, "is_same": _is_same(before, new), "schedules": [_moved_row(one) for one in moved]}


def _moved_row(one: FiringChange) -> dict[str, Any]:
    told = {"first_gone": list(one.gone[:MOST_SLOTS]), "first_new": list(one.new[:MOST_SLOTS])}
    return {"schedule": one.schedule, "gone": len(one.gone), "new": len(one.new), **told}


def _empty(like: Calendar) -> Calendar:
    return Calendar(like.exchange, [], like.first, like.last)


def _all_changes(before: Calendar, after: Calendar) -> list[DayChange]:
    return day_changes(before, after, min(before.first, after.first), max(before.last, after.last))


def _is_same(before: Calendar, new: Calendar) -> bool:
    covered = (before.first, before.last) == (new.first, new.last)
    return covered and before.timetable.hours == new.timetable.hours and not _all_changes(before, new)


def _print_preview(preview: dict[str, Any]) -> None:
    print_difference(preview)
    rows = [
        {**one, "first_gone": next(iter(one["first_gone"]), None), "first_new": next(iter(one["first_new"]), None)}
        for one in preview["schedules"]
    ]
    print_rows("Schedules whose slots move in these days (times in IST)", rows)


def _tell_dry(preview: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": True, **preview})
    else:
        typer.echo("nothing was done")


def _confirm(asked: Asked, preview: dict[str, Any]) -> None:
    """Ask before anything changes. Raises typer.BadParameter where nobody can be asked, typer.Exit on a no."""
    if asked.yes or preview["is_same"]:
        return
    if asked.as_json or not sys.stdin.isatty():
        raise typer.BadParameter(f"{asked.file} changes the calendar: give --yes to take it, or --dry-run to see")
    if not typer.confirm("Take this calendar?", err=True):
        typer.echo("nothing was done", err=True)
        raise typer.Exit(FAILED)
