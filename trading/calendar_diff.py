"""What one calendar changes against another: days, phases, and which firings move; and what may not follow what."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from trading.calendar import Calendar, Session, exchange_time
from trading.calendar_check import phase_fault
from trading.definitions import Definition
from trading.errors import BadCalendar, CalendarUncovered, HoursUnknown
from trading.firings import firings
from trading.phases import ALL, PHASE_WORDS, Phase

_ONE_DAY = timedelta(days=1)
_PHASES = (Phase.PREOPEN, Phase.OPEN, Phase.CLOSING_AUCTION, Phase.POST_CLOSE)
_WORDS = {phase: word for word, phase in PHASE_WORDS.items()}

Window = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class DayChange:
    """A day on which two calendars differ. kind: added, removed, other hours, other phases.

    phases: each phase that differs, in exchange time, with what it was; of a day that both have.
    """

    day: date
    kind: str
    before: Session | None
    after: Session | None
    phases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FiringChange:
    """A schedule whose slots differ. gone, new: the slots that only the old and only the new calendar has, UTC."""

    schedule: str
    gone: tuple[datetime, ...]
    new: tuple[datetime, ...]


def day_changes(before: Calendar, after: Calendar, first: date, last: date) -> list[DayChange]:
    """Return the days of first <= day <= last on which two calendars differ, oldest first.

    A day that one of the two does not cover has no session there.
    """
    old, new = (_sessions(calendar, first, last) for calendar in (before, after))
    found = []
    for day in sorted(old.keys() | new.keys()):
        was, becomes = old.get(day), new.get(day)
        if was is None or becomes is None:
            found.append(DayChange(day, "removed" if becomes is None else "added", was, becomes))
            continue
        phases = tuple(_other_phases(before, after, was, becomes))
        if was != becomes or phases:
            same_hours = (was.opens, was.closes) == (becomes.opens, becomes.closes)
            found.append(DayChange(day, "other phases" if same_hours else "other hours", was, becomes, phases))
    return found


def firing_changes(
    definitions: Iterable[Definition],
    before: Calendar,
    after: Calendar,
    start: datetime,
    until: datetime,
    daily_bars: bool = False,
) -> list[FiringChange]:
    """Return the schedules of the calendars' exchange whose slots in (start, until] differ, by name."""
    found = []
    for one in sorted(definitions, key=lambda one: one.name):
        if one.exchange != after.exchange:
            continue
        old, new = (_slots(one, calendar, start, until, daily_bars) for calendar in (before, after))
        if old != new:
            found.append(FiringChange(one.name, tuple(sorted(old - new)), tuple(sorted(new - old))))
    return found


def check_successor(before: Calendar, after: Calendar, *, may_shrink: bool = False) -> None:
    """Refuse a calendar that may not take another's place. Raises BadCalendar.

    Never one of another exchange, or of days that leave a gap; and one that covers less only where it may.
    """
    covered = f"{before.first}..{before.last}"
    if before.exchange != after.exchange:
        raise BadCalendar(
            0, f"exchange {after.exchange!r} is not {before.exchange!r}", f"write # exchange: {before.exchange}"
        )
    if after.first > before.last + _ONE_DAY or after.last < before.first - _ONE_DAY:
        raise BadCalendar(
            0,
            f"the coverage {after.first}..{after.last} leaves a gap to what is stored ({covered})",
            f"let it go on from there, like # coverage: {before.first}..{max(after.last, before.last)}",
        )
    if may_shrink:
        return
    if after.last < before.last or after.first > before.first:
        raise BadCalendar(
            0,
            f"the coverage {after.first}..{after.last} is less than what is stored ({covered})",
            f"cover at least that, like # coverage: {min(after.first, before.first)}..{max(after.last, before.last)}; "
            "or insist with --shrink",
        )


def with_phases_of(calendar: Calendar, stored: Calendar) -> Calendar:
    """Return a calendar that tells regular hours only, with the other hours that are stored. Raises BadCalendar."""
    own = [one for one in calendar.timetable.hours if (one.phase, one.segment) == (Phase.OPEN, ALL)]
    others = [one for one in stored.timetable.hours if (one.phase, one.segment) != (Phase.OPEN, ALL)]
    sessions = calendar.sessions_between(calendar.first, calendar.last)
    # What one session had for itself is of no use where that session is no more.
    kept = [one for one in others if not one.is_of_one_day or _has(calendar, one.valid_from)]
    whole = Calendar(calendar.exchange, sessions, calendar.first, calendar.last, [*own, *kept])
    if fault := phase_fault(whole):
        raise BadCalendar(0, f"with the hours that are stored, {fault.problem}", fault.cure)
    return whole


def clocks(window: Window | None) -> str | None:
    """Return a window in exchange time, like 09:00-09:15."""
    return None if window is None else "-".join(f"{exchange_time(at):%H:%M}" for at in window)


def _has(calendar: Calendar, day: date) -> bool:
    return calendar.first <= day <= calendar.last and calendar.is_session(day)


def _sessions(calendar: Calendar, first: date, last: date) -> dict[date, Session]:
    first, last = max(first, calendar.first), min(last, calendar.last)
    return {} if first > last else {one.day: one for one in calendar.sessions_between(first, last)}


def _other_phases(before: Calendar, after: Calendar, was: Session, becomes: Session) -> Iterator[str]:
    if was == becomes and before.timetable.hours == after.timetable.hours:
        return
    for segment in dict.fromkeys([*before.timetable.segments, *after.timetable.segments]):
        for phase in (*_PHASES, Phase.AMO):
            if phase is Phase.OPEN and segment == ALL:
                continue
            old, new = (_told(calendar, one, phase, segment) for calendar, one in ((before, was), (after, becomes)))
            # What a segment has of all is told once.
            if old != new and not (segment != ALL and (old, new) == _of_all(before, after, was, becomes, phase)):
                yield f"{_WORDS[phase]} {segment} {new or 'none'}, was {old or 'none'}"


def _of_all(
    before: Calendar, after: Calendar, was: Session, becomes: Session, phase: Phase
) -> tuple[str | None, str | None]:
    return _told(before, was, phase, ALL), _told(after, becomes, phase, ALL)


def _told(calendar: Calendar, session: Session, phase: Phase, segment: str) -> str | None:
    if phase is not Phase.AMO:
        return clocks(calendar.window(session, phase, segment))
    try:
        return clocks((calendar.amo_begins(session, segment), calendar.amo_ends(session, segment)))
    except HoursUnknown:
        return None


def _slots(one: Definition, calendar: Calendar, start: datetime, until: datetime, daily_bars: bool) -> set[datetime]:
    found: set[datetime] = set()
    try:
        for firing in firings(one, calendar, start, until, daily_bars):
            if firing.outcome == "fires":
                found.add(firing.slot)
    except CalendarUncovered:
        pass  # so far its slots are known
    return found
