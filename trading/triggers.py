"""Schedule texts relative to a session, so that evening and weekend sessions need no rule of their own."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from trading.calendar import BEFORE_CLOSE, Calendar, Session, ist
from trading.errors import BadTrigger

# Keeps every moment of a regular session on its own day: 09:15 - 8 h and 15:30 + 8 h.
MAX_OFFSET = timedelta(hours=8)
_LAST_OF_DAY = time(23, 59)

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1)}
_SPAN = re.compile(r"(\d{1,5})([smh])$")
_MOMENT = re.compile(r"(open|close)(?:([+-])(\d{1,5})([smh]))?$")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)$")

_OFTEN = "every 60s while open"
_WITHIN = "every 10m from close+15m until close+5h"
_NIGHTLY = "daily at 02:00"

_WEEK = timedelta(days=7)
_MONDAY = 0


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time as it was written: 60s and 1m last equally long and are not the same text."""

    amount: int
    unit: str

    @property
    def length(self) -> timedelta:
        """The time it lasts."""
        return self.amount * _UNITS[self.unit]

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"


@dataclass(frozen=True, slots=True)
class Moment:
    """Fires once a session: at its open or close, or so long before ('-') or after ('+')."""

    anchor: str
    sign: str = ""
    span: Span | None = None

    def __str__(self) -> str:
        return f"{self.anchor}{self.sign}{self.span or ''}"

    def of(self, session: Session) -> datetime:
        """Return the moment in a session; one that falls off its exchange day is moved to the day's last minute."""
        base = session.opens if self.anchor == "open" else session.closes
        length = self.span.length if self.span else timedelta()
        return min(base - length if self.sign == "-" else base + length, ist(session.day, _LAST_OF_DAY))


@dataclass(frozen=True, slots=True)
class At:
    """Fires once a session day at a clock time in IST, whatever the session's hours are."""

    clock: time

    def __str__(self) -> str:
        return f"at {self.clock:%H:%M}"


@dataclass(frozen=True, slots=True)
class Daily:
    """Fires every day at a clock time in IST, whether the exchange trades, and whether the calendar knows the day."""

    clock: time

    def __str__(self) -> str:
        return f"daily at {self.clock:%H:%M}"


@dataclass(frozen=True, slots=True)
class WhileOpen:
    """Fires at the open and then every so often before the close."""

    every: Span

    def __str__(self) -> str:
        return f"every {self.every} while open"


@dataclass(frozen=True, slots=True)
class Between:
    """Fires at the first moment and then every so often before the second."""

    every: Span
    start: Moment
    end: Moment

    def __str__(self) -> str:
        return f"every {self.every} from {self.start} until {self.end}"


@dataclass(frozen=True, slots=True)
class OnRequest:
    """Never fires by itself."""

    def __str__(self) -> str:
        return "on request"


Trigger = Moment | At | Daily | WhileOpen | Between | OnRequest


def parse_trigger(text: str) -> Trigger:
    """Return the trigger of a text such as 'open-40m', 'at 16:05' or 'every 60s while open'. Raises BadTrigger."""
    words = [(match.group().lower(), match.start()) for match in re.finditer(r"\S+", text)]
    match [word for word, _ in words]:
        case ["on", "request"]:
            return OnRequest()
        case ["at", _]:
            return At(_clock(text, *words[1], "at 16:05"))
        case ["daily", "at", _]:
            return Daily(_clock(text, *words[2], _NIGHTLY))
        case ["every", _, "while", "open"]:
            return WhileOpen(_every(text, *words[1], _OFTEN))
        case ["every", _, "from", _, "until", _]:
            return _between(text, words)
        case [word] if word not in {"every", "at", "on", "daily"}:
            return _moment(text, *words[0], "open-40m")
        case _:
            raise _misread(text, words)


def next_due(trigger: Trigger, calendar: Calendar, after: datetime, daily_bars: bool) -> datetime | None:
    """Return the first moment strictly after `after` at which a trigger fires, aware UTC.

    daily_bars: repeating triggers fire only as finely as daily bars can show anything new: while open at the open and
    at BEFORE_CLOSE before the close; from-until only at the first moment; daily ones, which tidy up, on Mondays.
    None when no such moment lies in the calendar's coverage. Raises CalendarUncovered when `after` lies before it.
    """
    day = calendar.exchange_day(after)
    if isinstance(trigger, Daily):
        return _next_day(trigger, day, after, weekly=daily_bars)
    if isinstance(trigger, OnRequest) or day > calendar.last:
        return None
    for session in calendar.sessions_between(day, calendar.last):
        for moment in _due(trigger, session, after, daily_bars):
            if moment > after:
                return moment
    return None


