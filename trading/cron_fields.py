"""One field of a cron text: its list of values, ranges and steps as a set of bits, and as it is written."""

import re
from dataclasses import dataclass

from trading.errors import BadTrigger

_ITEM = re.compile(r"(?:(?P<star>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\w+))?$")


@dataclass(frozen=True, slots=True)
class Kind:
    """What a field counts, from low to high.

    names: of its values from `low` on; none: they are numbers. over: one past `high` is `low` again: 7 is Sunday too.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    over: bool = False

    def written(self, value: int) -> str:
        """Return a value as texts have it."""
        return self.names[(value - self.low) % len(self.names)] if self.names else str(value)


SECOND = Kind("second", 0, 59)
MINUTE = Kind("minute", 0, 59)
HOUR = Kind("hour", 0, 23)
DAY = Kind("day of the month", 1, 31)
MONTH = Kind("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"))
WEEKDAY = Kind("day of the week", 0, 6, ("sun", "mon", "tue", "wed", "thu", "fri", "sat"), over=True)


@dataclass(frozen=True, slots=True)
class Field:
    """The values of a field. text: normalised. bits: bit n is set when n is among them.

    starred: whether it is `*` or `*/n`, which name a rhythm, not moments.
    """

    text: str
    bits: int
    starred: bool = False

    def __str__(self) -> str:
        return self.text


ZERO = Field("0", 1)


def read_field(kind: Kind, text: str, word: str, position: int, example: str) -> Field:
    """Return the field of a word of a trigger's text that stands at a position. Raises BadTrigger."""
    texts: list[str] = []
    bits = 0
    for item in word.split(","):
        try:
            written, of_item = _read_item(kind, item)
        except ValueError as error:
            raise BadTrigger(text, position, f"{kind.name} {error}", example) from error
        if written not in texts:
            texts.append(written)
        bits |= of_item
        position += len(item) + 1
    return Field(",".join(texts), bits, word.startswith("*"))


def _read_item(kind: Kind, item: str) -> tuple[str, int]:
    """Return an item normalised and its bits. Raises ValueError with the problem."""
    match = _ITEM.match(item)
    if match is None:
        raise ValueError(f"{item!r} is neither * nor a value, a range or a step")
    if match["star"]:
        first, last, written = kind.low, kind.high, "*"
    else:
        first = _value(kind, match["first"])
        last = first if match["last"] is None else _value(kind, match["last"])
        if last < first and kind.over and last == kind.low:
            last = kind.high + 1
        if last < first:
            raise ValueError(f"range {item!r} runs backwards: make two ranges of it")
        written = kind.written(first) if first == last else f"{kind.written(first)}-{kind.written(last)}"
    step = _step(kind, item, match["step"], is_range=first != last)
    if step > 1:
        written += f"/{step}"
    # What lies one over the highest value is the lowest again.
    return written, sum({1 << (value if value <= kind.high else kind.low) for value in range(first, last + 1, step)})


def _value(kind: Kind, word: str) -> int:
    if word in kind.names:
        return kind.low + kind.names.index(word)
    highest = kind.high + 1 if kind.over else kind.high
    if not (word.isascii() and word.isdigit() and kind.low <= int(word) <= highest):
        names = f" and no name such as {kind.names[1]!r}" if kind.names else ""
        raise ValueError(f"{word!r} is not from {kind.low} to {highest}{names}")
    return int(word)


def _step(kind: Kind, item: str, word: str | None, *, is_range: bool) -> int:
    if word is None:
        return 1
    if not is_range:
        from_there = f"{item.split('/', maxsplit=1)[0]}-{kind.high}/{word}"
        raise ValueError(f"{item!r} has a step without a range: write */{word} or {from_there}")
    if not (word.isascii() and word.isdigit() and int(word)):
        raise ValueError(f"{item!r} has a step that is not a number above zero")
    if int(word) > kind.high - kind.low:
        raise ValueError(f"{item!r} steps over all of {kind.low} to {kind.high}: an interval is 'every 90m since ...'")
    return int(word)
