"""Reads a calendar file: coverage and hours in its head, then one row for each day that is not as usual."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time, timedelta

from trading.calendar import Calendar, Session, ist
from trading.calendar_check import Fault, phase_fault, validity_fault
from trading.calendar_head import LONGEST_NAME, LONGEST_SOURCE, Head, read_day, read_head, read_hours, read_words
from trading.errors import BadCalendar
from trading.phases import ALL, Phase, Timetable

COLUMNS = ["day", "kind", "opens", "closes", "name", "source"]

_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class NamedDay:
    """A day that is not as usual. kind: 'holiday' or 'special'. source: who says so."""

    day: date
    kind: str
    name: str
    source: str


def read_calendar(text: str) -> Calendar:
    """Return the calendar of a file: weekdays trade the regular hours, save as its rows say.

    Head lines: `# exchange: NSE`; `# coverage: first..last`, several if each begins where the last one ends; `# hours:
    PHASE SEGMENT 09:15-15:30 from DAY [to DAY] source WHO`, or `on DAY` for one session's own; or instead of all of
    these, as older files have it, `# regular: 09:15-15:30`. Other # lines are remarks. Rows:
    day,kind,opens,closes,name,source; kind 'holiday' closes a weekday, 'special' gives any day its own hours (IST).
    Raises BadCalendar, naming the line, the value and the cure.
    """
    lines = text.splitlines()
    head = read_head(lines)
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
    _refuse(head, validity_fault(head.hours, head.first, head.last))
    calendar = Calendar(head.exchange, list(_sessions(head, specials)), head.first, head.last, head.hours)
    _refuse(head, phase_fault(calendar))
    return calendar


def has_phases(text: str) -> bool:
    """Tell whether a file that `read_calendar` takes gives the hours of phases, not only the regular ones."""
    return read_head(text.splitlines()).has_phases


def named_days(text: str) -> list[NamedDay]:
    """Return the holidays and special sessions of a file that `read_calendar` takes, by their names."""
    return [
        NamedDay(read_day(number, row["day"]), row["kind"], row["name"], row["source"])
        for number, row in _rows(text.splitlines())
    ]


def _refuse(head: Head, fault: Fault | None) -> None:
    if fault is not None:
        line = head.lines.get(fault.hours, 0) if fault.hours else 0
        raise BadCalendar(line, fault.problem, fault.cure)


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
    day = read_day(number, row["day"])
    if not row["name"] or not row["source"]:
        raise BadCalendar(number, f"{day} has no name or no source", "say what the day is and who says so")
    read_words(number, "name", row["name"], LONGEST_NAME)
    read_words(number, "source", row["source"], LONGEST_SOURCE)
    if row["kind"] == "special":
        return day, read_hours(number, row["opens"], row["closes"])
    if row["kind"] != "holiday":
        raise BadCalendar(number, f"kind {row['kind']!r} is not known", "write holiday or special")
    if row["opens"] or row["closes"]:
        raise BadCalendar(number, f"holiday {day} has hours", "leave them out, or write special")
    if day.weekday() >= _SATURDAY:
        raise BadCalendar(number, f"holiday {day} is a weekend day", "leave it out: weekends are closed without a row")
    return day, None


def _sessions(head: Head, specials: dict[date, tuple[time, time] | None]) -> Iterator[Session]:
    usual = Timetable(head.hours)
    for offset in range((head.last - head.first).days + 1):
        day = head.first + timedelta(days=offset)
        if day in specials:
            hours = specials[day]
            if hours is not None:
                yield Session(day, ist(day, hours[0]), ist(day, hours[1]), "special")
        elif day.weekday() < _SATURDAY:
            regular = usual.lasting(Phase.OPEN, ALL, day)
            if regular is not None:
                yield Session(day, ist(day, regular.opens), ist(day, regular.closes), "regular")
