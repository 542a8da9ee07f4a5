"""Whether the hours of a calendar fit together: one after the other, without gaps, no phase in another."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise

from trading.calendar import Calendar, Session, exchange_time
from trading.phases import ALL, PHASE_WORDS, Hours, Phase

_ONE_DAY = timedelta(days=1)
_IN_ORDER = (Phase.PREOPEN, Phase.OPEN, Phase.CLOSING_AUCTION, Phase.POST_CLOSE)
_WORDS = {phase: word for word, phase in PHASE_WORDS.items()}


@dataclass(frozen=True, slots=True)
class Fault:
    """Hours that do not fit, why, and how they would. hours: None: none are there."""

    hours: Hours | None
    problem: str
    cure: str


def validity_fault(hours: Sequence[Hours], first: date, last: date) -> Fault | None:
    """Return the first fault in how hours follow each other over the days from first to last; None: there is none."""
    ordered = sorted((one for one in hours if not one.is_of_one_day), key=_key)
    for _, group in groupby(ordered, key=lambda one: (one.phase, one.segment)):
        for earlier, later in pairwise(group):
            if fault := _not_adjacent(earlier, later):
                return fault
    starts = set()
    for one in sorted(hours, key=_key):
        start = (one.phase, one.segment, one.valid_from)
        if start in starts:
            return Fault(one, f"two lines give {_name(one)} hours from {one.valid_from} on", "keep one of them")
        starts.add(start)
        if one.is_of_one_day and (one.phase, one.segment) == (Phase.OPEN, ALL):
            cure = f"write a row like {one.valid_from},special,{one.opens:%H:%M},{one.closes:%H:%M},NAME,SOURCE"
            return Fault(one, f"the hours of {one.valid_from} are those of a special session", cure)
    return _regular_fault([one for one in ordered if (one.phase, one.segment) == (Phase.OPEN, ALL)], first, last)


def phase_fault(calendar: Calendar) -> Fault | None:
    """Return the first fault in the phases of the sessions where hours change: none may lie in another's time."""
    table = calendar.timetable
    for one in table.hours:
        if one.is_of_one_day and not _has_session(calendar, one.valid_from):
            cure = "give it on the day of a session, like on 2026-11-08"
            return Fault(one, f"{_name(one)} has hours on {one.valid_from}, which has no session", cure)
    if fault := _unlike_its_hours(calendar):
        return fault
    for session in _changed_sessions(calendar):
        for segment in table.segments:
            if fault := _overlap(calendar, session, segment):
                return fault
    return None


def _key(one: Hours) -> tuple[str, str, date]:
    return one.phase.value, one.segment, one.valid_from


def _name(one: Hours) -> str:
    return f"{_WORDS[one.phase]} {one.segment}"


def _not_adjacent(earlier: Hours, later: Hours) -> Fault | None:
    if earlier.valid_to is None or earlier.valid_to >= later.valid_from:
        until = "on" if earlier.valid_to is None else f"to {earlier.valid_to}"
        return Fault(
            earlier,
            f"the hours of {_name(earlier)} overlap: from {earlier.valid_from} {until}, and from {later.valid_from}",
            f"end the earlier ones, like from {earlier.valid_from} to {later.valid_from - _ONE_DAY}",
        )
    if earlier.valid_to + _ONE_DAY < later.valid_from:
        return Fault(
            later,
            f"the hours of {_name(later)} have a gap from {earlier.valid_to + _ONE_DAY} to "
            f"{later.valid_from - _ONE_DAY}",
            f"let them follow each other, like from {earlier.valid_to + _ONE_DAY}",
        )
    return None


def _regular_fault(hours: Sequence[Hours], first: date, last: date) -> Fault | None:
    """Return what the hours of regular sessions lack of the coverage; they are known to have no gap between them."""
    example = f"# hours: continuous all 09:15-15:30 from {first} source the exchange's page"
    if not hours:
        return Fault(None, "hours of continuous all are missing", f"add a line {example}")
    if hours[0].valid_from > first:
        problem = f"the hours of continuous all have a gap: the coverage begins {first}, they {hours[0].valid_from}"
        return Fault(hours[0], problem, f"begin with the coverage: {example}")
    ends = hours[-1].valid_to
    if ends is not None and ends < last:
        problem = f"the hours of continuous all have a gap: they end {ends}, the coverage {last}"
        return Fault(hours[-1], problem, f"leave 'to {ends}' out, or add the hours from {ends + _ONE_DAY} on")
    return None


def _unlike_its_hours(calendar: Calendar) -> Fault | None:
    """Return the fault of the first regular session that does not keep the regular hours of its day."""
    for session in calendar.sessions_between(calendar.first, calendar.last):
        usual = calendar.timetable.lasting(Phase.OPEN, ALL, session.day)
        if session.kind != "regular" or usual is None:
            continue
        clocks = exchange_time(session.opens).time(), exchange_time(session.closes).time()
        if clocks != (usual.opens, usual.closes):
            opens, closes = (f"{clock:%H:%M}" for clock in clocks)
            problem = f"the regular session of {session.day} is open {opens}-{closes}, its hours are {usual}"
            return Fault(usual, problem, f"give it a row like {session.day},special,{opens},{closes}")
    return None


def _has_session(calendar: Calendar, day: date) -> bool:
    return calendar.first <= day <= calendar.last and calendar.is_session(day)


def _changed_sessions(calendar: Calendar) -> Iterator[Session]:
    """Yield the first session of each span in which all hours stay as they are, and those with hours of their own."""
    changes = {calendar.first}
    for one in calendar.timetable.hours:
        changes |= {one.valid_from} | ({one.valid_to + _ONE_DAY} if one.valid_to else set())
    for day in sorted(one for one in changes if one <= calendar.last):
        yield from calendar.sessions_between(max(day, calendar.first), calendar.last)[:1]


def _overlap(calendar: Calendar, session: Session, segment: str) -> Fault | None:
    windows = [
        (phase, *window) for phase in _IN_ORDER if (window := calendar.window(session, phase, segment)) is not None
    ]
    for (before, _, ends), (after, begins, _) in pairwise(windows):
        if begins < ends:
            return _of_two(calendar, session, segment, (before, ends), (after, begins))
    table = calendar.timetable
    if table.lasting(Phase.AMO, segment, session.day) is None or not windows:
        return None
    if windows[0][1] < calendar.amo_ends(session, segment):
        return _of_two(calendar, session, segment, (Phase.AMO, calendar.amo_ends(session, segment)), windows[0][:2])
    # Of the post-close window after-market orders take what they want.
    last = [one for one in windows if one[0] is not Phase.POST_CLOSE][-1]
    if calendar.amo_begins(session, segment) < last[2]:
        begins = calendar.amo_begins(session, segment)
        return _of_two(calendar, session, segment, (last[0], last[2]), (Phase.AMO, begins))
    return None


def _of_two(
    calendar: Calendar, session: Session, segment: str, before: tuple[Phase, datetime], after: tuple[Phase, datetime]
) -> Fault:
    """Return the fault of a phase, and when it ends, that another one does not wait for."""
    table = calendar.timetable
    ends, begins = (exchange_time(at).strftime("%H:%M") for at in (before[1], after[1]))
    found = table.own(after[0], segment, session.day) or table.lasting(after[0], segment, session.day)
    return Fault(
        found,
        f"phases overlap on {session.day} for {segment}: {_WORDS[after[0]]} begins {begins}, "
        f"{_WORDS[before[0]]} ends {ends}",
        f"let {_WORDS[after[0]]} begin at {ends} or later",
    )
