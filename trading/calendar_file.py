"""Reads a calendar file: coverage and regular hours in its head, then one row for each day that is not as usual."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta

from trading.calendar import Calendar, Session, ist
from trading.errors import BadCalendar

COLUMNS = ["day", "kind", "opens", "closes", "name", "source"]

_HEAD = {
    "exchange": re.compile(r"(\S+)$"),
    "coverage": re.compile(r"(\d{4}-\d\d-\d\d)\.\.(\d{4}-\d\d-\d\d)$"),
    "regular": re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)$"),
}
_EXAMPLES = {"exchange": "NSE", "coverage": "2015-01-01..2026-12-31", "regular": "09:15-15:30"}
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class NamedDay:
    """A day that is not as usual. kind: 'holiday' or 'special'. source: who says so."""

    day: date
    kind: str
    name: str
    source: str


@dataclass(frozen=True, slots=True)
class _Head:
    exchange: str
    first: date
    last: date
    opens: time
    closes: time


def read_calendar(text: str) -> Calendar:
    """Return the calendar of a file: weekdays trade the regular hours, save as its rows say.

    Head lines: `# exchange: NSE`, `# coverage: first..last`, `# regular: 09:15-15:30`; other # lines are remarks. Rows:
    day,kind,opens,closes,name,source; kind 'holiday' closes a weekday, 'special' gives any day its own hours (IST).
    Raises BadCalendar, naming the line and the cure.
    """
    lines = text.splitlines()
    head = _read_head(lines)
    specials: dict[date, tuple[time, time] | None] = {}
    for number, row in _rows(lines):
        day, hours = _read_row(number, row)
        if day in specials:
            raise BadCalendar(
                number, f"{day} is there twice", "keep one row a day; a special session needs no holiday row"
            )
        if not head.first <= day <= head.last:
            raise BadCalendar(number, f"{day} lies outside the coverage", f"keep days from {head.first} to {head.last}")
        specials[day] = hours
    return Calendar(head.exchange, list(_sessions(head, specials)), head.first, head.last)


def named_days(text: str) -> list[NamedDay]:
    """Return the holidays and special sessions of a file that `read_calendar` takes, by their names."""
    return [
        NamedDay(_read_day(number, row["day"]), row["kind"], row["name"], row["source"])
        for number, row in _rows(text.splitlines())
    ]


def _read_head(lines: list[str]) -> _Head:
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(lines, 1):
        key, _, value = line.removeprefix("#").strip().partition(":")
        if not line.startswith("#") or key not in _HEAD:
            continue
        match = _HEAD[key].match(value.strip())
        if match is None:
            raise BadCalendar(number, f"{key} cannot be read: {value.strip()!r}", f"write # {key}: {_EXAMPLES[key]}")
        found[key] = match.groups()
    for key in _HEAD:
        if key not in found:
            raise BadCalendar(0, f"{key} is missing", f"add a line # {key}: {_EXAMPLES[key]}")
    first, last = (_read_day(0, day) for day in found["coverage"])
    if first > last:
        raise BadCalendar(0, f"the coverage ends before it begins: {first}..{last}", "write the earlier day first")
    opens, closes = _read_hours(0, *found["regular"])
    return _Head(found["exchange"][0], first, last, opens, closes)


def _rows(lines: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    plain = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#")]
    titles = plain[0] if plain else (0, "")
    if next(csv.reader([titles[1]]), []) != COLUMNS:
        raise BadCalendar(titles[0], "the column titles are not as expected", f"write {','.join(COLUMNS)}")
    for number, line in plain[1:]:
        cells = [cell.strip() for cell in next(csv.reader([line]))]
        if len(cells) != len(COLUMNS):
            raise BadCalendar(number, f"{len(cells)} cells instead of {len(COLUMNS)}", f"write {','.join(COLUMNS)}")
        yield number, dict(zip(COLUMNS, cells, strict=True))


def _read_row(number: int, row: dict[str, str]) -> tuple[date, tuple[time, time] | None]:
    day = _read_day(number, row["day"])
    if not row["name"] or not row["source"]:
        raise BadCalendar(number, f"{day} has no name or no source", "say what the day is and who says so")
    if row["kind"] == "special":
        return day, _read_hours(number, row["opens"], row["closes"])
    if row["kind"] != "holiday":
        raise BadCalendar(number, f"kind {row['kind']!r} is not known", "write holiday or special")
    if row["opens"] or row["closes"]:
        raise BadCalendar(number, f"holiday {day} has hours", "leave them out, or write special")
    if day.weekday() >= _SATURDAY:
        raise BadCalendar(number, f"holiday {day} is a weekend day", "leave it out: weekends are closed without a row")
    return day, None


def _read_day(number: int, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadCalendar(number, f"not a day: {text!r}", "write it like 2026-01-26") from None


def _read_hours(number: int, opens: str, closes: str) -> tuple[time, time]:
    try:
        hours = time.fromisoformat(opens), time.fromisoformat(closes)
    except ValueError:
        raise BadCalendar(number, f"not a time: {opens!r} or {closes!r}", "write IST like 18:15") from None
    if any(hour.tzinfo for hour in hours) or hours[0] >= hours[1]:
        raise BadCalendar(number, f"it opens at {opens} and closes at {closes}", "write the earlier IST time first")
    return hours


def _sessions(head: _Head, specials: dict[date, tuple[time, time] | None]) -> Iterator[Session]:
    for offset in range((head.last - head.first).days + 1):
        day = head.first + timedelta(days=offset)
        if day in specials:
            hours = specials[day]
            if hours is not None:
                yield Session(day, ist(day, hours[0]), ist(day, hours[1]), "special")
        elif day.weekday() < _SATURDAY:
            yield Session(day, ist(day, head.opens), ist(day, head.closes), "regular")
