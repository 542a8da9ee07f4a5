"""What the calendar commands show: a calendar as it is stored, and where two differ."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import typer

from db.calendar import CalendarRepository
from ops.cli.market_commands import check_order, exchange_today
from ops.cli.reach import reading
from ops.cli.tables import print_json, print_rows, said
from trading.calendar import Calendar
from trading.calendar_diff import DayChange, day_changes, with_phases_of
from trading.calendar_file import NamedDay, has_phases, read_calendar
from trading.phases import PHASE_WORDS, Hours

_SATURDAY = 5
_COLUMNS = ("day", "until", "sessions", "change", "hours", "were", "phases")
_WORDS = {phase: word for word, phase in PHASE_WORDS.items()}


def show(exchange: str, first: datetime | None, last: datetime | None, *, as_json: bool) -> None:
    """Print a stored calendar. Raises CalendarUncovered, LookupError, typer.BadParameter."""

    async def look(session: Any) -> tuple[Calendar, dict[date, NamedDay]]:
        rows = CalendarRepository(session)
        known = await rows.load(exchange)
        return known, await rows.days(known.first, known.last, exchange)

    known, named = reading(look)
    begins, ends = _span(known, first, last, exchange_today())
    days, hours = _unusual(known, named, begins, ends), [hours_row(one) for one in known.timetable.hours]
    found = {"exchange": known.exchange, "first": known.first, "last": known.last, "from": begins, "to": ends}
    sessions = len(known.sessions_between(begins, ends))
    if as_json:
        print_json({**found, "sessions": sessions, "hours": hours, "unusual": days})
        return
    typer.echo(f"{known.exchange}, covered {known.first} to {known.last}; {sessions} sessions {begins} to {ends}")
    print_rows("Hours of the phases (IST; a special session keeps their distances from its open and close)", hours)
    print_rows("Days that are not as usual (times in IST)", days)


def show_difference(
    file: Path, old: Path | None, exchange: str, first: datetime | None, last: datetime | None, *, as_json: bool
) -> None:
    """Print where a file differs from what is stored or from another file. Raises BadCalendar, typer.BadParameter."""
    text = text_of(file)
    new = read_calendar(text)
    if old is not None:
        before = read_calendar(text_of(old))
    else:
        before = reading(lambda session: CalendarRepository(session).load(exchange))
        new = new if has_phases(text) else with_phases_of(new, before)
    if new.exchange != before.exchange:
        raise typer.BadParameter(f"{file} is of {new.exchange}: give a calendar of {before.exchange} to compare")
    begins = first.date() if first else min(before.first, new.first)
    ends = last.date() if last else max(before.last, new.last)
    check_order(begins, ends)
    found = difference(before, new, begins, ends)
    if as_json:
        print_json(found)
    else:
        print_difference(found)


def difference(before: Calendar, after: Calendar, first: date, last: date) -> dict[str, Any]:
    """Return where two calendars differ from first to last, as JSON shows it."""
    changes = day_changes(before, after, first, last)
    old, new = set(before.timetable.hours), set(after.timetable.hours)
    return {
        "exchange": after.exchange,
        "from": first,
        "to": last,
        "coverage": {"before": [before.first, before.last], "after": [after.first, after.last]},
        "counts": counts(changes),
        "days": [_day_row(one) for one in changes],
        "hours_gone": [str(one) for one in before.timetable.hours if one not in new],
        "hours_new": [str(one) for one in after.timetable.hours if one not in old],
    }


def counts(changes: Sequence[DayChange]) -> dict[str, int]:
    """Return how many days of each kind of change there are."""
    kinds = {"added": "added", "removed": "removed", "other_hours": "other hours", "other_phases": "other phases"}
    return {name: sum(one.kind == kind for one in changes) for name, kind in kinds.items()}


def print_difference(found: Mapping[str, Any]) -> None:
    """Print what `difference` returned."""
    was, becomes = (" to ".join(str(day) for day in found["coverage"][when]) for when in ("before", "after"))
    covers = f"covers {becomes}" + ("" if was == becomes else f", was {was}")
    typer.echo(f"{found['exchange']} {covers}; looked at {found['from']} to {found['to']}")
    for title, key in (("hours go", "hours_gone"), ("hours come", "hours_new")):
        for line in found[key]:
            typer.echo(f"{title}: {line}")
    told = [{**_told(list(rows)), "change": change} for (change, _), rows in groupby(found["days"], _alike)]
    print_rows("Days that differ (times in IST)", told, columns=_COLUMNS)


def hours_row(one: Hours) -> dict[str, Any]:
    """Return hours as a row to print."""
    clocks = {"opens": f"{one.opens:%H:%M}", "closes": f"{one.closes:%H:%M}"}
    valid = {"valid_from": one.valid_from, "valid_to": one.valid_to}
    return {"phase": _WORDS[one.phase], "segment": one.segment, **clocks, **valid, "source": one.source}


def text_of(file: Path) -> str:
    """Return the text of a file. Raises typer.BadParameter naming the line that is no UTF-8."""
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise typer.BadParameter(f"{file}, line {line}, is no UTF-8 text: save the file as UTF-8") from None


def _alike(row: Mapping[str, Any]) -> tuple[str, str]:
    """Return what days have in common that are told in one line: their phases alone moved, all in the same way."""
    return row["change"], row["phases"] if row["change"] == "other phases" else str(row["day"])


def _told(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first, last = rows[0], rows[-1]
    hours, was = (_clocks(first, *names) for names in (("opens", "closes"), ("opened", "closed")))
    until = None if last is first else last["day"]
    moved = {"hours": hours, "were": was} if hours != was else {"hours": None, "were": None}
    return {"day": first["day"], "until": until, "sessions": len(rows), **moved, "phases": first["phases"]}


def _clocks(row: Mapping[str, Any], opens: str, closes: str) -> str:
    return "none" if row[opens] is None else f"{said(row[opens])[11:16]}-{said(row[closes])[11:16]}"


def _day_row(one: DayChange) -> dict[str, Any]:
    before, after = one.before, one.after
    return {
        "day": one.day,
        "weekday": f"{one.day:%a}",
        "change": one.kind,
        "opens": after.opens if after else None,
        "closes": after.closes if after else None,
        "opened": before.opens if before else None,
        "closed": before.closes if before else None,
        "phases": "; ".join(one.phases),
    }


def _span(known: Calendar, first: datetime | None, last: datetime | None, today: date) -> tuple[date, date]:
    """Return the days to show. Raises CalendarUncovered for a first day that no calendar is loaded for."""
    year = (last.date() if last else today).year
    begins = first.date() if first else max(known.first, date(year, 1, 1))
    known.is_session(begins)
    ends = last.date() if last else min(known.last, date(begins.year, 12, 31))
    check_order(begins, ends)
    return begins, ends


def _unusual(known: Calendar, named: Mapping[date, NamedDay], first: date, last: date) -> list[dict[str, Any]]:
    """Return the closed weekdays and the special sessions of a span, each with its name where it has one."""
    found: list[dict[str, Any]] = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        session = known.session(day)
        about = {"day": day, "weekday": f"{day:%a}", "name": named[day].name if day in named else None}
        if session is None and day.weekday() < _SATURDAY:
            found.append({**about, "kind": "closed", "opens": None, "closes": None})
        elif session is not None and session.kind != "regular":
            found.append({**about, "kind": session.kind, "opens": session.opens, "closes": session.closes})
    return found
