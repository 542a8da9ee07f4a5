"""Reads the text of a trigger. Every error names the place, the problem and a text that is valid."""

import re
from datetime import datetime, time
from functools import lru_cache

from trading.clock_triggers import Daily, Interval, Once, OnRequest
from trading.cron import Cron
from trading.cron_texts import read_cron
from trading.errors import BadTrigger
from trading.periods import EDGES, PERIODS, Edge
from trading.session_triggers import MAX_OFFSET, At, Between, Moment, OnEdge, PreOpen, Span, WhileOpen

Trigger = Moment | At | PreOpen | WhileOpen | Between | OnEdge | Cron | Interval | Once | Daily | OnRequest

_SPAN = re.compile(r"(\d{1,5})([smh])$")
_MOMENT = re.compile(r"(open|close)(?:([+-])(\d{1,5})([smh]))?$")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)$")

_MOMENT_TEXT = "open-40m"
_OFTEN = "every 60s while open"
_WITHIN = "every 10m from close+15m until close+5h"
_SINCE = "every 90m since 2026-01-01T09:00+05:30"
_NIGHTLY = "daily at 02:00"
_ONCE = "once 2026-12-01T10:00+05:30"
_PREOPEN = "each pre-open at 09:05"
_EDGE = "close-10m on last session of month"

# Moments far from all others cannot be told in every zone.
FIRST_YEAR, LAST_YEAR = 2000, 2199

Word = tuple[str, int]
"""A word in small letters and the position of its first character."""


# Most schedules of an installation fire by a handful of texts, again and again.
@lru_cache(maxsize=4096)
def parse_trigger(text: str) -> Trigger:
    """Return the trigger of a text such as 'open-40m', 'at 16:05' or 'every 60s while open'. Raises BadTrigger."""
    words = [(match.group().lower(), match.start()) for match in re.finditer(r"\S+", text)]
    found = [word for word, _ in words]
    if found[:1] == ["cron"]:
        return read_cron(text)
    if "on" in found[1:]:
        return _on_edge(text, words, found.index("on", 1))
    return _read(text, words, len(text))


def _read(text: str, words: list[Word], end: int) -> Trigger:
    """Return the trigger of the words that stand before `end`."""
    match [word for word, _ in words]:
        case ["on", "request"]:
            return OnRequest()
        case ["at", _]:
            return At(_clock(text, *words[1], "at 16:05"))
        case ["daily", "at", _]:
            return Daily(_clock(text, *words[2], _NIGHTLY))
        case ["each", "pre-open", "at", _]:
            return PreOpen(_clock(text, *words[3], _PREOPEN))
        case ["once", _]:
            return Once(_moment_in_time(text, *words[1], _ONCE))
        case ["every", _, "while", "open"]:
            return WhileOpen(_every(text, *words[1], _OFTEN))
        case ["every", _, "since", _]:
            return Interval(_every(text, *words[1], _SINCE), _moment_in_time(text, *words[3], _SINCE))
        case ["every", _, "from", _, "until", _]:
            return _between(text, words)
        case [word] if word not in _SHAPES:
            return _moment(text, *words[0], _MOMENT_TEXT)
        case _:
            raise _misread(text, words, end)


def _on_edge(text: str, words: list[Word], at: int) -> OnEdge:
    """Return the trigger of words whose suffix begins at an index."""
    shape = ["on", "", "session", "of", ""]
    suffix, end = words[at:], words[at][1]
    trigger = _read(text, words[:at], end)
    if not isinstance(trigger, Moment | At | PreOpen | WhileOpen | Between):
        raise BadTrigger(text, end, f"only what fires in sessions can be kept to some of them, not '{trigger}'", _EDGE)
    if len(suffix) != len(shape) or any(want not in ("", word) for want, (word, _) in zip(shape, suffix, strict=True)):
        raise _misfit(text, suffix, shape, len(text), _EDGE)
    (which, which_at), (period, period_at) = suffix[1], suffix[4]
    if which not in EDGES:
        raise BadTrigger(text, which_at, f"expected one of {', '.join(EDGES)}, found {which!r}", _EDGE)
    if period not in PERIODS:
        raise BadTrigger(text, period_at, f"expected one of {', '.join(PERIODS)}, found {period!r}", _EDGE)
    return OnEdge(trigger, Edge(which, period))


def _clock(text: str, word: str, position: int, example: str) -> time:
    match = _CLOCK.match(word)
    if match is None:
        raise BadTrigger(text, position, f"{word!r} is not a time of day", example)
    return time(int(match[1]), int(match[2]))


def _moment_in_time(text: str, word: str, position: int, example: str) -> datetime:
    try:
        moment = datetime.fromisoformat(word.upper())
    except ValueError as error:
        raise BadTrigger(text, position, f"{word!r} is not a date and time", example) from error
    if moment.tzinfo is None:
        raise BadTrigger(text, position, f"{word!r} has no time zone: end it with +05:30 or Z", example)
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise BadTrigger(text, position, f"{word!r} lies outside {FIRST_YEAR} to {LAST_YEAR}", example)
    if moment.microsecond:
        raise BadTrigger(text, position, f"{word!r} has parts of a second", example)
    return moment


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


def _between(text: str, words: list[Word]) -> Between:
    every = _every(text, *words[1], _WITHIN)
    start, end = _moment(text, *words[3], _WITHIN), _moment(text, *words[5], _WITHIN)
    if start.anchor == end.anchor and start.offset >= end.offset:
        raise BadTrigger(text, words[5][1], f"{end} is not after {start}", _WITHIN)
    return Between(every, start, end)


# By the first word, and where that is not enough by the third, what a text looks like. '' stands for any word.
_SHAPES = {
    "every": (["every", "", "from", "", "until", ""], _WITHIN),
    "at": (["at", ""], "at 16:05"),
    "daily": (["daily", "at", ""], _NIGHTLY),
    "each": (["each", "pre-open", "at", ""], _PREOPEN),
    "once": (["once", ""], _ONCE),
    "on": (["on", "request"], "on request"),
}


def _misread(text: str, words: list[Word], end: int) -> BadTrigger:
    """Return the error for words of no known shape, pointing at the first that does not fit its beginning."""
    match [word for word, _ in words]:
        case ["every", _, "while", *_]:
            shape, example = ["every", "", "while", "open"], _OFTEN
        case ["every", _, "since", *_]:
            shape, example = ["every", "", "since", ""], _SINCE
        case [word, *_] if word in _SHAPES:
            shape, example = _SHAPES[word]
        case [word, *_] if _MOMENT.match(word):
            shape, example = [""], _MOMENT_TEXT
        case _:
            shape, example = ["every"], _OFTEN
    return _misfit(text, words, shape, end, example)


def _misfit(text: str, words: list[Word], shape: list[str], end: int, example: str) -> BadTrigger:
    for index, (expected, (word, position)) in enumerate(zip(shape, words, strict=False)):
        if expected not in ("", word):
            problem = f"expected {expected!r}" if index else "not a trigger"
            return BadTrigger(text, position, f"{problem}, found {word!r}", example)
    if len(words) > len(shape):
        word, position = words[len(shape)]
        return BadTrigger(text, position, f"nothing may follow, found {word!r}", example)
    return BadTrigger(text, end, "it stops too early" if words else "it is empty", example)
