"""Reads the head of a calendar file: the exchange, the days it covers, the hours of each phase and their validity."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from itertools import pairwise

from trading.errors import BadCalendar
from trading.phases import ALL, PHASE_WORDS, Hours, Phase

_PHASES = "|".join(PHASE_WORDS)
_DAY, _CLOCKS = r"(\d{4}-\d\d-\d\d)", r"(\d\d:\d\d)-(\d\d:\d\d)"
_SHAPES = {
    "exchange": re.compile(r"([A-Z][A-Z0-9]{0,15})$"),
    "coverage": re.compile(rf"{_DAY}\.\.{_DAY}$"),
    "regular": re.compile(rf"{_CLOCKS}$"),
    "hours": re.compile(
        rf"({_PHASES}) +([a-z][a-z0-9]{{0,15}}) +{_CLOCKS} +(?:on {_DAY}|from {_DAY}(?: +to {_DAY})?) +source +(\S.*)$"
    ),
}
_EXAMPLES = {
    "exchange": "NSE",
    "coverage": "2015-01-01..2026-12-31",
    "regular": "09:15-15:30",
    "hours": "continuous fno 09:15-15:15 from 2026-08-03 source the exchange's circular",
}
# As rows hold them.
LONGEST_NAME, LONGEST_SOURCE = 255, 512
# Wide of any exchange's days, and far enough from the ends of time that a day can be added.
_FIRST_YEAR, _LAST_YEAR = 1900, 2199
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself. lines: where hours stand. has_phases: it tells them line by line, not the old way."""

    exchange: str
    first: date
    last: date
    lines: Mapping[Hours, int]
    has_phases: bool

    @property
    def hours(self) -> Sequence[Hours]:
        """The hours, as they stand in the file."""
        return list(self.lines)


def read_head(lines: Sequence[str]) -> Head:
    """Return the head of a calendar file. Raises BadCalendar, naming the line, the value and an example."""
    found: dict[str, list[tuple[int, re.Match[str]]]] = {key: [] for key in _SHAPES}
    for number, key, match in _head_lines(lines):
        found[key].append((number, match))
    for key in ("exchange", "coverage"):
        if not found[key]:
            raise _missing(key)
    if not found["regular"] and not found["hours"]:
        raise _missing("regular")
    for key in ("exchange", "regular"):
        if len(found[key]) > 1:
            raise BadCalendar(found[key][1][0], f"{key} is there twice", f"keep one line # {key}: {_EXAMPLES[key]}")
    first, last = _coverage(found["coverage"])
    hours: dict[Hours, int] = {}
    for number, match in found["regular"]:
        clocks = read_hours(number, match[1], match[2])
        hours[Hours(Phase.OPEN, ALL, *clocks, first, None, "the file's regular hours")] = number
    for number, match in found["hours"]:
        one = _hours(number, match)
        if one in hours:
            raise BadCalendar(number, f"hours are there twice: {one}", "keep one of the two lines")
        hours[one] = number
    return Head(found["exchange"][0][1][1], first, last, hours, bool(found["hours"]))


def read_day(number: int, text: str) -> date:
    """Return a day of a file. Raises BadCalendar."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadCalendar(number, f"not a day: {text!r}", "write it like 2026-01-26") from None
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        years = f"between {_FIRST_YEAR} and {_LAST_YEAR}, like 2026-01-26"
        raise BadCalendar(number, f"the year of {day} is none of an exchange's calendar", f"write a day {years}")
    return day


def read_words(number: int, what: str, text: str, longest: int) -> str:
    """Return a text of a file that a row can hold. Raises BadCalendar."""
    if len(text) > longest or "\x00" in text:
        problem = f"the {what} {text[:20]!r}... is {len(text)} characters long, or not text"
        raise BadCalendar(number, problem, f"say it in at most {longest} characters")
    return text


def read_hours(number: int, opens: str, closes: str, *, over_night: bool = False) -> tuple[time, time]:
    """Return two clock times, exchange time, the earlier one first unless they span a night. Raises BadCalendar."""
    try:
        hours = time.fromisoformat(opens), time.fromisoformat(closes)
    except ValueError:
        raise BadCalendar(number, f"not a time: {opens!r} or {closes!r}", "write IST like 18:15") from None
    if any(hour.tzinfo for hour in hours) or (not over_night and hours[0] >= hours[1]):
        raise BadCalendar(
            number,
            f"it opens at {opens} and closes at {closes}: the end lies before the start",
            "write the earlier IST time first, like 09:15-15:30",
        )
    if over_night and hours[0] <= hours[1]:
        raise BadCalendar(
            number, f"after-market orders from {opens} to {closes} span no night", "write them like amo all 15:45-08:57"
        )
    return hours


def _head_lines(lines: Sequence[str]) -> Iterator[tuple[int, str, re.Match[str]]]:
    for number, line in enumerate(lines, 1):
        key, _, value = line.removeprefix("#").strip().partition(":")
        if not line.startswith("#") or key not in _SHAPES:
            continue
        match = _SHAPES[key].match(value.strip())
        if match is None:
            cure = f"write # {key}: {_EXAMPLES[key]}"
            if key == "hours":
                cure += f", with a phase of {', '.join(PHASE_WORDS)} and 'from DAY', 'from DAY to DAY' or 'on DAY'"
            raise BadCalendar(number, f"{key} cannot be read: {value.strip()!r}", cure)
        yield number, key, match


def _missing(key: str) -> BadCalendar:
    return BadCalendar(0, f"{key} is missing", f"add a line # {key}: {_EXAMPLES[key]}")


def _coverage(found: Sequence[tuple[int, re.Match[str]]]) -> tuple[date, date]:
    """Return the first and the last day of what may stand in several lines, one behind the other."""
    spans = [(number, read_day(number, match[1]), read_day(number, match[2])) for number, match in found]
    for number, first, last in spans:
        if first > last:
            where = 0 if len(spans) == 1 else number
            problem = f"the coverage ends before it begins: {first}..{last}"
            raise BadCalendar(where, problem, f"write the earlier day first: # coverage: {last}..{first}")
    spans.sort(key=lambda span: span[1])
    for (_, _, before), (number, first, last) in pairwise(spans):
        if first != before + _ONE_DAY:
            problem = "has a gap" if first > before else "overlaps"
            raise BadCalendar(
                number,
                f"the coverage {problem} between {before} and {first}",
                f"begin with the day after: # coverage: {before + _ONE_DAY}..{max(last, before + _ONE_DAY)}",
            )
    return spans[0][1], spans[-1][2]


def _hours(number: int, match: re.Match[str]) -> Hours:
    word, segment, opens, closes, only, first, last, source = match.groups()
    phase, source = PHASE_WORDS[word], read_words(number, "source", source, LONGEST_SOURCE)
    clocks = read_hours(number, opens, closes, over_night=phase is Phase.AMO)
    if only is not None:
        day = read_day(number, only)
        return Hours(phase, segment, *clocks, day, day, source)
    begins, ends = read_day(number, first), None if last is None else read_day(number, last)
    if ends is not None and ends < begins:
        raise BadCalendar(
            number,
            f"the hours are valid from {begins} to {ends}: the end lies before the start",
            f"write the earlier day first, like from {ends} to {begins}",
        )
    return Hours(phase, segment, *clocks, begins, ends, source)
