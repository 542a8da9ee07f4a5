"""Many rows as one parameter a column: joined here and taken apart by Postgres, which costs both less than arrays."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

# Control signs, which no value holds: what separates values, and what stands for a null.
_SEPARATOR, _NULL = "\x1f", "\x1e"
# Moments go as microseconds since then, and dates as days: to write one as text takes Python three times as long, and
# as text Postgres takes each for as dear as all of them, so that a server that compiles dear statements would.
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIRST_DAY = _EPOCH.toordinal()
_MOMENT, _DATE = "timestamptz", "date"
_READ = {
    _MOMENT: ("bigint", "timestamptz 'epoch' + interval '1 microsecond' * "),
    _DATE: ("int", "date 'epoch' + "),
}


class Columns:
    """The columns of a statement's rows: name -> type of Postgres.

    Texts must hold no control characters, and an empty one is no value: say None. Moments are aware.
    """

    def __init__(self, **kinds: str) -> None:
        self._kinds = kinds

    def rows(self, alias: str) -> str:
        """Return the SQL of the rows, to stand after FROM.

        Taken apart in a list of what is selected, where each value goes on as it comes; after FROM Postgres would lay
        every column down before it reads the first row.
        """
        values = ", ".join(f"{_value(name, kind)} AS {name}" for name, kind in self._kinds.items())
        return f"(SELECT {values}) AS {alias}"

    def values(self, **columns: Sequence[Any]) -> Mapping[str, str]:
        """Return the parameters of `rows`. Raises KeyError when a column is missing."""
        return {name: _joined(columns[name], kind) for name, kind in self._kinds.items()}


def _value(name: str, kind: str) -> str:
    sent, made_of = _READ.get(kind, (kind, ""))
    return f"{made_of}unnest(CAST(string_to_array(:{name}, chr(31), chr(30)) AS {sent}[]))"


def _joined(values: Sequence[Any], kind: str) -> str:
    """Return a column's values as Postgres takes them apart, '' where all are null: it fills up what is short.

    In loops of C wherever it can be: an import has some millions of values.
    """
    nulls = values.count(None)
    if nulls == len(values):
        return ""
    write = _WRITTEN.get(kind, str)
    if nulls:
        return _SEPARATOR.join([_NULL if value is None else write(value) for value in values])
    return _SEPARATOR.join(values if write is _as_it_is else map(write, values))


def _as_it_is(text: str) -> str:
    return text


def _microseconds(at: datetime) -> str:
    return str((at - _EPOCH) // _MICROSECOND)


def _days(day: date) -> str:
    return str(day.toordinal() - _FIRST_DAY)


_WRITTEN: Mapping[str, Callable[[Any], str]] = {"text": _as_it_is, _MOMENT: _microseconds, _DATE: _days}