def due_between(
    trigger: Trigger, calendar: Calendar, after: datetime, until: datetime, daily_bars: bool
) -> Iterator[datetime]:
    """Yield the moments of (after, until] at which a trigger fires, in order. Raises as `next_due` does."""
    moment = next_due(trigger, calendar, after, daily_bars)
    while moment is not None and moment <= until:
        yield moment
        moment = next_due(trigger, calendar, moment, daily_bars)


def _next_day(trigger: Daily, day: date, after: datetime, weekly: bool) -> datetime:
    """Return the trigger's next moment; weekly: the next one on a Monday."""
    if weekly:
        day -= timedelta(days=day.weekday() - _MONDAY)
    moment = ist(day, trigger.clock)
    while moment <= after:
        day += _WEEK if weekly else timedelta(days=1)
        moment = ist(day, trigger.clock)
    return moment


def _due(trigger: Trigger, session: Session, after: datetime, daily_bars: bool) -> Iterator[datetime]:
    """Yield the moments of one session in rising order; of a repeating trigger at most the first after `after`."""
    match trigger:
        case Moment():
            yield trigger.of(session)
        case At(clock):
            yield ist(session.day, clock)
        case WhileOpen() if daily_bars:
            yield session.opens
            if session.closes - BEFORE_CLOSE > session.opens:
                yield session.closes - BEFORE_CLOSE
        case WhileOpen(every):
            yield from _repeat(session.opens, every, session.closes, after)
        case Between(every, start, end):
            first, stop = start.of(session), end.of(session)
            if daily_bars:
                yield from [first] if first < stop else []
            else:
                yield from _repeat(first, every, stop, after)


def _repeat(start: datetime, every: Span, stop: datetime, after: datetime) -> Iterator[datetime]:
    passed = 0 if after < start else (after - start) // every.length + 1
    moment = start + passed * every.length
    if moment < stop:
        yield moment


def _clock(text: str, word: str, position: int, example: str) -> time:
    match = _CLOCK.match(word)
    if match is None:
        raise BadTrigger(text, position, f"{word!r} is not a time of day", example)
    return time(int(match[1]), int(match[2]))


def _every(text: str, word: str, position: int, example: str) -> Span:
    match = _SPAN.match(word)
    if match is None or not int(match[1]):
        raise BadTrigger(text, position, f"{word!r} is not a length of time above zero", example)
    return Span(int(match[1]), match[2])


def _moment(text: str, word: str, position: int, example: str) -> Moment:
    match = _MOMENT.match(word)
    if match is None:
        raise BadTrigger(text, position, f"{word!r} is not a moment of a session", example)
    anchor, sign, amount, unit = match.groups()
    if sign is None:
        return Moment(anchor)
    span = Span(int(amount), unit)
    if span.length > MAX_OFFSET:
        raise BadTrigger(text, position + len(anchor), f"more than {MAX_OFFSET} away from the {anchor}", example)
    return Moment(anchor, sign, span)


def _between(text: str, words: list[tuple[str, int]]) -> Between:
    every = _every(text, *words[1], _WITHIN)
    start, end = _moment(text, *words[3], _WITHIN), _moment(text, *words[5], _WITHIN)
    if start.anchor == end.anchor and _offset(start) >= _offset(end):
        raise BadTrigger(text, words[5][1], f"{end} is not after {start}", _WITHIN)
    return Between(every, start, end)


def _offset(moment: Moment) -> timedelta:
    length = moment.span.length if moment.span else timedelta()
    return -length if moment.sign == "-" else length


def _misread(text: str, words: list[tuple[str, int]]) -> BadTrigger:
    """Return the error for a text of no known shape, pointing at the first word that does not fit its beginning."""
    found = [word for word, _ in words]
    shape, example = _shape(found)
    for index, (expected, (word, position)) in enumerate(zip(shape, words, strict=False)):
        if expected not in ("", word):
            problem = f"expected {expected!r}" if index else "not a trigger"
            return BadTrigger(text, position, f"{problem}, found {word!r}", example)
    if len(words) > len(shape):
        return BadTrigger(text, words[len(shape)][1], f"nothing may follow, found {found[len(shape)]!r}", example)
    return BadTrigger(text, len(text), "it stops too early" if words else "it is empty", example)


def _shape(found: list[str]) -> tuple[list[str], str]:
    match found:
        case ["every", _, "while", *_]:
            return ["every", "", "while", "open"], _OFTEN
        case ["every", *_]:
            return ["every", "", "from", "", "until", ""], _WITHIN
        case ["at", *_]:
            return ["at", ""], "at 16:05"
        case ["daily", *_]:
            return ["daily", "at", ""], _NIGHTLY
        case ["on", *_]:
            return ["on", "request"], "on request"
        case [word, *_] if _MOMENT.match(word):
            return [""], "open-40m"
        case _:
            return ["every"], _OFTEN
