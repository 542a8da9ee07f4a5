"""Reads the text of a cron trigger: `cron [S] M H DOM MON DOW in ZONE[, gap skip|shift][, fold first|second|both]`."""

import re
from difflib import get_close_matches

from trading.cron import FOLDS, GAPS, Cron, default_policy
from trading.cron_fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, ZERO, Field, read_field
from trading.errors import BadTrigger
from trading.wall_times import zone_names

CRON = "cron 0 9 * * mon-fri in Asia/Kolkata"
_WITH_POLICIES = "cron 30 2 * * * in Europe/Berlin, gap skip, fold first"

_KINDS = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
_FIELDS = len(_KINDS) - 1
# The longest a month can be; 29 February comes back.
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_POLICIES = {"gap": GAPS, "fold": FOLDS}

Word = tuple[str, int]


def read_cron(text: str) -> Cron:
    """Return the cron trigger of a text that begins with the word `cron`. Raises BadTrigger."""
    words = [(match.group().lower(), match.start()) for match in re.finditer(r"\S+", text)]
    found = [word for word, _ in words]
    if "in" not in found:
        end = len(text.rstrip())
        raise BadTrigger(text, end, "the zone is missing: 'in' and its name must follow the fields", CRON)
    at = found.index("in")
    second, minute, hour, day, month, weekday = _fields(text, words[1:at], words[at][1])
    gap, fold = default_policy(second, minute, hour)
    zone, said = _tail(text, words[at][1] + len("in"))
    return Cron(second, minute, hour, day, month, weekday, zone, said.get("gap", gap), said.get("fold", fold))


def _fields(text: str, words: list[Word], end: int) -> list[Field]:
    """Return the six fields of five or six words that end before a position."""
    if len(words) > len(_KINDS):
        raise BadTrigger(text, words[len(_KINDS)][1], "more than six fields before 'in'", CRON)
    if len(words) < _FIELDS:
        problem = (
            f"{len(words)} fields before 'in', not five (minute, hour, day, month, weekday) or six (seconds first)"
        )
        raise BadTrigger(text, end, problem, CRON)
    kinds = _KINDS[-len(words) :]
    fields = [read_field(kind, text, *word, CRON) for kind, word in zip(kinds, words, strict=True)]
    _check_days(text, words[-3][1], *fields[-3:])
    return [ZERO, *fields] if len(words) == _FIELDS else fields


def _check_days(text: str, position: int, day: Field, month: Field, weekday: Field) -> None:
    """Refuse days that none of the months has. Days of the week that are named too would fire instead."""
    if not weekday.starred and not day.starred:
        return
    first = (day.bits & -day.bits).bit_length() - 1
    months = [n for n in range(1, 13) if month.bits >> n & 1]
    if all(first > _LENGTHS[n - 1] for n in months):
        names = ", ".join(MONTH.written(n) for n in months)
        problem = f"{DAY.name} {day} is impossible: {names} has no day {first}, so it never fires"
        raise BadTrigger(text, position, problem, "cron 0 0 28 2 * in Asia/Kolkata")


def _tail(text: str, start: int) -> tuple[str, dict[str, str]]:
    """Return the zone and the policies that were named, by their words, of what follows `in`."""
    first, *rest = _clauses(text, start)
    if not first:
        raise BadTrigger(text, len(text.rstrip()), "the name of a zone must follow 'in'", CRON)
    if len(first) > 1:
        raise BadTrigger(text, first[1][1], f"a comma must stand before {first[1][0]!r}", _WITH_POLICIES)
    zone = _zone(text, *first[0])
    said: dict[str, str] = {}
    for clause in rest:
        name, value = _policy(text, clause)
        if name in said:
            raise BadTrigger(text, clause[0][1], f"{name!r} is there twice", _WITH_POLICIES)
        said[name] = value
    return zone, said


def _clauses(text: str, start: int) -> list[list[Word]]:
    """Return the words of each part between commas. An empty last one is kept: something must follow a comma."""
    clauses: list[list[Word]] = [[]]
    for match in re.finditer(r"[^\s,]+|,", text[start:]):
        if match.group() == ",":
            clauses.append([])
        else:
            clauses[-1].append((match.group(), start + match.start()))
    return clauses


def _policy(text: str, clause: list[Word]) -> tuple[str, str]:
    if not clause:
        raise BadTrigger(text, len(text.rstrip()), "'gap' or 'fold' must follow a comma", _WITH_POLICIES)
    (name, position), *values = clause
    allowed = _POLICIES.get(name.lower())
    if allowed is None:
        raise BadTrigger(text, position, f"expected 'gap' or 'fold', found {name!r}", _WITH_POLICIES)
    if not values:
        problem = f"one of {', '.join(allowed)} must follow {name!r}"
        raise BadTrigger(text, position + len(name), problem, _WITH_POLICIES)
    value, value_at = values[0]
    if value.lower() not in allowed:
        raise BadTrigger(text, value_at, f"expected one of {', '.join(allowed)}, found {value!r}", _WITH_POLICIES)
    if len(values) > 1:
        raise BadTrigger(text, values[1][1], f"nothing may follow, found {values[1][0]!r}", _WITH_POLICIES)
    return name.lower(), value.lower()


def _zone(text: str, word: str, position: int) -> str:
    names = zone_names()
    zone = names.get(word.lower())
    if zone is None:
        close = get_close_matches(word.lower(), names, n=1)
        hint = f", did you mean {names[close[0]]!r}?" if close else ""
        raise BadTrigger(text, position, f"{word!r} is no zone of the tz database{hint}", CRON)
    return zone
